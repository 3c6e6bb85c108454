from math import inf

import pytest

from edgeproxy.cache.freshness import (
    Freshness,
    corrected_initial_age,
    fresh_until,
    freshness_of,
)
from edgeproxy.cache.policy import (
    ERROR_SECONDS_MAX,
    HEURISTIC_SECONDS_MAX,
    TRANSPARENT,
    CachePolicy,
)
from tests.support.caching import NOW, date, lines

RULE = CachePolicy(edge_lifetime=30, negative_lifetime=5)


def fresh(status=200, *, policy=TRANSPARENT, **fields):
    return freshness_of(status, lines(**fields), response_time=NOW, policy=policy)


def lifetime(status=200, **fields):
    found = fresh(status, **fields)
    return found.lifetime, found.source


def test_s_maxage_goes_before_max_age_before_expires():
    expires = date(10)
    assert lifetime(cache_control="s-maxage=30, max-age=20", expires=expires) == (30, "s-maxage")
    assert lifetime(cache_control="max-age=20", expires=expires) == (20, "max-age")
    assert lifetime(expires=expires) == (10, "expires")
    # Broken is stale, and does not fall through to the next one.
    assert lifetime(cache_control="s-maxage=x, max-age=20") == (0, "s-maxage")
    assert lifetime(cache_control="max-age=0", expires=expires) == (0, "max-age")


def test_expires_counts_from_date():
    assert lifetime(expires=date(100), date=date(-50)) == (150, "expires")
    assert lifetime(expires=date(100), date="garbage") == (100, "expires")
    assert lifetime(expires=date(-100)) == (0, "expires")
    assert lifetime(expires="Fri, 31 Dec 9999 23:59:59 GMT") == (2**31, "expires")


@pytest.mark.parametrize("value", ["0", "-1", "", "Thu, 18 Aug 2050 02:01:18 UTC", "tomorrow"])
def test_invalid_expires_is_expired(value):
    assert lifetime(expires=value, last_modified=date(-86400)) == (0, "expires")


def test_contradictory_expires_is_expired():
    assert lifetime(expires=[date(10), date(20)]) == (0, "expires")


def test_targeted_directives_replace_the_general_ones():
    assert lifetime(
        cdn_cache_control="max-age=600", cache_control="no-store, max-age=1", expires="0"
    ) == (600, "targeted")
    found = fresh(cdn_cache_control="max-age=600", cache_control="no-cache, must-revalidate")
    assert not found.always_validate
    assert not found.must_revalidate
    assert fresh(cdn_cache_control="no-cache", cache_control="max-age=60").always_validate
    assert fresh(cdn_cache_control="max-age=1, must-revalidate").must_revalidate
    # Expires does not come back in the shadow of a targeted field without a lifetime.
    assert lifetime(cdn_cache_control="none", expires=date(50)) == (0, "none")


@pytest.mark.parametrize("value", ["", "  ", "max-age=1, &&&", "MaX-aGe=9", "max-age =9", "a=1,"])
def test_an_invalid_or_empty_targeted_field_is_ignored(value):
    assert lifetime(cdn_cache_control=value, cache_control="max-age=60") == (60, "max-age")


@pytest.mark.parametrize("value", ['"100"', "100.5", "?1", "?0", "abc", "(1 2)", ":aGk=:", "-5"])
def test_a_targeted_lifetime_of_another_type_is_stale(value):
    assert lifetime(cdn_cache_control=f"max-age={value}", cache_control="max-age=60") == (
        0,
        "targeted",
    )


def test_heuristic_freshness_is_a_tenth_and_at_most_a_day():
    assert lifetime(last_modified=date(-1000)) == (100, "heuristic")
    assert lifetime(last_modified=date(-1000), date=date(-500)) == (50, "heuristic")
    assert lifetime(last_modified=date(-(10**8))) == (HEURISTIC_SECONDS_MAX, "heuristic")
    assert lifetime(last_modified=date(1000)) == (0, "heuristic")
    assert lifetime(last_modified="garbage") == (0, "none")
    assert lifetime() == (0, "none")


@pytest.mark.parametrize("status", [200, 203, 204, 300, 301, 308, 404, 410])
def test_statuses_that_may_be_guessed(status):
    assert lifetime(status, last_modified=date(-1000)) == (100, "heuristic")


@pytest.mark.parametrize(
    "status", [201, 202, 302, 303, 307, 403, 405, 414, 500, 501, 502, 503, 504, 599]
)
def test_statuses_that_may_not(status):
    assert lifetime(status, last_modified=date(-1000)) == (0, "none")


def test_public_lets_any_harmless_status_be_guessed():
    fields = {"cache_control": "public", "last_modified": date(-1000)}
    assert lifetime(302, **fields) == (100, "heuristic")
    assert lifetime(599, **fields) == (ERROR_SECONDS_MAX, "heuristic")
    assert lifetime(503, **fields) == (0, "none")


def test_errors_are_capped_and_never_stale():
    found = fresh(503, cache_control="max-age=3600, stale-if-error=9", policy=TRANSPARENT)
    assert found == Freshness(ERROR_SECONDS_MAX, "max-age", must_revalidate=True)
    assert lifetime(404, cache_control="max-age=3600") == (3600, "max-age")
    assert lifetime(400, cache_control="max-age=3") == (3, "max-age")


def test_the_rule_replaces_every_lifetime_of_the_origin():
    for fields in (
        {},
        {"cache_control": "max-age=5, s-maxage=9"},
        {"expires": "0"},
        {"cdn_cache_control": "max-age=7"},
    ):
        assert lifetime(policy=RULE, **fields) == (30, "rule")
    assert lifetime(308, policy=RULE) == (30, "rule")
    assert lifetime(302, policy=RULE, cache_control="max-age=5") == (0, "none")


def test_the_rule_does_not_lift_a_prohibition():
    assert fresh(policy=RULE, cache_control="no-cache").always_validate
    assert fresh(policy=RULE, cache_control="private").always_validate
    assert fresh(policy=RULE, cache_control="no-store").always_validate


def test_negative_lifetimes():
    assert lifetime(404, policy=RULE) == (5, "negative")
    assert lifetime(404, policy=RULE, cache_control="max-age=3600") == (5, "negative")
    assert lifetime(410, policy=RULE, cache_control="max-age=2") == (2, "negative")
    assert lifetime(404, policy=CachePolicy(edge_lifetime=30)) == (0, "negative")
    without_rule = CachePolicy(negative_lifetime=5)
    assert lifetime(404, policy=without_rule, last_modified=date(-1000)) == (5, "negative")
    assert lifetime(200, policy=without_rule, cache_control="max-age=60") == (60, "max-age")


def test_the_default_lifetime_serves_where_the_origin_is_silent():
    policy = CachePolicy(default_lifetime=90)
    assert lifetime(policy=policy) == (90, "default")
    assert lifetime(policy=policy, last_modified=date(-1000)) == (90, "default")
    assert lifetime(policy=policy, cache_control="max-age=5") == (5, "max-age")
    assert lifetime(policy=policy, expires="0") == (0, "expires")
    assert lifetime(404, policy=policy) == (0, "none")


@pytest.mark.parametrize(
    ("value", "always"),
    [
        ("no-cache", True),
        ('no-cache="a"', False),
        ('no-cache="a", no-cache', True),
        ("private", True),
        ('private="a"', False),
        ("no-store", True),
        ("no-store, must-understand", False),
        ("max-age=1, must-revalidate", False),
    ],
)
def test_what_must_always_be_validated(value, always):
    found = fresh(cache_control=value, policy=CachePolicy(stale_if_error=60))
    assert found.always_validate is always
    assert not (always and found.stale_if_error)


def windows(policy=TRANSPARENT, **fields):
    found = fresh(policy=policy, **fields)
    return found.stale_while_revalidate, found.stale_if_error


def test_the_origins_windows():
    stated = "max-age=1, stale-while-revalidate=10, stale-if-error=20"
    assert windows(cache_control=stated) == (10, 20)
    assert windows(cache_control="max-age=1") == (0, 0)
    assert windows(cache_control="max-age=1, stale-if-error=x") == (0, 0)
    assert windows(cdn_cache_control=stated, cache_control="max-age=0") == (10, 20)


@pytest.mark.parametrize("directive", ["must-revalidate", "proxy-revalidate", "s-maxage=1"])
def test_windows_are_shut_by_the_origin(directive):
    stated = f"max-age=1, stale-while-revalidate=10, stale-if-error=20, {directive}"
    transparent = CachePolicy(stale_while_revalidate=30, stale_if_error=40)
    assert windows(cache_control=stated) == (0, 0)
    assert windows(policy=transparent, cache_control=stated) == (0, 0)
    assert fresh(policy=transparent, cache_control=stated).must_revalidate
    # A rule without windows of its own lifts nothing.
    assert windows(policy=RULE, cache_control=stated) == (0, 0)
    assert fresh(policy=RULE, cache_control=stated).must_revalidate


def test_the_policys_windows_serve_where_the_origin_states_none():
    policy = CachePolicy(stale_while_revalidate=30, stale_if_error=40)
    assert windows(policy=policy, cache_control="max-age=1") == (30, 40)
    assert windows(policy=policy, cache_control="max-age=1, stale-if-error=5") == (30, 5)


def test_a_rule_with_windows_insures_even_a_strict_origin():
    policy = CachePolicy(edge_lifetime=30, stale_if_error=600)
    strict = "max-age=0, must-revalidate, stale-while-revalidate=9"
    assert windows(policy=policy) == (0, 600)
    assert windows(policy=policy, cache_control=strict) == (0, 600)
    assert not fresh(policy=policy, cache_control=strict).must_revalidate
    assert windows(policy=policy, cache_control="no-cache") == (0, 0)


def age(*, took=0.0, **fields):
    return corrected_initial_age(lines(**fields), request_time=NOW - took, response_time=NOW)


def test_the_age_on_arrival():
    assert age() == 0
    assert age(took=3) == 3
    assert age(age="10", took=3) == 13
    assert age(date=date(-60), took=3) == 60
    assert age(date=date(-5), age="10", took=3) == 13
    assert age(date=date(60)) == 0
    assert age(date="garbage") == 0
    # The wall clock was set back while the origin answered.
    assert age(age="10", took=-3) == 10


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7200", 7200),
        (["7200", "0"], 7200),
        ("7200,0", 7200),
        ("0, 7200", 0),
        (["0", "7200"], 0),
        ("abc", 0),
        ("-7200", 0),
        ("7200.0", 0),
        ("+5", 0),
        ("", 0),
        ("99999999999", 2**31),
    ],
)
def test_age_as_received(value, seconds):
    assert age(age=value) == seconds


@pytest.mark.parametrize("value", [[], "5", " 7 ", "0,7200", "5,x"])
def test_an_age_that_leaves_no_doubt(value):
    assert lifetime(cache_control="max-age=60", age=value) == (60, "max-age")


@pytest.mark.parametrize(
    "value",
    [
        ["0", "0"],
        ["0", "7200"],
        "0, 0",
        "0, 7200",
        *("abc", "-5", "+5", "1_0", "5.0", "5;a=1", "", ",5"),
    ],
)
def test_an_age_in_doubt_leaves_nothing_of_the_origins_lifetime(value):
    assert lifetime(cache_control="max-age=60", age=value) == (0, "max-age")
    assert lifetime(cdn_cache_control="max-age=60", age=value) == (0, "targeted")
    assert lifetime(last_modified=date(-1000), age=value) == (0, "heuristic")
    # An operator's lifetime begins with the arrival: nothing is to be deducted from it.
    assert lifetime(policy=RULE, age=value) == (30, "rule")
    assert lifetime(policy=CachePolicy(default_lifetime=9), age=value) == (9, "default")


def test_the_moment_it_turns_stale():
    found = Freshness(60, "max-age")
    assert fresh_until(found, response_time=NOW, initial_age=10.0) == NOW + 50
    own = Freshness(60, "rule", counts_from_arrival=True)
    assert fresh_until(own, response_time=NOW, initial_age=10.0) == NOW + 60
    always = Freshness(60, "max-age", always_validate=True)
    assert fresh_until(always, response_time=NOW, initial_age=0.0) == -inf


@pytest.mark.parametrize(
    ("policy", "fields", "status", "expected"),
    [
        (CachePolicy(edge_lifetime=30), {"cache_control": "max-age=5"}, 200, True),
        (CachePolicy(edge_lifetime=30), {"cache_control": "max-age=5, no-cache"}, 200, True),
        (CachePolicy(edge_lifetime=30, negative_lifetime=5), {}, 404, True),
        (CachePolicy(default_lifetime=30), {}, 200, True),
        (CachePolicy(default_lifetime=30), {"cache_control": "max-age=5"}, 200, False),
        (CachePolicy(negative_lifetime=5), {"cache_control": "max-age=60"}, 404, False),
        (TRANSPARENT, {"cache_control": "max-age=5"}, 200, False),
    ],
)
def test_an_operators_lifetime_counts_from_the_arrival(policy, fields, status, expected):
    found = freshness_of(status, lines(**fields), response_time=NOW, policy=policy)
    assert found.counts_from_arrival is expected
