import asyncio

import pytest

from edgeproxy.cache.policy import CachePolicy
from edgeproxy.edge.collapse import Unavailable
from edgeproxy.edge.fetch import question
from edgeproxy.edge.forward import Forwarder
from edgeproxy.edge.question import Question
from edgeproxy.edge.settings import EdgeSettings
from edgeproxy.errors import UpstreamError
from edgeproxy.http.messages import Request, Response, combined
from tests.support.barrier import Barrier, settle
from tests.support.edge import Pop, make_pop, rule


@pytest.fixture
async def pop():
    pop = make_pop(rule())
    yield pop
    await pop.edge.aclose()


def asked(pop: Pop, request: Request, reason: str = "uri-miss") -> Question:
    route = pop.edge._lookup.site_routes(request).route(request.target)
    candidates = pop.store.candidates(route.key, pop.clock.now())
    return Question(
        route, question(request, route), reason, candidates, candidates[0] if candidates else None
    )


def forwarder(pop: Pop) -> Forwarder:
    return pop.edge._forwarder


async def answer(pop: Pop, **named: str) -> Response:
    request = pop.request(**named)
    return await forwarder(pop).answer(request, asked(pop, request))


def status_of(response: Response) -> bytes | None:
    return combined(response.fields, b"cache-status")


async def test_the_first_leads_and_the_others_follow(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60").hold(b := Barrier())
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(answer(pop)) for _ in range(3)]
    await b.reached()
    await settle()
    b.open()
    responses = [await task for task in tasks]
    assert [response.outcome for response in responses] == ["miss", "collapsed", "collapsed"]


async def test_a_request_that_insists_goes_by_itself_and_is_stored() -> None:
    pop = make_pop()
    pop.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60").hold(b := Barrier())
    loop = asyncio.get_running_loop()
    requests = [pop.request() for _ in range(2)]
    tasks = [
        loop.create_task(forwarder(pop).answer(each, asked(pop, each, "request")))
        for each in requests
    ]
    await b.reached(2)
    b.open()
    assert [status_of(await task) for task in tasks] == [b"fra1; fwd=request; stored"] * 2
    await settle()
    assert pop.store.objects == 1
    await pop.edge.aclose()


async def test_refreshing_is_done_once_at_a_time(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60").hold(b := Barrier())
    for _ in range(3):
        forwarder(pop).refresh(asked(pop, pop.request()))
    await b.reached()
    assert pop.origin.requests == 1
    b.open()
    await settle()
    assert pop.store.objects == 1


async def test_refreshing_waits_for_a_better_time() -> None:
    pop = make_pop(rule(), settings=EdgeSettings(fills_max=1))
    pop.origin.on("GET", "/b").reply(200, b"x").hold(b := Barrier())
    busy = asyncio.get_running_loop().create_task(pop.get("/b"))
    await b.reached()
    forwarder(pop).refresh(asked(pop, pop.request()))
    assert pop.origin.requests == 1
    b.open()
    await busy
    await pop.edge.aclose()


async def test_a_full_house_serves_what_is_stale() -> None:
    policy = CachePolicy(honours_request_directives=False, edge_lifetime=10, stale_if_error=60)
    pop = make_pop(rule(cache=policy), settings=EdgeSettings(fills_max=1))
    pop.origin.on("GET", "/a").reply(200, b"x")
    await pop.get()
    await settle()
    pop.origin.on("GET", "/b").reply(200, b"y").hold(b := Barrier())
    busy = asyncio.get_running_loop().create_task(pop.get("/b"))
    await b.reached()
    pop.clock.advance(11)
    response = await answer(pop)
    assert (response.status, response.outcome) == (200, "hit_stale")
    proxy_status = combined(response.fields, b"proxy-status")
    assert proxy_status == b"fra1; error=connection_limit_reached"
    assert pop.counters.fills_refused == 1
    pop.clock.advance(60)
    with pytest.raises(UpstreamError) as caught:
        await answer(pop)
    assert caught.value.status == 503
    b.open()
    await busy
    await pop.edge.aclose()


async def test_a_failure_is_one_exception_per_request(pop: Pop) -> None:
    pop.origin.on("GET", "/a").fail("connection_refused").hold(b := Barrier())
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(answer(pop)) for _ in range(2)]
    await b.reached()
    await settle()
    b.open()
    await asyncio.wait(tasks)
    first, second = (task.exception() for task in tasks)
    assert first.word == second.word == "connection_refused"
    assert first is not second


async def test_a_server_error_without_anything_stale_is_asked_for_alone(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(503, b"sorry")
    request = pop.request()
    response = await forwarder(pop)._unavailable(
        request, asked(pop, request), Unavailable(None, 503), is_collapsed=True
    )
    assert (response.status, response.outcome) == (503, "uncacheable")
    assert status_of(response) == b"fra1; fwd=uri-miss"


async def test_followers_of_what_has_outgrown_its_bound_go_alone() -> None:
    policy = CachePolicy(honours_request_directives=False, body_bytes_max=2)
    pop = make_pop(rule(cache=policy))
    route = pop.origin.on("GET", "/a")
    # Nothing lets go of the loop between the announcement and the turn: too late to join.
    route.reply(200, [b"1", b"2", b"3"], cache_control="max-age=60").chunked().hold(b := Barrier())
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(answer(pop)) for _ in range(2)]
    await b.reached()
    await settle()
    b.open()
    leader, follower = [await task for task in tasks]
    assert status_of(follower) == b"fra1; fwd=uri-miss; detail=too-large"
    assert b"".join([chunk async for chunk in leader.body]) == b"123"
    await follower.body.aclose()
    assert pop.origin.requests == 2
    await pop.edge.aclose()


async def test_a_vary_that_itself_varies_ends_alone() -> None:
    pop = make_pop()
    route = pop.origin.on("GET", "/a")
    gates = Barrier(), Barrier()
    route.reply(200, b"1", cache_control="max-age=60", vary="Accept-Language").hold(gates[0])
    route.reply(200, b"2", cache_control="max-age=60", vary="User-Agent").hold(gates[1])
    route.reply(200, b"3", cache_control="max-age=60", vary="User-Agent")
    loop = asyncio.get_running_loop()
    german = loop.create_task(answer(pop, accept_language="de"))
    await gates[0].reached()
    others = [
        loop.create_task(answer(pop, accept_language="en", user_agent=agent)) for agent in "ab"
    ]
    await settle()
    gates[0].open()
    await gates[1].reached()
    await settle()
    gates[1].open()
    assert (await german).outcome == "miss"
    details = [status_of(await task) for task in others]
    assert details == [b"fra1; fwd=uri-miss; stored", b"fra1; fwd=uri-miss; detail=vary"]
    await pop.edge.aclose()
