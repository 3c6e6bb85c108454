"""The memory runs: what they ask for, and what they make of what they see."""

import os
from dataclasses import replace

import pytest

from bench.compare.servers import EDGE
from bench.memory.__main__ import Overhead, arguments, churn_row, fill_row, size_of
from bench.memory.churn import BASE_MIB, Churn, slope
from bench.memory.origin import Origin, fields_of, octets
from bench.memory.worker import MIB, resident
from edgeproxy.http.fields import is_field_value, is_token


def test_objects_are_small_and_their_fields_are_ten_that_differ_in_some():
    assert {200 <= size_of(number) <= 1000 for number in range(5_000)} == {True}
    one, two = fields_of(1, 500), fields_of(2, 501)
    assert len(one) == 10
    assert all(is_token(name) and is_field_value(value) for name, value in one)
    differing = {name for name, value in one if (name, value) not in two}
    assert differing - {b"date"} == {b"etag", b"last-modified", b"x-request-id", b"content-length"}
    assert octets(1, 500) == sum(len(name) + len(value) for name, value in one)


@pytest.mark.parametrize("target", [b"/v1.0.0/7-300.js", b"/plain/text/7-2500000.js"])
def test_the_origin_answers_with_as_many_octets_as_it_says(target):
    answer = Origin()._answer(b"GET %s HTTP/1.1\r\nhost: localhost\r\n" % target)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert len(body) == int(target[:-3].rpartition(b"-")[2])
    assert b"content-length: %d" % len(body) in head
    assert Origin()._answer(b"GET /other HTTP/1.1\r\n").startswith(b"HTTP/1.1 404")


def churned(rss_mib):
    """A minute of churn, a value for each second."""
    return Churn(64 * MIB, 60.0, 0, 1.0, 1000, 0, 10, 9.0, 5, 500, rss_mib, rss_mib)


def test_a_slope_is_that_of_the_line_through_the_values():
    assert slope([1.0, 3.0, 5.0, 7.0]) == pytest.approx(2.0)
    assert slope([4.0]) == slope([]) == 0.0
    found = churned([0.0] * 30 + [100.0 + at for at in range(30)])
    assert found.slope_kib_per_minute == pytest.approx(60 * 1024)
    assert found.slope_kib_per_thousand == pytest.approx(60 * 1024)
    assert replace(found, every_seconds=6.0).slope_kib_per_minute == pytest.approx(10 * 1024)


def test_what_is_held_beyond_the_budget_is_a_median_of_the_last_tenth():
    found = churned([0.0] * 54 + [100.0, 100.0, 100.0, 101.0, 102.0, 500.0])
    assert found.base_mib == pytest.approx(100.5 - 64)
    assert found.document()["base_mib"] == found.base_mib


def test_churn_is_judged_by_its_base_and_an_hour_of_it_by_its_slope():
    def judged(level, *, growth=0.0, seconds=3600.0, stored=64 * MIB):
        rss = [level + at * growth for at in range(600)]
        found = replace(churned(rss), seconds=seconds, every_seconds=6.0, stored_bytes=stored)
        return found.is_kept

    assert judged(64 + BASE_MIB) is True
    assert judged(65 + BASE_MIB) is False
    assert judged(150, growth=0.019) is True  # 5.7 MiB in half an hour
    assert judged(150, growth=0.021) is False
    assert judged(150, growth=0.021, seconds=600.0) is None
    assert judged(150, stored=32 * MIB) is None
    assert judged(65 + BASE_MIB, seconds=600.0) is False
    assert churn_row(churned([100.0] * 60)).endswith("| base only |")


def test_the_bar_is_for_what_is_filled_with_its_fields():
    numbers = {"hit": 1.0, "hit_bare": 1.0, "filled_bare": 1.0, "origin_requests": 1}
    places = {"rss_before_mib": 1.0, "rss_filled_mib": 1.0, "rss_hit_mib": 1.0}
    kept, missed = (
        Overhead("rule", 10, 600.0, 300.0, filled=filled, **numbers, **places)
        for filled in (1536.0, 1537.0)
    )
    assert (kept.is_kept, missed.is_kept) == (True, False)
    assert fill_row(kept).endswith("yes |")
    assert fill_row(missed).endswith("NO |")


def test_a_process_can_be_looked_at():
    seen = resident(os.getpid())
    assert seen.rss >= seen.pss > MIB


def test_100_000_objects_are_filled_unless_one_says_otherwise():
    assert arguments([]).objects == 100_000
    assert '"256MiB"' in EDGE  # what the budget of a run takes the place of
