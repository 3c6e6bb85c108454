"""What rules, CORS lists and site settings make of responses."""

from collections.abc import AsyncIterator

import pytest

from edgeproxy.cache.key import QueryPolicy
from edgeproxy.cache.policy import CachePolicy
from edgeproxy.edge.settings import EdgeSettings
from edgeproxy.edge.sites import CorsPolicy
from tests.support.edge import HOST, Pop, make_pop, origin_field, rule

VERSIONED = rule(
    "versioned",
    "/*-v{semver}.js",
    browser_cache_control=b"public, max-age=31536000, immutable",
    cache=CachePolicy(
        edge_lifetime=31536000, honours_request_directives=False, negative_lifetime=10
    ),
    query=QueryPolicy("ignore"),
    generates_validators=True,
)
ENTRY = rule(
    "entry",
    "/bootstrap.js",
    browser_cache_control=b"public, max-age=86400, must-revalidate",
    cache=CachePolicy(edge_lifetime=300, honours_request_directives=False),
    query=QueryPolicy("keep", (b"locale",)),
    generates_validators=True,
)
PASS = rule("pass", "/api/**")
SHOP = CorsPolicy(
    origins=frozenset({b"https://shop.example"}),
    subdomains=((b"https://", b".brand.example"),),
    headers=b"x-widget",
    expose=b"etag",
    max_age_seconds=600,
)


@pytest.fixture
async def pop():
    pop = make_pop(
        VERSIONED,
        ENTRY,
        PASS,
        cors=SHOP,
        hsts=b"max-age=31536000; includeSubDomains",
        set_fields=((b"x-content-type-options", b"nosniff"),),
        remove_fields=frozenset({b"x-powered-by"}),
    )
    yield pop
    await pop.edge.aclose()


async def test_versioned_and_entry_say_exactly_what_browsers_are_to_do(pop: Pop) -> None:
    expected = {
        "/widget-v2.1.0.js": "public, max-age=31536000, immutable",
        "/bootstrap.js": "public, max-age=86400, must-revalidate",
    }
    for target, value in expected.items():
        pop.origin.on("GET", target).reply(
            200, b"x", cache_control="max-age=5", expires="0", pragma="no-cache"
        )
        for outcome in ("miss", "hit"):
            exchange = await pop.get(target)
            assert (exchange.outcome, exchange.field("cache-control")) == (outcome, value)
            assert exchange.field("expires") is None
            assert exchange.field("pragma") is None
    assert (await pop.get("/bootstrap.js")).response.rule == "entry"


async def test_browser_lifetimes_are_not_lent_to_errors_or_private_answers(pop: Pop) -> None:
    pop.origin.on("GET", "/gone-v1.0.0.js").reply(404, b"no")
    for _ in range(2):
        missing = await pop.get("/gone-v1.0.0.js")
        assert missing.field("cache-control") is None
    assert missing.outcome == "hit"
    pop.clock.advance(11)
    assert (await pop.get("/gone-v1.0.0.js")).outcome != "hit"
    pop.origin.on("GET", "/me-v1.0.0.js").reply(200, b"me", cache_control="private")
    assert (await pop.get("/me-v1.0.0.js")).field("cache-control") == "private"


async def test_hits_have_a_strong_tag_and_a_date_that_the_origin_left_out(pop: Pop) -> None:
    pop.origin.on("GET", "/bootstrap.js").reply(200, b"x").undated()
    first = await pop.get("/bootstrap.js")
    hit = await pop.get("/bootstrap.js")
    assert first.field("last-modified") == hit.field("last-modified") == hit.field("date")
    tag = hit.field("etag")
    assert tag
    assert not tag.startswith("W/")
    same = await pop.get("/bootstrap.js", if_none_match=tag)
    assert (same.status, same.body, same.field("etag")) == (304, b"", tag)
    assert same.field("cache-control") == "public, max-age=86400, must-revalidate"
    assert same.field("content-type") is None
    assert (await pop.get("/bootstrap.js", if_modified_since=hit.field("date"))).status == 304


async def test_fields_are_removed_and_set_on_every_response(pop: Pop) -> None:
    for target in ("/bootstrap.js", "/api/x"):
        pop.origin.on("GET", target).reply(
            200,
            b"x",
            x_powered_by="PHP",
            x_content_type_options="sniff",
            alt_svc='h3=":443"',
            strict_transport_security="max-age=1",
        )
        for _ in range(2):
            exchange = await pop.get(target)
            assert exchange.field("x-powered-by") is None
            assert exchange.field("x-content-type-options") == "nosniff"
            assert exchange.field("alt-svc") is None
            hsts = exchange.field("strict-transport-security")
            assert hsts == "max-age=31536000; includeSubDomains"


async def test_no_strict_transport_security_without_transport_security(pop: Pop) -> None:
    pop.connection.scheme = b"http"
    pop.origin.on("GET", "/bootstrap.js").reply(200, b"x", strict_transport_security="max-age=1")
    assert (await pop.get("/bootstrap.js")).field("strict-transport-security") is None


async def test_cors_costs_no_hit_and_poisons_nothing(pop: Pop) -> None:
    pop.origin.on("GET", "/bootstrap.js").reply(
        200, b"x", access_control_allow_origin="https://first.example", vary="Origin"
    )
    shop = await pop.get("/bootstrap.js", origin="https://shop.example")
    brand = await pop.get("/bootstrap.js", origin="https://a.b.brand.example")
    evil = await pop.get("/bootstrap.js", origin="https://evil-brand.example")
    plain = await pop.get("/bootstrap.js")
    allowed = [e.field("access-control-allow-origin") for e in (shop, brand, evil, plain)]
    assert allowed == ["https://shop.example", "https://a.b.brand.example", None, None]
    assert [e.outcome for e in (shop, brand, evil, plain)] == ["miss", "hit", "hit", "hit"]
    assert {e.field("vary") for e in (shop, brand, evil, plain)} == {"Origin"}
    assert brand.field("access-control-expose-headers") == "etag"
    assert origin_field(pop, "origin") is None
    assert pop.store.objects == 1


async def test_vary_origin_is_added_to_what_the_origin_varies_by(pop: Pop) -> None:
    pop.origin.on("GET", "/bootstrap.js").reply(200, b"x", vary="Accept-Encoding")
    assert (await pop.get("/bootstrap.js")).field("vary") == "Accept-Encoding, Origin"
    assert (await pop.get("/bootstrap.js")).outcome == "hit"


async def test_cross_origin_requests_get_their_permission_with_304_and_206(pop: Pop) -> None:
    pop.origin.on("GET", "/bootstrap.js").reply(200, b"0123", etag='"1"')
    await pop.get("/bootstrap.js")
    for fields in ({"if_none_match": '"1"'}, {"range": "bytes=1-2"}):
        exchange = await pop.get("/bootstrap.js", origin="https://shop.example", **fields)
        assert exchange.field("access-control-allow-origin") == "https://shop.example"
        assert exchange.outcome == "hit"


async def test_a_preflight_is_answered_here(pop: Pop) -> None:
    asks = {"method": "OPTIONS", "access_control_request_method": "GET"}
    yes = await pop.get("/bootstrap.js", origin="https://shop.example", **asks)
    assert (yes.status, yes.body) == (204, b"")
    assert yes.field("access-control-allow-origin") == "https://shop.example"
    assert yes.field("access-control-allow-methods") == "GET, HEAD"
    assert yes.field("access-control-allow-headers") == "x-widget"
    assert yes.field("access-control-max-age") == "600"
    no = await pop.get("/bootstrap.js", origin="https://evil.example", **asks)
    assert (no.status, no.field("access-control-allow-origin")) == (204, None)
    assert pop.origin.requests == 0


async def test_other_options_requests_reach_the_origin_with_one_hop_less(pop: Pop) -> None:
    pop.origin.on("OPTIONS", "/api/x").reply(204, allow="GET")
    assert (await pop.get("/api/x", method="OPTIONS", max_forwards="3")).field("allow") == "GET"
    assert origin_field(pop, "max-forwards") == b"2"
    last = await pop.get("/api/x", method="OPTIONS", max_forwards="0")
    assert (last.status, pop.origin.requests) == (204, 1)
    assert (await pop.get("*", method="OPTIONS")).status == 204


async def test_query_policies_join_what_is_the_same_to_the_origin(pop: Pop) -> None:
    pop.origin.on("GET", "/widget-v2.1.0.js").reply(200, b"x")
    pop.origin.on("GET", "/bootstrap.js?locale=de").reply(200, b"de")
    await pop.get("/widget-v2.1.0.js?utm=1")
    assert (await pop.get("/widget-v2.1.0.js?utm=2")).outcome == "hit"
    await pop.get("/bootstrap.js?utm=1&locale=de")
    assert (await pop.get("/bootstrap.js?locale=de&x=y")).outcome == "hit"


async def test_aliases_share_stored_responses(pop: Pop) -> None:
    pop.origin.on("GET", "/bootstrap.js").reply(200, b"x")
    await pop.get("/bootstrap.js", host=HOST)
    for host in ("ALIAS.example.com", "alias.example.com.", "alias.example.com:8443"):
        assert (await pop.get("/bootstrap.js", host=host)).outcome == "hit"


async def test_a_pass_rule_forwards_everything_and_keeps_nothing(pop: Pop) -> None:
    pop.origin.on("GET", "/api/x").reply(200, b"x", cache_control="max-age=60")
    for _ in range(2):
        exchange = await pop.get("/api/x", cookie="id=1", authorization="Bearer t")
        assert (exchange.outcome, exchange.cache_status) == ("bypass", "fra1; fwd=bypass")
    assert pop.origin.requests == 2
    assert origin_field(pop, "cookie") == b"id=1"
    assert origin_field(pop, "authorization") == b"Bearer t"


async def test_content_streams_up_and_invalidates_what_it_changes(pop: Pop) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"new "
        yield b"content"

    pop.origin.on("GET", "/bootstrap.js").reply(200, b"x")
    pop.origin.on("PUT", "/bootstrap.js").reply(201, b"done")
    await pop.get("/bootstrap.js")
    exchange = await pop.get("/bootstrap.js", method="PUT", body=content(), content_length=11)
    assert (exchange.status, exchange.body) == (201, b"done")
    assert exchange.cache_status == "fra1; fwd=method"
    assert pop.origin.received == [b"new content"]
    assert pop.store.objects == 0


async def test_a_failed_unsafe_request_invalidates_nothing(pop: Pop) -> None:
    pop.origin.on("GET", "/bootstrap.js").reply(200, b"x")
    pop.origin.on("DELETE", "/bootstrap.js").reply(403)
    await pop.get("/bootstrap.js")
    await pop.get("/bootstrap.js", method="DELETE")
    assert (await pop.get("/bootstrap.js")).outcome == "hit"


async def test_head_on_a_cold_object_fills_it_and_has_the_fields_of_get(pop: Pop) -> None:
    pop.origin.on("GET", "/bootstrap.js").reply(200, b"12345", etag='"1"')
    cold = await pop.get("/bootstrap.js", method="HEAD")
    assert (cold.status, cold.body, cold.field("content-length")) == (200, b"", "5")
    get = await pop.get("/bootstrap.js")
    head = await pop.get("/bootstrap.js", method="HEAD")
    assert get.outcome == "hit"
    assert head.response.fields == get.response.fields
    assert head.body == b""


async def test_a_coded_answer_nobody_asked_for_is_left_to_the_client_and_its_origin(
    pop: Pop,
) -> None:
    pop.origin.on("GET", "/bootstrap.js").reply(200, b"\x1f\x8b", content_encoding="gzip")
    exchange = await pop.get("/bootstrap.js", accept_encoding="gzip")
    assert exchange.body == b"\x1f\x8b"
    assert [first_of(request, "accept-encoding") for request in pop.origin.asked] == [None, "gzip"]
    assert pop.store.objects == 0
    assert exchange.field("cache-control") == "public, max-age=86400, must-revalidate"


def first_of(request: object, name: str) -> str | None:
    fields = dict(request.fields)  # type: ignore[attr-defined]
    value = fields.get(name.encode())
    return value and value.decode()


async def test_a_range_of_what_is_too_large_to_keep_is_fetched_as_a_range() -> None:
    small = CachePolicy(honours_request_directives=False, body_bytes_max=10)
    pop = make_pop(rule(cache=small), settings=EdgeSettings(stream_window_bytes=150))
    route = pop.origin.on("GET", "/a")
    route.reply(200, [b"." * 100] * 10, cache_control="max-age=60")
    route.reply(206, b"..", content_range="bytes 0-1/1000")
    for _ in range(3):
        exchange = await pop.get(range="bytes=0-1")
        assert (exchange.status, exchange.body) == (206, b"..")
    assert [first_of(request, "range") for request in pop.origin.asked] == [
        None,
        *["bytes=0-1"] * 3,
    ]
    assert pop.origin.chunks_sent <= 3 + 2  # of the first answer no more than the window
    await pop.edge.aclose()


async def test_a_transparent_site_passes_methods_heads_and_ranges_as_they_are() -> None:
    pop = make_pop()
    pop.origin.on("HEAD", "/a").reply(200, b"12345", cache_control="max-age=60")
    pop.origin.on("GET", "/a").reply(206, b"1", content_range="bytes 0-0/5")
    pop.origin.on("REPORT", "/a").reply(207, b"ok")
    head = await pop.get(method="HEAD")
    assert (head.field("content-length"), head.cache_status) == ("5", "fra1; fwd=uri-miss")
    part = await pop.get(range="bytes=0-0", if_range='"1"')
    assert (part.status, part.body) == (206, b"1")
    assert origin_field(pop, "if-range") == b'"1"'
    assert (await pop.get(method="REPORT")).status == 207
    assert pop.store.objects == 0
    await pop.edge.aclose()


async def test_a_range_of_what_went_stale_validates_the_whole() -> None:
    pop = make_pop()
    route = pop.origin.on("GET", "/a")
    route.reply(200, b"0123", cache_control="max-age=60", etag='"1"')
    route.reply(200, b"4567", cache_control="max-age=60", etag='"2"')
    await pop.get()
    pop.clock.advance(61)
    part = await pop.get(range="bytes=1-2")
    assert (part.status, part.body, part.outcome) == (206, b"56", "expired")
    assert origin_field(pop, "range") is None
    assert (await pop.get()).body == b"4567"
    await pop.edge.aclose()


async def test_the_caches_nearer_to_the_origin_stay_in_cache_status() -> None:
    pop = make_pop()
    pop.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60", cache_status="s; hit")
    assert (await pop.get()).cache_status == "s; hit, fra1; fwd=uri-miss; stored"
    assert (await pop.get()).cache_status == "s; hit, fra1; hit; ttl=60"
    await pop.edge.aclose()


async def test_what_was_sent_is_counted_by_rule_and_outcome(pop: Pop) -> None:
    pop.origin.on("GET", "/bootstrap.js").reply(200, b"12345")
    for _ in range(3):
        await pop.get("/bootstrap.js")
    assert pop.counters.exchanges == {
        (HOST, "entry", "miss", "HTTP/2", 200): 1,
        (HOST, "entry", "hit", "HTTP/2", 200): 2,
    }
    assert pop.counters.body_bytes == 15
