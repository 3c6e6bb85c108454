import pytest

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.budgets import Budgets
from edgeproxy.wire.limits import Limits

CODE = 0xB


@pytest.fixture
def budgets() -> Budgets:
    budgets = Budgets(Limits(concurrent_streams_max=5), CODE)
    budgets.now = 1000.0
    return budgets


def allowed(spend, *args) -> int:
    """Count how often a budget gives before it ends the connection."""
    calls = iter(range(100_000))

    def spend_all() -> None:
        while True:
            next(calls)
            spend("flood", *args)

    with pytest.raises(ConnectionFault, match="flood") as caught:
        spend_all()
    assert caught.value.code == CODE
    return next(calls) - 1


def test_control_frames_have_a_burst_and_a_rate(budgets: Budgets):
    assert allowed(budgets.spend_control) == 100
    budgets.now += 3.0
    assert allowed(budgets.spend_control) == 30


def test_resets_have_a_burst_and_a_rate(budgets: Budgets):
    assert allowed(budgets.spend_reset) == 100
    budgets.now += 1.0
    assert allowed(budgets.spend_reset) == 20


def test_small_content_has_a_burst_and_a_rate(budgets: Budgets):
    for number in range(50_000):
        budgets.count_content(number % 64)
    with pytest.raises(ConnectionFault, match="small DATA") as caught:
        budgets.count_content(1)
    assert caught.value.code == CODE
    budgets.now += 1.0
    for _ in range(1000):
        budgets.count_content(1)
    with pytest.raises(ConnectionFault, match="small DATA"):
        budgets.count_content(63)


def test_large_content_pays_for_small(budgets: Budgets):
    """Pieces of 64 KiB and an octet, for ever, as fast as the line is."""
    for _ in range(20_000):
        for size in (16_384, 16_384, 16_384, 16_384, 1):
            budgets.count_content(size)
    for _ in range(2**26 // 4096 - 1 + 50_000):
        budgets.count_content(1)
    with pytest.raises(ConnectionFault, match="small DATA"):
        budgets.count_content(1)


def test_requests_pay_for_control_frames_up_to_the_concurrent_streams(budgets: Budgets):
    for _ in range(3):
        budgets.earn_request()
    assert allowed(budgets.spend_control) == 100 + 3 * 4
    for _ in range(1000):
        budgets.earn_request()
    assert allowed(budgets.spend_control) == 5 * 4


def test_empty_frames_in_a_row(budgets: Budgets):
    for _ in range(10):
        budgets.count_empty(b"")
    budgets.count_empty(b"x")
    for _ in range(10):
        budgets.count_empty(b"")
    budgets.earn_request()
    for _ in range(10):
        budgets.count_empty(b"")
    with pytest.raises(ConnectionFault) as caught:
        budgets.count_empty(b"")
    assert caught.value.code == CODE
