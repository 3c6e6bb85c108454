"""What memory lacks comes back from the tier below, and is answered like any other hit."""

from edgeproxy.edge.sites import Site, Sites
from edgeproxy.store.tiered import TieredStore
from tests.support.edge import HOST, make_pop, rule
from tests.support.lower import DictLower

LARGE = 1 << 20


def pop_over(lower: DictLower, *rules: object, bytes_max: int = LARGE):
    return make_pop(*(rules or (rule(),)), store=TieredStore(bytes_max, LARGE, lower))


async def test_another_start_over_the_same_tier_asks_no_origin() -> None:
    lower = DictLower()
    first = pop_over(lower)
    first.origin.on("GET", "/a").reply(200, body=b"x", cache_control="max-age=60")
    await first.get("/a")
    second = pop_over(lower)
    exchange = await second.get("/a")
    assert (exchange.status, exchange.body, exchange.outcome) == (200, b"x", "hit")
    assert second.origin.requests == 0
    assert second.edge.hit(second.request("/a"), second.clock.now()) is not None


async def test_a_head_is_answered_by_what_is_below() -> None:
    lower = DictLower()
    first = pop_over(lower)
    first.origin.on("GET", "/a").reply(200, body=b"x", cache_control="max-age=60")
    await first.get("/a")
    second = pop_over(lower)
    exchange = await second.get("/a", method="HEAD")
    assert (exchange.status, exchange.outcome) == (200, "hit")


async def test_what_is_stale_below_is_validated() -> None:
    lower = DictLower()
    first = pop_over(lower)
    first.origin.on("GET", "/a").reply(200, body=b"x", cache_control="max-age=60", etag='"1"')
    await first.get("/a")
    second = pop_over(lower)
    second.clock.advance(30 * 86_400)
    second.origin.on("GET", "/a").reply(304, cache_control="max-age=60", etag='"1"')
    exchange = await second.get("/a")
    assert (exchange.body, exchange.outcome) == (b"x", "hit_revalidated")


async def test_nothing_is_read_for_what_is_never_stored() -> None:
    lower = DictLower()
    pop = pop_over(lower, rule("pass"))
    pop.origin.on("GET", "/a").reply(200, body=b"x")
    await pop.get("/a")
    assert not lower.loads


async def test_other_rules_decide_on_what_is_stored_from_the_next_request_on() -> None:
    pop = make_pop(rule())
    pop.origin.on("GET", "/a").reply(200, body=b"x", cache_control="max-age=60")
    await pop.get("/a")
    assert pop.edge.hit(pop.request("/a"), pop.clock.now()) is not None
    passing = Site(name=HOST, hosts=(HOST,), origin=pop.origin, rules=(rule("pass"),))
    pop.edge.adopt(Sites([passing]), None)
    assert (await pop.get("/a")).outcome == "bypass"
    assert pop.origin.requests == 2
