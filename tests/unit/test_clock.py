import time

from edgeproxy.clock import SystemClock


def test_now_is_the_time_of_day():
    before = time.time()
    now = SystemClock().now()
    assert before <= now <= time.time()


def test_monotonic_is_the_scale_that_never_jumps():
    before = time.monotonic()
    now = SystemClock().monotonic()
    assert before <= now <= time.monotonic()
