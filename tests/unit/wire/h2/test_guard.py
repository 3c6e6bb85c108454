import pytest

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.h2 import codes
from edgeproxy.wire.h2.guard import RESET_MEMORY, Guard
from edgeproxy.wire.limits import Limits


@pytest.fixture
def guard() -> Guard:
    guard = Guard(Limits(concurrent_streams_max=5))
    guard.now = 1000.0
    return guard


def allowed(spend, *args) -> int:
    """Count how often a budget gives before it ends the connection."""
    calls = iter(range(100_000))

    def spend_all() -> None:
        while True:
            next(calls)
            spend("flood", *args)

    with pytest.raises(ConnectionFault, match="flood") as caught:
        spend_all()
    assert caught.value.code == codes.ENHANCE_YOUR_CALM
    return next(calls) - 1


def test_what_was_sent_pays_for_window_updates_whenever_they_come(guard: Guard):
    assert allowed(guard.spend_update, 0) == 1000
    assert allowed(guard.spend_update, 64 * 1024) == 64
    assert allowed(guard.spend_update, 64 * 1024) == 0
    assert allowed(guard.spend_update, 50 * 2**20) == 50 * 1024 - 64
    guard.earn_request()
    assert allowed(guard.spend_update, 50 * 2**20) == 4


def test_pieces_pay_for_the_updates_that_let_them_out(guard: Guard):
    assert allowed(guard.spend_update, 0) == 1000
    assert allowed(guard.spend_update, 7, 7) == 14
    assert allowed(guard.spend_update, 8, 8) == 2


def test_the_memory_of_resets_is_bounded(guard: Guard):
    for stream_id in range(1, 2 * RESET_MEMORY + 3, 2):
        guard.remember_reset(stream_id)
    assert not guard.was_reset(1)
    assert guard.was_reset(3)
    assert guard.was_reset(2 * RESET_MEMORY + 1)
    assert not guard.was_reset(2 * RESET_MEMORY + 3)


def test_a_request_earns_what_it_earns_everywhere(guard: Guard):
    guard.earn_request()
    assert allowed(guard.spend_control) == 100 + 4
    for _ in range(10):
        guard.count_empty(b"")
        guard.earn_request()
    assert allowed(guard.spend_control) == 5 * 4
