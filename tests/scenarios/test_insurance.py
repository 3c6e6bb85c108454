"""What is stale stands in for a next hop that fails, however it was asked (RFC 5861 section 4)."""

import pytest

from edgeproxy.cache.policy import CachePolicy
from edgeproxy.edge.settings import EdgeSettings
from tests.support.barrier import Barrier, settle
from tests.support.edge import Pop, make_pop, rule

INSURED = CachePolicy(honours_request_directives=False, edge_lifetime=60, stale_if_error=600)


@pytest.fixture
async def pop():
    pop = make_pop(rule(cache=INSURED), settings=EdgeSettings(coalesce_timeout_seconds=0.01))
    yield pop
    await pop.edge.aclose()


@pytest.fixture
async def plain():
    pop = make_pop()
    yield pop
    await pop.edge.aclose()


async def make_stale(pop: Pop, cache_control: str = "max-age=60, stale-if-error=600") -> None:
    pop.origin.on("GET", "/a").reply(200, b"good", cache_control=cache_control)
    await pop.get()
    pop.clock.advance(61)
    pop.origin.on("GET", "/a").replies.clear()


def fail(pop: Pop, failure: str, method: str = "GET") -> None:
    if failure == "refused":
        pop.origin.on(method, "/a").fail()
    else:
        pop.origin.on(method, "/a").reply(int(failure), b"bad")


FAILURES = pytest.mark.parametrize("failure", ["refused", "500", "502", "503", "504"])


@FAILURES
async def test_a_follower_that_waited_in_vain_gets_what_is_stale(pop: Pop, failure: str) -> None:
    await make_stale(pop)
    pop.origin.on("GET", "/a").fail().hold(never := Barrier())
    fail(pop, failure)
    leader, follower = pop.crowd(2)
    exchange = await follower
    assert (exchange.status, exchange.body, exchange.outcome) == (200, b"good", "hit_stale")
    assert not leader.done()
    never.open()
    assert (await leader).body == b"good"


@FAILURES
async def test_a_key_that_was_uncacheable_for_a_moment_is_insured(pop: Pop, failure: str) -> None:
    await make_stale(pop)
    pop.origin.on("GET", "/a").reply(403, b"no", cache_control="private")
    fail(pop, failure)
    assert (await pop.get()).status == 403
    exchange = await pop.get()
    assert (exchange.status, exchange.body, exchange.outcome) == (200, b"good", "hit_stale")
    await settle()
    assert pop.origin.bodies_closed == pop.origin.requests - (failure == "refused")


@FAILURES
async def test_head_of_a_transparent_site_is_insured(plain: Pop, failure: str) -> None:
    await make_stale(plain)
    fail(plain, failure, "HEAD")
    exchange = await plain.get(method="HEAD")
    assert (exchange.status, exchange.body) == (200, b"")
    assert exchange.field("content-length") == "4"
    assert exchange.cache_status.startswith("fra1; fwd=stale; ")


@FAILURES
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("directive", ["must-revalidate", "proxy-revalidate", "s-maxage=60"])
async def test_what_must_be_revalidated_never_stands_in(
    plain: Pop, failure: str, method: str, directive: str
) -> None:
    await make_stale(plain, f"max-age=60, stale-if-error=600, {directive}")
    fail(plain, failure, method)
    exchange = await plain.get(method=method)
    # RFC 9111 section 5.2.2.2: 504 where no answer came at all.
    assert exchange.status == (504 if failure == "refused" else int(failure))
    assert exchange.outcome != "hit_stale"


LONG = CachePolicy(
    honours_request_directives=False,
    edge_lifetime=60,
    stale_while_revalidate=600,
    stale_if_error=600,
)


@pytest.mark.parametrize(
    ("status", "fields", "is_withdrawn"),
    [
        (200, {"cache_control": "private"}, True),
        (200, {"cache_control": "no-store"}, True),
        (200, {"vary": "*"}, True),
        (404, {"cache_control": "no-store"}, True),
        (403, {"cache_control": "no-store"}, False),
        (500, {"cache_control": "no-store"}, False),
        (200, {"set_cookie": "a=b"}, False),
        (200, {"content_encoding": "br"}, False),
    ],
)
async def test_what_the_origin_withdraws_does_not_come_back_as_stale(
    status: int, fields: dict[str, str], is_withdrawn: bool
) -> None:
    pop = make_pop(rule(cache=LONG))
    route = pop.origin.on("GET", "/a")
    route.reply(200, b"old")
    route.reply(status, b"new", **fields)
    await pop.get()
    pop.clock.advance(70)
    assert (await pop.get()).body == b"old"  # and meanwhile the origin is asked
    await settle()
    assert pop.store.objects == (0 if is_withdrawn else 1)
    assert pop.origin.chunks_sent == 1  # what nobody may share is not read for nobody
    assert ((await pop.get()).body == b"old") is not is_withdrawn
    await pop.edge.aclose()


async def test_an_error_with_a_lifetime_is_not_said_to_be_stored_where_it_is_not(
    plain: Pop,
) -> None:
    await make_stale(plain, "max-age=60")
    plain.origin.on("GET", "/a").reply(403, b"no", cache_control="max-age=60")
    plain.origin.on("GET", "/b").reply(403, b"no", cache_control="max-age=60")
    assert (await plain.get()).cache_status == "fra1; fwd=stale"
    assert (await plain.get()).cache_status == "fra1; fwd=stale"
    assert (await plain.get("/b")).cache_status == "fra1; fwd=uri-miss; stored"


async def test_staleness_is_told_as_a_negative_lifetime(pop: Pop) -> None:
    await make_stale(pop)
    pop.clock.advance(-0.5)  # half a second stale
    pop.origin.on("GET", "/a").fail()
    exchange = await pop.get()
    assert exchange.cache_status == "fra1; fwd=stale; ttl=-1; detail=stale-if-error"
    assert exchange.field("age") == "60"
