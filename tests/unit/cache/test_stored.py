from dataclasses import replace
from hashlib import sha256
from math import inf

import pytest

from edgeproxy.cache.policy import CachePolicy
from edgeproxy.cache.stored import LargeBody, generate_etag, with_date
from tests.support.caching import NOW, date, keep, lines


def test_generated_tags_are_strong_quoted_and_follow_the_bytes():
    tag = generate_etag(sha256(b"x").digest())
    assert tag == generate_etag(sha256(b"x").digest())
    assert tag != generate_etag(sha256(b"y").digest())
    assert tag.startswith(b'"')
    assert tag.endswith(b'"')
    assert len(tag) == 24


def test_what_the_hot_path_needs_is_there():
    stored = keep(cache_control="max-age=60", date=date(-10), age="20", took=2.0)
    assert stored.initial_age == 22
    assert stored.fresh_until == NOW + 38
    assert stored.date_value == NOW - 10
    assert stored.is_vary_free
    assert stored.memo is None


def test_age_grows_with_the_clock_and_never_shrinks():
    stored = keep(age="20")
    assert stored.current_age(NOW) == 20
    assert stored.current_age(NOW + 5.5) == 25.5
    assert stored.current_age(NOW - 100) == 20


def test_what_must_be_validated_is_never_fresh():
    assert keep(cache_control="no-cache, max-age=60").fresh_until == -inf


@pytest.mark.parametrize(
    ("elapsed", "left"),
    [(0, 60), (0.5, 60), (1, 59), (59.2, 1), (60, 0), (60.5, -1), (61, -1), (75.5, -16)],
)
def test_whole_seconds_that_are_left(elapsed, left):
    stored = keep(cache_control="max-age=60")
    assert stored.seconds_left(NOW + elapsed) == left
    if left > 0:
        assert int(stored.current_age(NOW + elapsed)) + left == 60


def test_a_missing_date_is_added():
    stored = keep()
    assert stored.date == date().encode()
    assert (b"date", stored.date) in stored.fields
    assert with_date(lines(date="as it came"), NOW) == ((b"date", b"as it came"),)
    assert keep(date="as it came").date_value == NOW


def test_validators_are_generated_where_the_origin_sent_none():
    stored = keep(generates_validators=True)
    assert stored.etag == generate_etag(stored.digest)
    assert stored.last_modified == stored.date
    assert stored.is_etag_generated
    assert stored.is_last_modified_generated
    assert not any(name in {b"etag", b"last-modified"} for name, _ in stored.fields)


def test_the_origins_validators_stay():
    stored = keep(generates_validators=True, etag='W/"1"', last_modified=date(-99))
    assert stored.etag == b'W/"1"'
    assert stored.last_modified == date(-99).encode()
    assert not stored.is_etag_generated
    assert not stored.is_last_modified_generated


def test_a_transparent_cache_generates_none():
    stored = keep(policy=CachePolicy())
    assert stored.etag is None
    assert stored.last_modified is None
    assert not stored.is_etag_generated


def test_weight_counts_everything_that_is_kept():
    small = keep(body=b"x")
    assert small.weight > 1024
    assert keep(body=b"x" * 1001).weight == small.weight + 1000
    assert keep(body=b"x", x="y" * 500).weight > small.weight + 500


def test_a_body_that_only_the_disk_holds_weighs_nothing_and_has_its_length():
    small = keep(body=b"x" * 1000)
    large = replace(small, body=LargeBody(1000))
    assert len(large.body) == 1000
    assert large.weight == small.weight - 1000
    assert large.body_id == small.body_id
