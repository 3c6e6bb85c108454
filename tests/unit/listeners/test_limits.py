from edgeproxy.listeners import limits
from edgeproxy.wire.limits import Limits


def test_the_limits_are_those_of_the_codecs():
    assert limits.Limits is Limits
    assert limits.__all__ == ["Limits"]
