import pytest

from edgeproxy.cache.policy import TRANSPARENT, CachePolicy
from edgeproxy.cache.reuse import (
    STALE_IF_ERROR_STATUSES,
    Forward,
    Reuse,
    ReuseWhileValidating,
    decide,
    is_fresh_hit,
    may_serve_stale_on_error,
    wants_only_stored,
)
from tests.support.caching import NOW, date, get, keep

CDN = CachePolicy(honours_request_directives=False)


def ask(*candidates, request=None, after=0.0, policy=TRANSPARENT):
    return decide(request or get(), candidates, NOW + after, policy=policy)


def test_a_fresh_response_is_reused_until_its_last_moment():
    stored = keep(cache_control="max-age=60")
    assert ask(stored) == Reuse(stored)
    assert ask(stored, request=get(method="HEAD")) == Reuse(stored)
    assert ask(stored, after=59.9) == Reuse(stored)
    assert is_fresh_hit(stored, NOW + 59.9)
    assert ask(stored, after=60) == Forward("stale", stored)
    assert not is_fresh_hit(stored, NOW + 60)


def test_reasons_to_forward():
    stored = keep(cache_control="max-age=60")
    assert ask() == Forward("uri-miss")
    assert ask(stored, request=get(method="POST")) == Forward("method")
    assert ask(stored, request=get(method="OPTIONS")) == Forward("method")
    assert ask(stored, policy=CachePolicy(may_store=False)) == Forward("bypass")
    variant = keep(cache_control="max-age=60", vary="Foo", request=get(foo="1"))
    assert ask(variant) == Forward("vary-miss")
    another = keep(cache_control="max-age=60", vary="Foo", request=get(foo="2"))
    assert ask(variant, another) == Forward("vary-miss")


def test_the_most_recent_of_several_is_chosen():
    older = keep(cache_control="max-age=60", date=date(-10))
    newer = keep(cache_control="max-age=60", date=date(-5))
    later = keep(cache_control="max-age=60", date=date(-5), at=NOW + 1)
    other = keep(cache_control="max-age=60", vary="Foo", request=get(foo="1"), date=date())
    assert ask(newer, older) == Reuse(newer)
    assert ask(older, newer, other) == Reuse(newer)
    assert ask(later, newer, older) == Reuse(later)
    assert ask(older, newer, other, request=get(foo="1")) == Reuse(other)


def test_no_cache_is_never_reused_unasked():
    stored = keep(cache_control="no-cache, max-age=60, stale-while-revalidate=60", etag='"1"')
    assert ask(stored) == Forward("stale", stored)


def test_stale_while_revalidate_ends():
    stored = keep(cache_control="max-age=60, stale-while-revalidate=30")
    assert ask(stored, after=60) == ReuseWhileValidating(stored)
    assert ask(stored, after=89.9) == ReuseWhileValidating(stored)
    assert ask(stored, after=90) == Forward("stale", stored)


def test_must_revalidate_is_fresh_as_long_as_it_is_fresh():
    stored = keep(cache_control="max-age=60, must-revalidate, stale-while-revalidate=30")
    assert ask(stored, after=59) == Reuse(stored)
    assert ask(stored, after=60) == Forward("stale", stored)
    assert not may_serve_stale_on_error(stored, NOW + 60)


@pytest.mark.parametrize(
    ("directives", "after", "is_reused"),
    [
        ("no-cache", 0, False),
        ("max-age=0", 0.5, False),
        ("max-age=10", 10, True),
        ("max-age=10", 10.5, False),
        ("max-age", 0.5, False),
        ("min-fresh=20", 40, True),
        ("min-fresh=20", 41, False),
        ("max-stale", 0, True),
        ("only-if-cached", 0, True),
        ("no-store", 0, True),
        ("no-transform, foo", 0, True),
        ("", 0, True),
    ],
)
def test_directives_of_the_request(directives, after, is_reused):
    stored = keep(cache_control="max-age=60")
    request = get(cache_control=directives)
    expected = Reuse(stored) if is_reused else Forward("request", stored)
    assert ask(stored, request=request, after=after) == expected
    assert ask(stored, request=request, after=after, policy=CDN) == Reuse(stored)


def test_directives_of_the_request_against_a_stale_response():
    stored = keep(cache_control="max-age=60, stale-while-revalidate=30")
    assert ask(stored, request=get(cache_control="no-cache"), after=70) == Forward("stale", stored)
    assert ask(stored, request=get(cache_control="max-stale"), after=99) == Forward("stale", stored)


def test_only_if_cached():
    assert wants_only_stored(get(cache_control="only-if-cached"))
    assert not wants_only_stored(get())


def test_stale_on_error_within_its_window():
    stored = keep(cache_control="max-age=60, stale-if-error=30")
    assert may_serve_stale_on_error(stored, NOW)
    assert may_serve_stale_on_error(stored, NOW + 89.9)
    assert not may_serve_stale_on_error(stored, NOW + 90)
    assert not may_serve_stale_on_error(keep(cache_control="max-age=60"), NOW + 60)
    validated = keep(cache_control="no-cache, max-age=60, stale-if-error=30")
    assert not may_serve_stale_on_error(validated, NOW)
    assert {500, 502, 503, 504} == STALE_IF_ERROR_STATUSES
