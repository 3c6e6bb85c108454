"""What happens when a stored response has become stale: validated, refilled, insured."""

import pytest

from edgeproxy.cache.policy import CachePolicy
from tests.support.barrier import Barrier, settle
from tests.support.edge import Pop, make_pop, origin_field, rule

INSURED = CachePolicy(
    honours_request_directives=False,
    edge_lifetime=60,
    stale_if_error=600,
    body_bytes_max=1 << 20,
)
PATIENT = CachePolicy(honours_request_directives=False, edge_lifetime=60, stale_while_revalidate=30)


@pytest.fixture
async def pop():
    pop = make_pop(rule(cache=INSURED, generates_validators=True))
    yield pop
    await pop.edge.aclose()


@pytest.fixture
async def plain():
    """A transparent site: only the origin's own words count."""
    pop = make_pop()
    yield pop
    await pop.edge.aclose()


async def test_a_hit_has_its_age_and_what_is_left(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(200, b"x")
    await pop.get()
    pop.clock.advance(12.5)
    hit = await pop.get()
    assert (hit.field("age"), hit.cache_status) == ("12", "fra1; hit; ttl=48")
    pop.clock.advance(0.6)
    assert (await pop.get()).field("age") == "13"
    pop.clock.advance(46.8)
    assert (await pop.get()).cache_status == "fra1; hit; ttl=1"
    pop.clock.advance(0.2)
    assert (await pop.get()).outcome == "expired"


async def test_all_hits_of_one_second_are_the_same_object(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(200, b"x")
    await pop.get()
    first, second = (pop.edge.hit(pop.request(), pop.clock.now()) for _ in range(2))
    assert first is second
    pop.clock.advance(1)
    third = pop.edge.hit(pop.request(), pop.clock.now())
    assert third is not first
    assert third.sections[0] is first.sections[0]


async def test_a_clock_that_goes_back_does_not_show_an_older_second(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(200, b"x")
    await pop.get()
    pop.clock.advance(10)
    assert (await pop.get()).field("age") == "10"
    pop.clock.advance(-5)
    assert (await pop.get()).field("age") == "5"


async def test_an_upstream_age_counts(plain: Pop) -> None:
    plain.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60", age="20")
    assert (await plain.get()).field("age") == "20"
    plain.clock.advance(5)
    hit = await plain.get()
    assert (hit.field("age"), hit.cache_status) == ("25", "fra1; hit; ttl=35")
    plain.clock.advance(36)
    assert (await plain.get()).outcome == "expired"


async def test_a_304_freshens_and_everybody_gets_the_stored_content(plain: Pop) -> None:
    route = plain.origin.on("GET", "/a")
    route.reply(200, b"x", cache_control="max-age=60", etag='"1"')
    route.reply(304, cache_control="max-age=90", etag='"1"').hold(until := Barrier())
    await plain.get()
    plain.clock.advance(61)
    crowd = plain.crowd(3)
    await until.reached()
    await settle()
    until.open()
    exchanges = [await task for task in crowd]
    assert {(e.status, e.body, e.outcome) for e in exchanges} == {(200, b"x", "hit_revalidated")}
    assert exchanges[0].cache_status == "fra1; fwd=stale; fwd-status=304"
    assert exchanges[1].cache_status == "fra1; fwd=stale; fwd-status=304; collapsed"
    assert origin_field(plain, "if-none-match") == b'"1"'
    assert plain.origin.requests == 2
    hit = await plain.get()
    assert (hit.outcome, hit.field("cache-control")) == ("hit", "max-age=90")
    assert plain.store.objects == 1


async def test_a_304_that_makes_the_response_uncacheable_is_for_the_asker_alone(
    plain: Pop,
) -> None:
    route = plain.origin.on("GET", "/a")
    route.reply(200, b"x", cache_control="max-age=60", etag='"1"')
    route.reply(304, cache_control="no-cache", etag='"1"').hold(until := Barrier())
    await plain.get()
    plain.clock.advance(61)
    crowd = plain.crowd(3)
    await until.reached()
    await settle()
    until.open()
    assert {(await task).body for task in crowd} == {b"x"}
    assert plain.origin.requests == 4
    assert (await plain.get()).outcome == "hit_revalidated"


async def test_a_304_that_speaks_of_nothing_stored_is_asked_again(plain: Pop) -> None:
    route = plain.origin.on("GET", "/a")
    route.reply(200, b"x", cache_control="max-age=60", etag='"1"')
    route.reply(304, etag='"2"')
    route.reply(200, b"y", cache_control="max-age=60", etag='"2"')
    await plain.get()
    plain.clock.advance(61)
    assert (await plain.get()).body == b"y"
    assert origin_field(plain, "if-none-match") is None
    assert plain.origin.bodies_closed == 3


async def test_a_304_to_an_unconditional_request_is_the_origins_fault(plain: Pop) -> None:
    plain.origin.on("GET", "/a").reply(304)
    exchange = await plain.get()
    assert exchange.status == 502
    assert exchange.field("proxy-status") == "fra1; error=http_protocol_error"


async def test_a_304_may_confirm_the_variant_of_somebody_else(plain: Pop) -> None:
    route = plain.origin.on("GET", "/a")
    named = {"cache_control": "max-age=60", "vary": "Accept-Language", "etag": '"1"'}
    route.reply(200, b"x", **named)
    route.reply(304, **named)
    await plain.get(accept_language="de")
    exchange = await plain.get(accept_language="de-AT")
    assert (exchange.body, exchange.cache_status) == (b"x", "fra1; fwd=vary-miss; fwd-status=304")
    assert (await plain.get(accept_language="de-AT")).outcome == "hit"
    assert (await plain.get(accept_language="de")).outcome == "hit"
    assert plain.origin.requests == 2


async def test_a_refill_with_the_same_bytes_keeps_the_validators(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(200, b"x")
    await pop.get()
    before = await pop.get()
    pop.clock.advance(61)
    await pop.get()
    after = await pop.get()
    assert after.outcome == "hit"
    for name in ("etag", "last-modified"):
        assert after.field(name) == before.field(name)
    assert after.field("date") != before.field("date")


async def test_generated_validators_never_reach_the_origin(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(200, b"x")
    await pop.get()
    pop.clock.advance(61)
    await pop.get()
    assert origin_field(pop, "if-none-match") is None
    assert origin_field(pop, "if-modified-since") is None


async def test_an_unreachable_origin_is_bridged_with_stale_content_for_its_time(pop: Pop) -> None:
    route = pop.origin.on("GET", "/a")
    route.reply(200, b"x")
    route.fail("connection_refused")
    await pop.get()
    pop.clock.advance(100)
    stale = await pop.get()
    assert (stale.status, stale.body, stale.outcome) == (200, b"x", "hit_stale")
    assert stale.cache_status == "fra1; fwd=stale; ttl=-40; detail=stale-if-error"
    assert stale.field("proxy-status") == "fra1; error=connection_refused"
    assert stale.field("age") == "100"
    assert pop.counters.stale_served == {"error": 1}
    pop.clock.advance(600)
    gone = await pop.get()
    assert (gone.status, gone.outcome) == (502, "error")
    assert gone.cache_status is None
    assert gone.field("cache-control") == "no-store"


async def test_a_server_error_is_bridged_and_then_passed_on_as_it_is(pop: Pop) -> None:
    route = pop.origin.on("GET", "/a")
    route.reply(200, b"x")
    route.reply(503, b"origin's own words")
    await pop.get()
    pop.clock.advance(100)
    stale = await pop.get()
    assert stale.body == b"x"
    assert stale.cache_status == "fra1; fwd=stale; fwd-status=503; ttl=-40; detail=stale-if-error"
    pop.clock.advance(600)
    assert (await pop.get()).body == b"origin's own words"
    assert pop.store.objects == 1


async def test_stale_serves_preconditions_and_ranges_too(pop: Pop) -> None:
    route = pop.origin.on("GET", "/a")
    route.reply(200, b"0123456789")
    route.fail()
    await pop.get()
    pop.clock.advance(100)
    part = await pop.get(range="bytes=3-4")
    assert (part.status, part.body, part.outcome) == (206, b"34", "hit_stale")


async def test_what_must_be_revalidated_and_cannot_be_is_504(plain: Pop) -> None:
    route = plain.origin.on("GET", "/a")
    route.reply(
        200, b"x", cache_control="max-age=60, must-revalidate, stale-if-error=600", etag='"1"'
    )
    route.fail("connection_refused", 502)
    await plain.get()
    plain.clock.advance(61)
    exchange = await plain.get()
    assert exchange.status == 504
    assert exchange.field("proxy-status") == "fra1; error=connection_refused"


async def test_a_truncated_refill_leaves_what_is_stored(pop: Pop) -> None:
    route = pop.origin.on("GET", "/a")
    route.reply(200, b"old")
    route.reply(200, [b"n", b"ew"]).cut(1)
    route.fail()
    await pop.get()
    pop.clock.advance(61)
    assert (await pop.get()).failure is not None
    assert (await pop.get()).body == b"old"


async def test_stale_is_served_at_once_and_validated_once_meanwhile() -> None:
    pop = make_pop(rule(cache=PATIENT))
    route = pop.origin.on("GET", "/a")
    route.reply(200, b"old")
    route.reply(200, b"new").hold(until := Barrier())
    await pop.get()
    pop.clock.advance(70)
    for _ in range(5):
        stale = await pop.get()
        assert (stale.body, stale.outcome) == (b"old", "hit_stale")
        assert stale.cache_status == "fra1; hit; ttl=-10; detail=stale-while-revalidate"
    await until.reached()
    assert pop.origin.requests == 2
    assert pop.counters.stale_served == {"while-revalidate": 5}
    until.open()
    await settle()
    fresh = await pop.get()
    assert (fresh.body, fresh.outcome) == (b"new", "hit")
    await pop.edge.aclose()


async def test_stale_while_revalidate_ends_with_its_window() -> None:
    pop = make_pop(rule(cache=PATIENT))
    route = pop.origin.on("GET", "/a")
    route.reply(200, b"old")
    route.reply(200, b"new")
    await pop.get()
    pop.clock.advance(91)
    fresh = await pop.get()
    assert (fresh.body, fresh.cache_status) == (b"new", "fra1; fwd=stale; stored")
    await pop.edge.aclose()


async def test_a_background_refill_that_fails_harms_nobody() -> None:
    pop = make_pop(rule(cache=PATIENT))
    route = pop.origin.on("GET", "/a")
    route.reply(200, b"old")
    route.fail()
    await pop.get()
    pop.clock.advance(70)
    for _ in range(2):
        assert (await pop.get()).body == b"old"
        await settle()
    assert pop.origin.requests == 3
    await pop.edge.aclose()


async def test_a_stored_good_response_outlives_an_error(plain: Pop) -> None:
    route = plain.origin.on("GET", "/a")
    route.reply(200, b"good", cache_control="max-age=60", etag='"1"')
    route.reply(500, b"bad", cache_control="max-age=600")
    route.reply(304, etag='"1"', cache_control="max-age=60")
    await plain.get()
    plain.clock.advance(61)
    assert (await plain.get()).body == b"bad"
    assert plain.counters.discarded_fills == {"error-for-good": 1}
    assert (await plain.get()).body == b"good"


async def test_only_if_cached_never_asks(plain: Pop) -> None:
    exchange = await plain.get(cache_control="only-if-cached")
    assert (exchange.status, plain.origin.requests) == (504, 0)


async def test_a_transparent_cache_listens_to_no_cache_and_a_rule_does_not(
    pop: Pop, plain: Pop
) -> None:
    for each in (pop, plain):
        each.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60")
        await each.get()
        await each.get(cache_control="no-cache")
    assert (pop.origin.requests, plain.origin.requests) == (1, 2)
