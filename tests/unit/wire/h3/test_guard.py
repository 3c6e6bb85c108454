import pytest

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.h3 import codes
from edgeproxy.wire.h3.guard import Guard
from edgeproxy.wire.limits import Limits


def test_too_much_is_excessive_load():
    guard = Guard(Limits(control_frames_burst=2))
    guard.now = 1000.0
    guard.spend_control("flood")
    guard.spend_control("flood")
    with pytest.raises(ConnectionFault, match="flood") as caught:
        guard.spend_control("flood")
    assert caught.value.code == codes.EXCESSIVE_LOAD
