"""A crowd costs the origin one request, and nobody waits for what is not theirs."""

import asyncio

import pytest

from edgeproxy.cache.policy import CachePolicy
from edgeproxy.edge.settings import EdgeSettings
from edgeproxy.http.messages import ConnectionInfo
from tests.support.barrier import Barrier, settle
from tests.support.edge import HOST, Exchange, Pop, make_pop, origin_field, rule


async def all_of(crowd: "list[asyncio.Task[Exchange]]") -> list[Exchange]:
    return [await task for task in crowd]


@pytest.fixture
async def pop():
    pop = make_pop(rule())
    yield pop
    await pop.edge.aclose()


async def test_one_fetch_serves_a_crowd(pop: Pop) -> None:
    content = [bytes([number]) * 1024 for number in range(64)]
    pop.origin.on("GET", "/a").reply(200, content, cache_control="max-age=60").hold(
        until := Barrier()
    )
    crowd = pop.crowd(1000)
    await until.reached()
    await settle()
    until.open()
    exchanges = await all_of(crowd)
    assert pop.origin.requests == 1
    assert {exchange.body for exchange in exchanges} == {b"".join(content)}
    statuses = [exchange.cache_status for exchange in exchanges]
    assert statuses.count("fra1; fwd=uri-miss; stored") == 1
    assert statuses.count("fra1; fwd=uri-miss; collapsed") == 999
    assert pop.counters.coalesced == 999
    assert (await pop.get()).outcome == "hit"


async def test_the_first_byte_reaches_followers_before_the_origin_has_finished(pop: Pop) -> None:
    reply = pop.origin.on("GET", "/a").reply(200, [b"first", b"last"], cache_control="max-age=60")
    reply.pause(1, until := Barrier())
    bodies = [(await pop.respond(pop.request())).body for _ in range(3)]
    assert [await anext(body) for body in bodies] == [b"first"] * 3
    assert until.waiting == 1
    until.open()
    assert [await anext(body) for body in bodies] == [b"last"] * 3
    assert pop.origin.requests == 1


async def test_a_late_follower_gets_the_body_from_its_beginning(pop: Pop) -> None:
    reply = pop.origin.on("GET", "/a").reply(200, [b"first", b"last"], cache_control="max-age=60")
    reply.pause(1, until := Barrier())
    leader = pop.crowd(1)
    await until.reached()
    follower = pop.crowd(1)
    await settle()
    until.open()
    assert (await all_of(leader + follower))[1].body == b"firstlast"


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_truncated_body_is_an_error_for_all_and_is_not_stored(
    pop: Pop, framing: str
) -> None:
    route = pop.origin.on("GET", "/a")
    broken = route.reply(200, [b"first", b"last"], cache_control="max-age=60").cut(1)
    if framing == "chunks":
        broken.chunked()
    broken.hold(until := Barrier())
    route.reply(200, b"whole", cache_control="max-age=60")
    crowd = pop.crowd(20)
    await until.reached()
    await settle()
    until.open()
    exchanges = await all_of(crowd)
    assert {exchange.body for exchange in exchanges} == {b"first"}
    assert all(exchange.failure for exchange in exchanges)
    assert pop.store.objects == 0
    assert pop.counters.broken_exchanges == 20
    assert (await pop.get()).body == b"whole"
    assert (await pop.get()).outcome == "hit"
    assert pop.origin.requests == 2


async def test_content_shorter_than_announced_is_not_stored_even_if_it_ends_well(pop: Pop) -> None:
    reply = pop.origin.on("GET", "/a").reply(200, b"short", cache_control="max-age=60").chunked()
    reply.announced = 99
    assert (await pop.get()).failure is not None
    assert pop.store.objects == 0


async def test_a_body_without_a_proven_end_is_passed_on_but_not_stored(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(200, b"all?", cache_control="max-age=60").until_close()
    exchange = await pop.get()
    assert (exchange.body, exchange.outcome) == (b"all?", "uncacheable")
    assert pop.store.objects == 0


async def test_the_leader_leaving_before_the_headers_costs_followers_nothing(pop: Pop) -> None:
    reply = pop.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60")
    reply.hold(until := Barrier())
    leader, *followers = pop.crowd(5)
    await until.reached()
    await settle()
    leader.cancel()
    await settle()
    until.open()
    assert [exchange.body for exchange in await all_of(followers)] == [b"x"] * 4
    assert pop.origin.requests == 1
    assert pop.store.objects == 1


async def test_the_leader_leaving_in_the_middle_costs_followers_nothing(pop: Pop) -> None:
    reply = pop.origin.on("GET", "/a").reply(200, [b"a", b"b"], cache_control="max-age=60")
    reply.pause(1, until := Barrier())
    leader, *followers = pop.crowd(5)
    await until.reached()
    await settle()
    leader.cancel()
    await settle()
    until.open()
    assert [exchange.body for exchange in await all_of(followers)] == [b"ab"] * 4


async def test_a_storable_fill_goes_on_when_everybody_has_left(pop: Pop) -> None:
    reply = pop.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60")
    reply.hold(until := Barrier())
    (leader,) = pop.crowd(1)
    await until.reached()
    leader.cancel()
    until.open()
    await settle()
    assert (await pop.get()).outcome == "hit"


@pytest.mark.parametrize(("later", "requests"), [(59, 1), (61, 2)])
async def test_nobody_joins_what_has_turned_stale_on_its_way(pop: Pop, later, requests) -> None:
    route = pop.origin.on("GET", "/a")
    route.reply(200, [b"old ", b"content"], cache_control="max-age=60").pause(1, until := Barrier())
    route.reply(200, [b"new ", b"content"], cache_control="max-age=60")
    early = pop.crowd(2)
    await until.reached()
    pop.clock.advance(later)
    late = pop.crowd(1)
    await settle()
    until.open()
    assert {each.body for each in await all_of(early)} == {b"old content"}
    (got,) = await all_of(late)
    await settle()
    assert pop.origin.requests == requests
    assert got.body == (b"old content", b"new content")[requests - 1]
    pop.clock.advance(0 if requests == 2 else -later)
    assert (await pop.get()).body == got.body  # and that is what was stored
    assert pop.origin.requests == requests


@pytest.mark.parametrize("directive", ["private", "no-store"])
async def test_nobody_waits_for_anothers_private_answer(pop: Pop, directive: str) -> None:
    route = pop.origin.on("GET", "/a")
    never = Barrier()
    first = route.reply(200, [b"mine", b"!"], cache_control=directive).pause(1, never)
    first.hold(until := Barrier())
    route.reply(200, b"yours", cache_control=directive)
    crowd = pop.crowd(10)
    await until.reached()
    await settle()
    until.open()
    followers = await all_of(crowd[1:])
    assert {exchange.body for exchange in followers} == {b"yours"}
    assert pop.origin.requests == 10
    assert never.waiting == 1  # the leader's own answer is still on its way
    never.open()
    assert (await crowd[0]).body == b"mine!"
    assert pop.store.objects == 0


async def test_an_uncacheable_key_is_remembered_for_a_while(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(200, b"x", cache_control="private").hold(until := Barrier())
    until.open()
    await pop.get()
    held = Barrier()
    pop.origin.on("GET", "/a").replies[0].hold(held)
    crowd = pop.crowd(3)
    await held.reached(3)  # nobody queues behind anybody
    held.open()
    exchanges = await all_of(crowd)
    assert {e.cache_status for e in exchanges} == {"fra1; fwd=uri-miss; detail=hit-for-miss"}
    assert pop.counters.hits_for_miss == 3
    pop.clock.advance(11)
    pop.origin.on("GET", "/a").reply(200, b"public", cache_control="max-age=60")
    pop.origin.on("GET", "/a").replies.pop(0)
    await pop.get()
    assert (await pop.get()).outcome == "hit"


async def test_a_private_answer_is_read_no_faster_than_its_client_reads() -> None:
    pop = make_pop(rule(), settings=EdgeSettings(stream_window_bytes=4096))
    pop.origin.on("GET", "/a").reply(200, [b"." * 1024] * 100, cache_control="private")
    body = (await pop.respond(pop.request())).body
    await settle(200)
    assert pop.origin.chunks_sent < 10
    for _ in range(50):
        await anext(body)
    await settle(200)
    assert 50 < pop.origin.chunks_sent < 60
    await body.aclose()
    await settle()
    assert pop.origin.bodies_closed == 1
    assert pop.edge._flights.count == 0


async def test_a_private_answer_is_given_up_with_its_only_reader(pop: Pop) -> None:
    reply = pop.origin.on("GET", "/a").reply(200, [b"a", b"b"], cache_control="private")
    reply.pause(1, stalled := Barrier())
    body = (await pop.respond(pop.request())).body
    await anext(body)
    await stalled.reached()
    await body.aclose()
    await settle()
    assert pop.origin.bodies_closed == 1
    assert stalled.waiting == 0


async def test_a_private_answer_without_its_leader_is_not_read(pop: Pop) -> None:
    reply = pop.origin.on("GET", "/a").reply(200, b"x", cache_control="private")
    reply.hold(until := Barrier())
    (leader,) = pop.crowd(1)
    await until.reached()
    leader.cancel()
    await settle()
    until.open()
    await settle()
    assert (pop.origin.chunks_sent, pop.origin.bodies_closed) == (0, 1)


async def test_followers_go_alone_when_the_leader_takes_too_long() -> None:
    pop = make_pop(rule(), settings=EdgeSettings(coalesce_timeout_seconds=0))
    route = pop.origin.on("GET", "/a")
    route.reply(200, b"slow", cache_control="max-age=60").hold(until := Barrier())
    route.reply(200, b"quick", cache_control="max-age=60")
    (leader,) = pop.crowd(1)
    await until.reached()
    follower = await pop.get()
    assert follower.body == b"quick"
    assert follower.cache_status == "fra1; fwd=uri-miss; detail=coalesce-timeout"
    until.open()
    assert (await leader).body == b"slow"
    await pop.edge.aclose()


async def test_followers_with_other_selecting_values_share_a_flight_of_their_own() -> None:
    pop = make_pop()
    route = pop.origin.on("GET", "/a")
    gate = Barrier()
    for body in (b"de", b"en"):
        route.reply(200, body, cache_control="max-age=60", vary="Accept-Language").hold(gate)
    german = pop.crowd(5, accept_language="de")
    english = pop.crowd(5, accept_language="en")
    await gate.reached()
    await settle()
    gate.open()
    assert {exchange.body for exchange in await all_of(german)} == {b"de"}
    assert {exchange.body for exchange in await all_of(english)} == {b"en"}
    assert pop.origin.requests == 2
    assert (await pop.get(accept_language="en")).outcome == "hit"
    await pop.edge.aclose()


async def test_what_must_be_validated_every_time_is_not_shared() -> None:
    pop = make_pop()
    route = pop.origin.on("GET", "/a")
    route.reply(200, b"x", cache_control="no-cache", etag='"1"').hold(until := Barrier())
    crowd = pop.crowd(4)
    await until.reached()
    await settle()
    until.open()
    await all_of(crowd)
    assert pop.origin.requests == 4
    await pop.edge.aclose()


async def test_a_dead_origin_is_asked_once_for_a_crowd(pop: Pop) -> None:
    pop.origin.on("GET", "/a").fail("connection_timeout", 504).hold(until := Barrier())
    crowd = pop.crowd(10)
    await until.reached()
    await settle()
    until.open()
    exchanges = await all_of(crowd)
    assert {exchange.status for exchange in exchanges} == {504}
    assert {exchange.field("proxy-status") for exchange in exchanges} == {
        "fra1; error=connection_timeout"
    }
    assert pop.origin.requests == 1


async def test_a_server_error_is_passed_on_and_makes_nobody_uncacheable(pop: Pop) -> None:
    route = pop.origin.on("GET", "/a")
    route.reply(503, b"later", retry_after="3")
    route.reply(200, b"x", cache_control="max-age=60")
    error = await pop.get()
    assert (error.status, error.body, error.field("retry-after")) == (503, b"later", "3")
    await pop.get()
    assert (await pop.get()).outcome == "hit"


async def test_what_is_announced_as_too_large_is_not_waited_for() -> None:
    small = CachePolicy(honours_request_directives=False, body_bytes_max=10)
    pop = make_pop(rule(cache=small))
    reply = pop.origin.on("GET", "/a").reply(200, b"." * 11, cache_control="max-age=60")
    reply.hold(b := Barrier())
    crowd = pop.crowd(3)
    await b.reached()
    await settle()
    b.open()
    assert {exchange.body for exchange in await all_of(crowd)} == {b"." * 11}
    assert pop.origin.requests == 3
    assert pop.store.objects == 0
    await pop.edge.aclose()


async def test_what_outgrows_its_bound_goes_on_for_those_who_read_and_is_not_stored() -> None:
    small = CachePolicy(honours_request_directives=False, body_bytes_max=10)
    pop = make_pop(rule(cache=small), settings=EdgeSettings(stream_window_bytes=8))
    reply = pop.origin.on("GET", "/a").reply(200, [b"1234"] * 10, cache_control="max-age=60")
    reply.chunked().pause(1, until := Barrier())
    readers = [(await pop.respond(pop.request())).body for _ in range(3)]
    until.open()
    await settle(100)
    assert pop.origin.chunks_sent < 10  # paced by the readers
    fast = [await anext(readers[0]) for _ in range(3)]
    await readers[2].aclose()
    assert b"".join([*fast, *[chunk async for chunk in _both(readers)]]) == b"1234" * 10
    assert pop.origin.requests == 1
    assert pop.store.objects == 0
    assert (await pop.get()).field("cache-status") == "fra1; fwd=uri-miss; detail=hit-for-miss"
    await pop.edge.aclose()


async def _both(readers: list) -> "object":
    """Read the first reader to its end while the second keeps up."""

    async def keep_up() -> int:
        return sum([len(chunk) async for chunk in readers[1]])

    slow = asyncio.get_running_loop().create_task(keep_up())
    async for chunk in readers[0]:
        yield chunk
    assert await slow == 40


async def test_a_purge_that_overtakes_a_fill_wins(pop: Pop) -> None:
    reply = pop.origin.on("GET", "/a").reply(200, b"old", cache_control="max-age=60")
    reply.hold(until := Barrier())
    (client,) = pop.crowd(1)
    await until.reached()
    pop.edge.generations.advance()
    until.open()
    assert (await client).body == b"old"
    assert pop.store.objects == 0
    assert pop.counters.discarded_fills == {"purged": 1}


async def test_an_unsafe_request_overtakes_a_fill() -> None:
    pop = make_pop()
    pop.origin.on("GET", "/a").reply(200, b"old", cache_control="max-age=60").hold(b := Barrier())
    pop.origin.on("POST", "/a").reply(204)
    (client,) = pop.crowd(1)
    await b.reached()
    assert (await pop.get(method="POST")).status == 204
    b.open()
    assert (await client).body == b"old"
    assert pop.store.objects == 0
    assert pop.counters.discarded_fills == {"invalidated": 1}
    await pop.edge.aclose()


async def test_a_crowd_of_preconditions_and_ranges_is_cut_from_one_growing_body(pop: Pop) -> None:
    reply = pop.origin.on("GET", "/a").reply(
        200, [b"0123", b"4567"], cache_control="max-age=60", etag='"v"'
    )
    reply.hold(until := Barrier())
    plain = pop.crowd(1)
    part = pop.crowd(1, range="bytes=2-5")
    same = pop.crowd(1, if_none_match='"v"')
    failed = pop.crowd(1, if_match='"w"')
    beyond = pop.crowd(1, range="bytes=8-")
    head = pop.crowd(1, method="HEAD")
    await until.reached()
    await settle()
    until.open()
    exchanges = await all_of(plain + part + same + failed + beyond + head)
    assert [(e.status, e.body) for e in exchanges] == [
        (200, b"01234567"),
        (206, b"2345"),
        (304, b""),
        (412, b""),
        (416, b""),
        (200, b""),
    ]
    assert exchanges[1].field("content-range") == "bytes 2-5/8"
    assert exchanges[5].field("content-length") == "8"
    assert pop.origin.requests == 1
    assert origin_field(pop, "range") is None


async def test_a_range_of_unannounced_length_waits_for_the_length(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(200, [b"01", b"23"], cache_control="max-age=60").chunked()
    exchange = await pop.get(range="bytes=-1")
    assert (exchange.status, exchange.body) == (206, b"3")
    assert exchange.field("content-range") == "bytes 3-3/4"


async def test_closing_the_edge_ends_its_fills(pop: Pop) -> None:
    reply = pop.origin.on("GET", "/a").reply(200, [b"a", b"b"], cache_control="max-age=60")
    reply.pause(1, never := Barrier())
    (client,) = pop.crowd(1)
    pop.origin.on("GET", "/b").reply(200, b"x").hold(silence := Barrier())
    (waiting,) = pop.crowd(1, "/b")
    await never.reached()
    await silence.reached()
    await pop.edge.aclose()
    assert (await client).failure is not None
    assert (await waiting).status == 500


async def test_one_clients_misses_do_not_refuse_anothers() -> None:
    pop = make_pop(rule(), settings=EdgeSettings(fills_max=4))
    held = Barrier()
    for number in range(3):
        pop.origin.on("GET", f"/{number}").reply(200, b"x").hold(held)
    pop.origin.on("GET", "/good").reply(200, b"y", cache_control="max-age=60")
    greedy = [pop.crowd(1, f"/{number}")[0] for number in range(2)]
    await held.reached(2)
    assert (await pop.get("/2")).status == 503
    mine, pop.connection = pop.connection, ConnectionInfo(client="192.0.2.8", server_name=HOST)
    assert (await pop.get("/good")).status == 200
    pop.connection = mine
    assert (await pop.get("/good")).outcome == "hit"
    held.open()
    await all_of(greedy)
    assert (await pop.get("/2")).status == 200
    await pop.edge.aclose()


async def test_beyond_the_budget_of_fills_requests_are_refused() -> None:
    pop = make_pop(rule(), settings=EdgeSettings(fills_max=1))
    pop.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60").hold(b := Barrier())
    pop.origin.on("GET", "/b").reply(200, b"y", cache_control="max-age=60")
    (client,) = pop.crowd(1)
    await b.reached()
    refused = await pop.get("/b")
    assert refused.status == 503
    assert refused.field("retry-after") == "1"
    b.open()
    await client
    await settle()
    assert (await pop.get("/b")).status == 200
    await pop.edge.aclose()
