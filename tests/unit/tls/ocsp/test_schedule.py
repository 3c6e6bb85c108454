import itertools

import pytest

from edgeproxy.tls.ocsp.schedule import next_attempt, refresh_at, retry_after
from edgeproxy.tls.ocsp.staple import Staple

DAY = 86_400.0
WEEK = Staple(b"", this_update=0.0, next_update=7 * DAY, usable_until=7 * DAY - 300)


@pytest.mark.parametrize(("random", "share"), [(0.0, 0.45), (0.5, 0.5), (1.0, 0.55)])
def test_a_staple_is_renewed_at_half_of_its_validity_give_or_take_a_tenth(random, share):
    assert refresh_at(WEEK, 0.0, random) == pytest.approx(7 * DAY * share)


def test_nobody_is_asked_again_within_a_minute():
    assert refresh_at(WEEK, 6 * DAY, 0.5) == 6 * DAY + 60


def test_a_staple_that_ends_with_its_signer_is_renewed_before_that():
    staple = Staple(b"", this_update=0.0, next_update=10 * DAY, usable_until=DAY)
    assert refresh_at(staple, 0.0, 0.5) == pytest.approx(0.9 * DAY)


def test_failures_back_off_to_an_hour():
    minutes = [retry_after(failures, 0.5) / 60 for failures in range(1, 10)]
    assert minutes == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60])
    assert retry_after(10**9, 0.5) == pytest.approx(3600)


def test_the_back_off_is_spread():
    assert retry_after(3, 0.0) == pytest.approx(4 * 60 * 0.9)
    assert retry_after(3, 1.0) == pytest.approx(4 * 60 * 1.1)


def test_without_a_staple_and_without_failures_it_is_now():
    assert next_attempt(None, 0, 5.0, 0.5) == 5.0
    assert next_attempt(WEEK, 0, 5.0, 0.5) == refresh_at(WEEK, 5.0, 0.5)
    assert next_attempt(None, 2, 5.0, 0.5) == pytest.approx(125.0)


def test_a_staple_that_has_ended_leaves_the_back_off_alone():
    assert next_attempt(WEEK, 7, 8 * DAY, 0.5) == pytest.approx(8 * DAY + 3600)


def test_attempts_grow_denser_while_there_is_a_staple_to_lose():
    now = WEEK.usable_until - 4 * 3600
    moments = []
    for failures in itertools.count(20):
        now = next_attempt(WEEK, failures, now, 0.5)
        moments.append(now)
        if now >= WEEK.usable_until:
            break
    waits = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert sum(moment > WEEK.usable_until - 600 for moment in moments) >= 3
    assert min(waits) >= 60
    assert max(waits) <= 3600
