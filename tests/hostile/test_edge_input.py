"""Hostile vectors that the data path itself must withstand, numbered as in docs/verification.md."""

from collections.abc import AsyncIterator

import pytest

from edgeproxy.errors import DownstreamError
from tests.support.edge import HOST, Pop, make_pop, origin_field, rule

CANARY = "canary-7f3a"
UNKEYED = [
    "x-forwarded-host",
    "x-forwarded-scheme",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-forwarded-for",
    "x-host",
    "x-original-url",
    "x-rewrite-url",
    "forwarded",
    "x-http-method-override",
    "x-method-override",
    "x-http-method",
    "accept-encoding",
    "accept-language",
    "origin",
    "user-agent",
    "cookie",
    "referer",
    "range",
    "via",
    "te",
    "upgrade",
    "priority",
    "early-data",
    "max-forwards",
    "x-anything",
]
NEVER_FORWARDED = [name for name in UNKEYED if name.startswith("x-") and name != "x-anything"]


@pytest.fixture
async def pop():
    pop = make_pop(rule())
    yield pop
    await pop.edge.aclose()


@pytest.fixture
async def transparent():
    pop = make_pop()
    yield pop
    await pop.edge.aclose()


@pytest.mark.parametrize("name", UNKEYED)
async def test_1_no_unkeyed_field_reaches_what_is_shared(pop: Pop, name: str) -> None:
    pop.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60")
    await pop.get(fields=[(name.encode(), CANARY.encode())])
    assert not [line for line in pop.origin.asked[0].fields if CANARY.encode() in line[1]]
    assert (await pop.get()).outcome == "hit"


@pytest.mark.parametrize("name", NEVER_FORWARDED)
async def test_1_no_override_reaches_any_origin(transparent: Pop, name: str) -> None:
    transparent.origin.on("GET", "/a").reply(200, b"x")
    transparent.origin.on("POST", "/a").reply(200, b"x")
    await transparent.get(fields=[(name.encode(), b"evil")])
    await transparent.get(method="POST", fields=[(name.encode(), b"evil")])
    assert origin_field(transparent, name, 0) is None
    assert origin_field(transparent, name, 1) is None


async def test_1_a_field_hidden_by_connection_selects_nothing(transparent: Pop) -> None:
    route = transparent.origin.on("GET", "/a")
    route.reply(200, b"for nobody", cache_control="max-age=60", vary="Accept-Language")
    route.reply(200, b"deutsch", cache_control="max-age=60", vary="Accept-Language")
    await transparent.get(accept_language="de", connection="accept-language")
    assert (await transparent.get(accept_language="de")).body == b"deutsch"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("other.example.com", 421),
        ("", 400),
        ("user@" + HOST, 400),
        (HOST + ":0", 400),
        (HOST + ":99999", 400),
        (HOST + "/x", 400),
        (HOST + " ", 400),
        ("a,b", 400),
    ],
)
async def test_2_hosts_that_are_not_ours_are_refused(pop: Pop, host: str, status: int) -> None:
    assert (await pop.get(host=host)).status == status
    assert pop.origin.requests == 0


async def test_2_a_host_that_the_certificate_does_not_name_is_misdirected(pop: Pop) -> None:
    pop.connection.covers = lambda host: host != HOST
    refused = await pop.get()
    assert (refused.status, refused.cache_status) == (421, None)
    assert pop.counters.refusals == {"host-not-on-certificate": 1}


async def test_3_schemes_have_keys_of_their_own(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60")
    await pop.get()
    plain = make_pop(rule())
    plain.connection.scheme = b"http"
    plain.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60")
    await plain.get()
    keys = {key for each in (pop, plain) for key in each.store._index}
    assert len(keys) == 2


@pytest.mark.parametrize("target", ["/a?b=1&a=2", "/a?a=2&b=1", "/a?", "/a", "/a?b=1;a=2"])
async def test_4_the_query_is_kept_byte_for_byte(transparent: Pop, target: str) -> None:
    targets = ["/a?b=1&a=2", "/a?a=2&b=1", "/a?", "/a", "/a?b=1;a=2"]
    for each in targets:
        transparent.origin.on("GET", each).reply(200, each.encode(), cache_control="max-age=60")
        await transparent.get(each)
    exchange = await transparent.get(target)
    assert (exchange.outcome, exchange.body) == ("hit", target.encode())


async def _content() -> AsyncIterator[bytes]:
    yield b"fat"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_5_content_on_get_is_refused_even_on_a_hit(pop: Pop, method: str) -> None:
    pop.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60")
    await pop.get()
    refused = await pop.get(method=method, body=_content())
    assert refused.status == 400
    assert pop.origin.requests == 1
    assert (await pop.get()).outcome == "hit"


async def test_6_no_method_poisons_the_get_of_its_target(transparent: Pop) -> None:
    for method in ("HEAD", "POST", "PUT", "OPTIONS", "DELETE", "REPORT"):
        transparent.origin.on(method, "/a").reply(200, b"wrong", cache_control="max-age=60")
        await transparent.get(method=method)
    transparent.origin.on("GET", "/a").reply(200, b"right", cache_control="max-age=60")
    assert (await transparent.get()).body == b"right"


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "CONNECT", "PURGE"])
async def test_6_18_tunnels_echoes_and_purges_are_refused(transparent: Pop, method: str) -> None:
    refused = await transparent.get(method=method)
    assert refused.status == 405
    assert "GET" in (refused.field("allow") or "")
    assert transparent.origin.requests == 0


async def test_6_unknown_methods_end_at_a_rule(pop: Pop) -> None:
    refused = await pop.get(method="REPORT")
    assert (refused.status, pop.origin.requests) == (501, 0)


@pytest.mark.parametrize("target", ["a", "/a b", "/a#b", "/a\x00", "/\xe4", "http://x/", "*", ""])
async def test_7_targets_that_two_parsers_could_read_differently_are_refused(
    transparent: Pop, target: str
) -> None:
    assert (await transparent.get(target)).status == 400
    assert transparent.origin.requests == 0


@pytest.mark.parametrize("target", ["/a%2fb", "/a/b", "/a%2Fb", "//a/b", "/a/./b", "/a;x/b"])
async def test_7_paths_are_keyed_and_forwarded_as_they_are(transparent: Pop, target: str) -> None:
    transparent.origin.on("GET", target).reply(200, target.encode(), cache_control="max-age=60")
    await transparent.get(target)
    assert transparent.origin.asked[0].target == target.encode()
    assert (await transparent.get(target)).outcome == "hit"


@pytest.mark.parametrize(
    "target",
    ["/account%2fx.css", "/account;.css", "/account%23.css", "/account%0a.css", "/static/..%2fa"],
)
async def test_8_ambiguous_paths_borrow_no_lifetime_from_a_rule(pop: Pop, target: str) -> None:
    pop.origin.on("GET", target).reply(200, b"account", cache_control="max-age=60")
    await pop.get(target)
    assert (await pop.get(target)).outcome == "bypass"


@pytest.mark.parametrize("cache_control", ["no-store", "private"])
async def test_8_an_extension_stores_nothing(pop: Pop, cache_control: str) -> None:
    pop.origin.on("GET", "/account/x.css").reply(200, b"me", cache_control=cache_control)
    await pop.get("/account/x.css", cookie="id=1")
    assert pop.store.objects == 0


@pytest.mark.parametrize("status", [400, 405, 413, 414, 431, 500, 501, 502, 503, 504])
async def test_9_errors_are_not_stored_on_their_own_account(pop: Pop, status: int) -> None:
    pop.origin.on("GET", "/a").reply(status, b"error")
    await pop.get()
    assert pop.store.objects == 0


async def test_10_vary_star_is_not_stored_and_variants_are_bounded(transparent: Pop) -> None:
    transparent.origin.on("GET", "/star").reply(200, b"x", cache_control="max-age=60", vary="*")
    await transparent.get("/star")
    assert transparent.store.objects == 0
    transparent.origin.on("GET", "/a").reply(
        200, b"x", cache_control="max-age=60", vary="User-Agent"
    )
    for number in range(100):
        await transparent.get(user_agent=f"agent {number}")
    assert transparent.store.objects == 32


async def test_11_a_tiny_range_costs_one_fetch_of_the_object(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(200, b"." * 100_000, cache_control="max-age=60")
    for _ in range(5):
        assert (await pop.get(range="bytes=0-0")).body == b"."
    assert pop.origin.requests == 1


@pytest.mark.parametrize("ranges", ["bytes=0-,0-,0-", "bytes=0-1,1-2"])
async def test_11_several_ranges_are_neither_forwarded_nor_answered(
    pop: Pop, transparent: Pop, ranges: str
) -> None:
    for each in (pop, transparent):
        each.origin.on("GET", "/a").reply(200, b"0123", cache_control="private")
        exchange = await each.get(range=ranges)
        assert (exchange.status, exchange.body) == (200, b"0123")
        await each.get(range=ranges)
        assert {origin_field(each, "range", n) for n in range(each.origin.requests)} == {None}


async def test_12_a_conditional_of_one_client_stores_no_empty_body(transparent: Pop) -> None:
    transparent.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60", etag='"1"')
    same = await transparent.get(if_none_match='"1"')
    assert (same.status, origin_field(transparent, "if-none-match")) == (304, None)
    assert (await transparent.get()).body == b"x"


async def test_12_preconditions_are_evaluated_on_what_is_stored(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(200, b"0123", cache_control="max-age=60", etag='"1"')
    await pop.get()
    assert (await pop.get(if_match='"2"')).status == 412
    assert (await pop.get(if_match='"1"')).status == 200
    assert (await pop.get(if_none_match='"2"')).body == b"0123"
    wrong = await pop.get(range="bytes=0-0", if_range='"2"')
    assert (wrong.status, wrong.body) == (200, b"0123")
    beyond = await pop.get(range="bytes=9-")
    assert (beyond.status, beyond.field("content-range")) == (416, "bytes */4")
    assert pop.origin.requests == 1


async def test_15_authorised_requests_bypass_a_rule_whole(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60, public")
    await pop.get()
    own = await pop.get(authorization="Bearer t", cookie="id=1", user_agent="me")
    assert own.cache_status == "fra1; fwd=bypass"
    assert origin_field(pop, "authorization") == b"Bearer t"
    assert origin_field(pop, "user-agent") == b"me"


@pytest.mark.parametrize(
    ("cache_control", "is_stored"),
    [
        ("max-age=60", False),
        ("max-age=60, public", True),
        ("s-maxage=60", True),
        ("max-age=60, must-revalidate", True),
    ],
)
async def test_15_authorised_answers_are_shared_only_with_permission(
    transparent: Pop, cache_control: str, is_stored: bool
) -> None:
    transparent.origin.on("GET", "/a").reply(200, b"x", cache_control=cache_control)
    await transparent.get(authorization="Bearer t")
    assert (transparent.store.objects == 1) is is_stored


async def test_16_cookies_are_not_stored(pop: Pop, transparent: Pop) -> None:
    for each in (pop, transparent):
        each.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60", set_cookie="a=b")
        await each.get()
        assert each.store.objects == 0


async def test_20_a_loop_is_cut_and_a_shield_is_not(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(200, b"x")
    assert (await pop.get(cdn_loop="other, fra1; v=1")).status == 200
    assert (await pop.get("/b", cdn_loop="FRA1, other, fra1;x")).status == 508
    assert (await pop.get("/b", fields=[(b"cdn-loop", b"fra1")] * 2)).status == 508
    assert pop.origin.requests == 1
    assert origin_field(pop, "cdn-loop") == b"fra1"


@pytest.mark.parametrize("target", ["http://169.254.169.254/", "//evil.example/a", "/@evil"])
async def test_21_nothing_in_a_request_chooses_the_upstream(pop: Pop, target: str) -> None:
    pop.origin.on("GET", target).reply(200, b"x")
    await pop.get(target)
    assert {request.target for request in pop.origin.asked} <= {target.encode()}


async def test_22_a_garbage_age_is_no_age(transparent: Pop) -> None:
    """It is neither believed nor passed on; what it hides counts against the origin's lifetime."""
    route = transparent.origin.on("GET", "/a")
    route.reply(200, b"x", cache_control="max-age=60", age="1_0", etag='"1"')
    route.reply(304, cache_control="max-age=60", age="0", etag='"1"')
    assert (await transparent.get()).field("age") is None
    again = await transparent.get()
    assert (again.field("age"), again.body, transparent.origin.requests) == ("0", b"x", 2)


@pytest.mark.parametrize(
    "fields",
    [
        {"cache_control": "private"},
        {"cache_control": "no-store"},
        {"cache_control": "max-age=60", "set_cookie": "session=secret"},
        {"cache_control": "max-age=60", "vary": "*"},
        {},
    ],
)
async def test_23_what_is_for_one_client_is_never_compressed(fields: dict[str, str]) -> None:
    """A secret beside what the client wrote can be guessed by the length of both together."""
    pop = make_pop(rule(codings=(b"br", b"gzip")))
    page = b"<input name=csrf value=secret><p>nothing found for 'sec'</p>" * 100
    route = pop.origin.on("GET", "/search?q=sec")
    route.reply(200, page, content_type="text/html", **fields)
    for _ in range(2):
        answer = await pop.get("/search?q=sec", accept_encoding="br, gzip")
        assert (answer.body, answer.field("content-encoding")) == (page, None)
    assert not pop.counters.codings
    await pop.edge.aclose()


@pytest.mark.parametrize("value", ["200-maybe", "100-continue, x"])
async def test_other_expectations_fail_even_on_a_hit(pop: Pop, value: str) -> None:
    pop.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60")
    await pop.get()
    assert (await pop.get(expect=value)).status == 417
    assert (await pop.get(expect="100-Continue")).status == 200


async def test_a_client_that_breaks_off_its_content_is_told_so(transparent: Pop) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise DownstreamError(408, "slow-body")

    refused = await transparent.get(method="POST", body=broken())
    assert (refused.status, refused.outcome) == (408, "denied")
    assert transparent.counters.refusals == {"slow-body": 1}


async def test_a_defect_is_an_answer_and_not_a_lost_request(
    pop: Pop, caplog: pytest.LogCaptureFixture
) -> None:
    broken = await pop.get("/never-scripted")
    assert broken.status == 500
    assert "unscripted" in caplog.text
    passed = await pop.get("/never-scripted", method="DELETE")
    assert (passed.status, passed.outcome) == (500, "error")
    assert passed.response.site == HOST
