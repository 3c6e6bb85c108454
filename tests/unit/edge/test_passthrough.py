import asyncio
from collections.abc import AsyncIterator

import pytest

from edgeproxy.errors import UpstreamError
from edgeproxy.http.messages import Response, combined
from tests.support.barrier import Barrier
from tests.support.edge import Pop, make_pop, rule


@pytest.fixture
async def pop():
    pop = make_pop(rule())
    yield pop
    await pop.edge.aclose()


def status_of(response: Response) -> bytes | None:
    return combined(response.fields, b"cache-status")


async def test_it_is_one_clients_request_and_answer(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(200, [b"a", b"b"], cache_control="max-age=60")
    request = pop.request()
    route = pop.edge._lookup.site_routes(request).route(request.target)
    response = await pop.edge._passthrough.answer(request, route, reason="bypass")
    assert [chunk async for chunk in response.body] == [b"a", b"b"]
    assert (response.outcome, status_of(response)) == ("bypass", b"fra1; fwd=bypass")
    assert pop.store.objects == 0


async def test_a_dead_origin_is_its_failure(pop: Pop) -> None:
    pop.origin.on("GET", "/a").fail("tls_certificate_error")
    request = pop.request()
    route = pop.edge._lookup.site_routes(request).route(request.target)
    with pytest.raises(UpstreamError, match="tls_certificate_error"):
        await pop.edge._passthrough.answer(request, route, reason="bypass")
    assert pop.counters.origin_errors == {"tls_certificate_error": 1}


@pytest.mark.parametrize(
    ("status", "location", "left"),
    [
        (200, "/other", 0),
        (303, "https://widgets.example.com/other", 0),
        (200, "https://elsewhere.example/other", 1),
        (404, "/other", 2),
    ],
)
async def test_unsafe_requests_invalidate_their_own_origins_targets_only(
    status: int, location: str, left: int
) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"x"

    pop = make_pop()
    for target in ("/a", "/other"):
        pop.origin.on("GET", target).reply(200, b"x", cache_control="max-age=60")
        await pop.get(target)
    pop.origin.on("POST", "/a").reply(status, location=location)
    await pop.get(method="POST", body=content())
    assert pop.store.objects == left
    await pop.edge.aclose()


async def test_what_is_invalid_elsewhere_is_forgotten_in_silence() -> None:
    """Another worker has told: what is stored goes, and what is on its way is not stored."""
    pop = make_pop()
    pop.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60")
    await pop.get("/a")
    pop.origin.on("GET", "/b").reply(200, b"x", cache_control="max-age=60").hold(held := Barrier())
    [asking] = pop.crowd(1, "/b")
    await held.reached()
    request = pop.request()
    routes = pop.edge._lookup.site_routes(request)
    pop.edge.forget(routes.keys([b"/a", b"/b", b"/c"]))
    assert pop.store.objects == 0
    held.open()
    assert (await asking).body == b"x"
    assert (pop.store.objects, pop.counters.discarded_fills) == (0, {"invalidated": 1})
    await pop.edge.aclose()


async def test_invalidation_survives_a_connection_that_lost_its_site(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60")
    pop.origin.on("POST", "/a").reply(200)
    await pop.get()
    request = pop.request(method="POST")
    route = pop.edge._lookup.site_routes(request).route(request.target)
    pop.connection.sites.clear()
    pop.connection.covers = lambda _host: False
    await pop.edge._passthrough.answer(request, route, reason="method")
    assert pop.store.objects == 1


async def stale_and_asked_by_head(pop: Pop, **fields: str) -> None:
    """Let what is stored turn stale, and the answer to a HEAD speak of it."""
    pop.origin.on("GET", "/a").reply(200, b"body", cache_control="max-age=5", etag='"1"')
    pop.origin.on("HEAD", "/a").reply(200, b"body", **fields)
    await pop.get()
    pop.clock.advance(6)
    assert (await pop.get(method="HEAD")).body == b""


async def test_a_head_updates_what_it_agrees_with() -> None:
    pop = make_pop()
    await stale_and_asked_by_head(pop, cache_control="max-age=60", etag='"1"', x="2")
    again = await pop.get()
    assert (again.outcome, again.body, again.field("x"), again.field("age")) == (
        "hit",
        b"body",
        "2",
        "0",
    )
    assert pop.origin.requests == 2
    await pop.edge.aclose()


async def test_a_head_outdates_what_it_contradicts() -> None:
    pop = make_pop()
    await stale_and_asked_by_head(pop, cache_control="max-age=60", etag='"2"')
    assert (await pop.get()).outcome == "expired"
    assert pop.origin.requests == 3
    await pop.edge.aclose()


@pytest.mark.parametrize("status", [204, 304, 404, 503])
async def test_other_answers_to_head_say_nothing(status: int) -> None:
    pop = make_pop()
    pop.origin.on("GET", "/a").reply(200, b"body", cache_control="max-age=60", etag='"1"')
    pop.origin.on("HEAD", "/a").reply(status, cache_control="max-age=60", etag='"2"')
    await pop.get()
    await pop.get(method="HEAD", cache_control="no-cache")
    assert (await pop.get()).outcome == "hit"
    assert pop.origin.requests == 2
    await pop.edge.aclose()


async def test_a_head_says_nothing_of_what_was_forgotten_meanwhile() -> None:
    pop = make_pop()
    pop.origin.on("GET", "/a").reply(200, b"body", cache_control="max-age=5", etag='"1"')
    held = pop.origin.on("HEAD", "/a").reply(200, b"body", cache_control="max-age=60", etag='"1"')
    held.hold(barrier := Barrier())
    await pop.get()
    pop.clock.advance(6)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(pop.get(method="HEAD"))
        await barrier.reached()
        pop.store.forget(b"https://widgets.example.com/a")
        barrier.open()
    assert pop.store.objects == 0
    await pop.edge.aclose()


async def test_under_a_rule_a_head_says_nothing(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(200, b"body", cache_control="max-age=60", etag='"1"')
    pop.origin.on("HEAD", "/a").reply(200, etag='"2"')
    await pop.get()
    await pop.get(method="HEAD", authorization="Basic eA==")
    assert (await pop.get()).outcome == "hit"
