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


def test_control_frames_have_a_burst_and_a_rate(guard: Guard):
    assert allowed(guard.spend_control) == 100
    guard.now += 3.0
    assert allowed(guard.spend_control) == 30


def test_resets_have_a_burst_and_a_rate(guard: Guard):
    assert allowed(guard.spend_reset) == 100
    guard.now += 1.0
    assert allowed(guard.spend_reset) == 20


def test_small_content_has_a_burst_and_a_rate(guard: Guard):
    for number in range(50_000):
        guard.count_content(number % 64)
    with pytest.raises(ConnectionFault, match="small DATA") as caught:
        guard.count_content(1)
    assert caught.value.code == codes.ENHANCE_YOUR_CALM
    guard.now += 1.0
    for _ in range(1000):
        guard.count_content(1)
    with pytest.raises(ConnectionFault, match="small DATA"):
        guard.count_content(63)


def test_large_content_pays_for_small(guard: Guard):
    """Pieces of 64 KiB and an octet, for ever, as fast as the line is."""
    for _ in range(20_000):
        for size in (16_384, 16_384, 16_384, 16_384, 1):
            guard.count_content(size)
    for _ in range(2**26 // 4096 - 1 + 50_000):
        guard.count_content(1)
    with pytest.raises(ConnectionFault, match="small DATA"):
        guard.count_content(1)


def test_requests_pay_for_control_frames_up_to_the_concurrent_streams(guard: Guard):
    for _ in range(3):
        guard.earn_request()
    assert allowed(guard.spend_control) == 100 + 3 * 4
    for _ in range(1000):
        guard.earn_request()
    assert allowed(guard.spend_control) == 5 * 4


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


def test_empty_frames_in_a_row(guard: Guard):
    for _ in range(10):
        guard.count_empty(b"")
    guard.count_empty(b"x")
    for _ in range(10):
        guard.count_empty(b"")
    guard.earn_request()
    for _ in range(10):
        guard.count_empty(b"")
    with pytest.raises(ConnectionFault) as caught:
        guard.count_empty(b"")
    assert caught.value.code == codes.ENHANCE_YOUR_CALM


def test_the_memory_of_resets_is_bounded(guard: Guard):
    for stream_id in range(1, 2 * RESET_MEMORY + 3, 2):
        guard.remember_reset(stream_id)
    assert not guard.was_reset(1)
    assert guard.was_reset(3)
    assert guard.was_reset(2 * RESET_MEMORY + 1)
    assert not guard.was_reset(2 * RESET_MEMORY + 3)
