import pytest

from edgeproxy.cache.freshness import Freshness
from edgeproxy.cache.policy import TRANSPARENT, CachePolicy
from edgeproxy.cache.storing import (
    REFUSED_FOR_THE_ASKER,
    DoNotStore,
    Store,
    asks_for_itself,
    fields_for_the_asker,
    fields_to_store,
    is_withheld,
    may_replace,
    may_store,
    withdraws,
)
from tests.support.caching import NOW, date, get, keep, lines

RULE = CachePolicy(edge_lifetime=30, negative_lifetime=5)


def decide(status=200, *, request=None, policy=TRANSPARENT, **fields):
    return may_store(request or get(), status, lines(**fields), policy=policy, response_time=NOW)


def test_an_explicit_lifetime_is_enough():
    assert decide(cache_control="max-age=60") == Store(Freshness(60, "max-age"))
    assert isinstance(decide(expires=date(60)), Store)
    assert isinstance(decide(last_modified=date(-1000)), Store)
    assert isinstance(decide(599, cache_control="max-age=60"), Store)
    assert isinstance(decide(302, cache_control="s-maxage=60"), Store)


def reason(*args, **kwargs):
    decision = decide(*args, **kwargs)
    assert isinstance(decision, DoNotStore)
    return decision.reason


def test_the_rule_may_forbid():
    assert reason(cache_control="max-age=60", policy=CachePolicy(may_store=False)) == "pass"


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "OPTIONS", "get", "PURGE"])
def test_only_get_is_stored(method):
    assert reason(request=get(method=method), cache_control="max-age=60") == "method"


@pytest.mark.parametrize("status", [99, 100, 103, 199, 206, 304, 412, 416, 417, 421, 600, 999])
def test_statuses_that_are_never_stored(status):
    assert reason(status, cache_control="max-age=60") == "status"


@pytest.mark.parametrize("status", [201, 204, 300, 302, 307, 400, 403, 500, 502, 503, 599])
def test_a_rule_stores_what_it_is_meant_for(status):
    assert reason(status, policy=RULE, cache_control="max-age=60") == "status"


@pytest.mark.parametrize("status", [200, 203, 301, 308, 404, 410])
def test_statuses_that_a_rule_stores(status):
    decision = decide(status, policy=RULE)
    assert isinstance(decision, Store)
    assert decision.freshness.lifetime == (5 if status > 400 else 30)


@pytest.mark.parametrize("policy", [TRANSPARENT, RULE])
@pytest.mark.parametrize(
    ("why", "fields"),
    [
        ("no-store", {"cache_control": "no-store, max-age=60"}),
        ("no-store", {"cache_control": ["max-age=60", "NO-STORE"]}),
        ("private", {"cache_control": "private, max-age=60"}),
        ("private", {"cache_control": 'private="", max-age=60'}),
        ("no-store", {"cdn_cache_control": "no-store", "cache_control": "max-age=60"}),
        ("private", {"cdn_cache_control": "private", "cache_control": "max-age=60"}),
        ("vary", {"cache_control": "max-age=60", "vary": "a, *"}),
        ("set-cookie", {"cache_control": "max-age=60", "set_cookie": "a=b"}),
        ("too-large", {"cache_control": "max-age=60", "content_length": str(10**15)}),
        ("too-large", {"cache_control": "max-age=60", "content_length": "1, 2"}),
        ("no-lifetime", {"cache_control": "no-cache"}),
    ],
)
def test_what_no_policy_stores(policy, why, fields):
    assert reason(policy=policy, **fields) == why


def test_a_targeted_field_frees_what_cache_control_forbids():
    assert isinstance(decide(cdn_cache_control="max-age=9", cache_control="no-store"), Store)
    assert isinstance(decide(cdn_cache_control="max-age=9", cache_control="private"), Store)


def test_requests_with_no_store_where_the_policy_listens():
    request = get(cache_control="no-store")
    assert reason(request=request, cache_control="max-age=60") == "request-no-store"
    deaf = CachePolicy(honours_request_directives=False)
    assert isinstance(decide(request=request, policy=deaf, cache_control="max-age=60"), Store)
    other = get(cache_control="no-cache")
    assert isinstance(decide(request=other, cache_control="max-age=60"), Store)


def test_authorized_requests_need_permission():
    request = get(authorization="Basic eA==")
    assert reason(request=request, cache_control="max-age=60") == "authorization"
    assert reason(request=request, policy=RULE) == "authorization"
    for permission in ("public", "s-maxage=60", "must-revalidate"):
        fields = {"cache_control": f"max-age=60, {permission}"}
        assert isinstance(decide(request=request, **fields), Store)


@pytest.mark.parametrize(
    ("request_fields", "policy", "expected"),
    [
        ({}, TRANSPARENT, False),
        ({"cache_control": "no-cache"}, TRANSPARENT, False),
        ({"cache_control": "no-store"}, TRANSPARENT, True),
        ({"cache_control": "no-store"}, CachePolicy(honours_request_directives=False), False),
        ({"authorization": "Basic eA=="}, TRANSPARENT, True),
    ],
)
def test_requests_whose_answer_others_may_not_get(request_fields, policy, expected):
    request = get(**request_fields)
    assert asks_for_itself(request, policy=policy) is expected
    if expected:
        assert reason(request=request, cache_control="max-age=60") in REFUSED_FOR_THE_ASKER


def test_what_came_too_early_says_nothing_of_what_comes_in_time():
    early = get(early_data="1")
    assert asks_for_itself(early, policy=TRANSPARENT)
    assert reason(425, request=early, cache_control="max-age=60") == "too-early"
    assert "too-early" in REFUSED_FOR_THE_ASKER
    assert isinstance(decide(200, request=early, cache_control="max-age=60"), Store)


def test_must_understand_replaces_no_store_where_the_status_is_understood():
    fields = {"cache_control": "no-store, must-understand, max-age=60"}
    assert isinstance(decide(200, **fields), Store)
    assert reason(599, **fields) == "status"
    assert reason(299, cache_control="must-understand, max-age=60") == "status"


def test_cookies():
    willing = CachePolicy(store_set_cookie=True)
    assert isinstance(decide(policy=willing, cache_control="max-age=60", set_cookie="a=b"), Store)
    # The origin names the cookie as the private part: without it, the rest may be stored.
    for qualified in ('private="set-cookie"', 'no-cache="Set-Cookie"'):
        decision = decide(cache_control=f"max-age=60, {qualified}", set_cookie="a=b")
        assert isinstance(decision, Store)


def test_without_a_lifetime_a_validator_is_worth_keeping():
    assert reason() == "no-lifetime"
    assert reason(cache_control="max-age=0") == "no-lifetime"
    assert isinstance(decide(etag='"1"'), Store)
    assert isinstance(decide(cache_control="no-cache", etag='"1"'), Store)
    assert isinstance(decide(cache_control="no-cache", last_modified=date(-5)), Store)
    assert isinstance(decide(cache_control="max-age=0, stale-if-error=60"), Store)
    assert isinstance(decide(cache_control="max-age=0, stale-while-revalidate=60"), Store)
    # A redirect that states nothing may not be stored, validator or not.
    assert reason(302, etag='"1"') == "no-lifetime"
    assert isinstance(decide(302, cache_control="max-age=0", etag='"1"'), Store)


@pytest.mark.parametrize("status", [400, 404, 410, 500, 503])
def test_errors_without_a_lifetime_are_not_kept(status):
    assert reason(status, etag='"1"') == "no-lifetime"
    assert reason(status, cache_control="max-age=0", etag='"1"') == "no-lifetime"


def test_a_declared_length_within_the_bound():
    policy = CachePolicy(body_bytes_max=10)
    assert isinstance(decide(policy=policy, cache_control="max-age=60", content_length="10"), Store)
    assert reason(policy=policy, cache_control="max-age=60", content_length="11") == "too-large"


def test_fields_that_are_kept():
    received = lines(
        connection="a",
        a="1",
        keep_alive="x",
        proxy_authenticate="x",
        proxy_authentication_info="x",
        proxy_authorization="x",
        cache_control='private="B", no-cache="c", max-age=60',
        b="2",
        c="3",
        x_unknown="4",
        age="5",
        warning="6",
    )
    assert [name for name, _ in fields_to_store(received)] == [
        b"cache-control",
        b"x-unknown",
        b"age",
        b"warning",
    ]
    assert [name for name, _ in fields_for_the_asker(received)] == [b"b", b"c"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("no-store", True),
        ("private", True),
        ('private="a"', False),
        ("no-store, must-understand", False),
        ("no-cache", False),
        ("max-age=60", False),
    ],
)
def test_what_is_withheld_from_every_store(value, expected):
    assert is_withheld(lines(cache_control=value)) is expected


@pytest.mark.parametrize(
    ("old", "new", "may"),
    [
        (200, 200, True),
        (200, 301, True),
        (200, 500, False),
        (200, 503, False),
        (200, 403, False),
        (301, 400, False),
        (200, 404, True),
        (200, 410, True),
        (404, 500, True),
        (503, 200, True),
    ],
)
def test_a_good_response_is_not_replaced_by_an_error(old, new, may):
    assert may_replace(keep(old), new) is may


@pytest.mark.parametrize(
    ("status", "why", "expected"),
    [
        (200, "private", True),
        (301, "no-store", True),
        (404, "no-lifetime", True),
        (410, "vary", True),
        (403, "private", False),
        (500, "no-store", False),
        (200, "set-cookie", False),
        (200, "authorization", False),
        (200, "request-no-store", False),
        (206, "status", False),
    ],
)
def test_what_ends_an_earlier_response(status, why, expected):
    assert withdraws(status, why) is expected
