import asyncio

import pytest

from edgeproxy.edge.answers import Answers, Passing
from edgeproxy.edge.collapse import Arriving
from edgeproxy.edge.growing import GrowingBody
from edgeproxy.edge.lookup import Route
from edgeproxy.edge.representation import Representation
from edgeproxy.edge.response_fields import CorsSections
from edgeproxy.edge.sites import CorsPolicy
from edgeproxy.edge.view import view_of
from edgeproxy.errors import UpstreamError
from edgeproxy.http.messages import combined
from edgeproxy.http.upstream import OriginResponse
from tests.support.barrier import settle
from tests.support.edge import HOST, Pop, make_pop
from tests.support.sibling import a_response
from tests.support.stored import NOW, stored

CORS = CorsPolicy(origins=frozenset({b"https://a.example"}))
ALLOWED = {"origin": "https://a.example"}
ANSWERS = Answers("fra1", CorsSections(10))


def route_of(pop: Pop) -> Route:
    request = pop.request()
    return pop.edge._lookup.site_routes(request).route(request.target)


def test_a_hit_refreshes_its_live_fields_only_when_they_are_over() -> None:
    pop, kept = make_pop(), stored()
    route = route_of(pop)
    view = view_of(kept, route)
    first = ANSWERS.hit(pop.request(), route, view, NOW)
    again = ANSWERS.hit(pop.request(), route, view, NOW + 0.5)
    later = ANSWERS.hit(pop.request(), route, view, NOW + 1.5)
    assert first.sections[-1] is again.sections[-1] is not later.sections[-1]
    assert combined(later.fields, b"age") == b"1"
    assert (later.outcome, later.site) == ("hit", HOST)


@pytest.mark.parametrize(
    ("cors", "asked", "is_allowed"),
    [
        (None, ALLOWED, False),
        (CORS, {}, False),
        (CORS, {"origin": "https://evil.example"}, False),
        (CORS, ALLOWED, True),
    ],
)
def test_permission_comes_behind_a_plain_hit(
    cors: CorsPolicy | None, asked: dict, is_allowed: bool
) -> None:
    pop, kept = make_pop(cors=cors), stored()
    route = route_of(pop)
    plain = ANSWERS.hit(pop.request(), route, view_of(kept, route), NOW)
    response = ANSWERS.with_cors(pop.request(**asked), route, plain)
    assert (response is not plain) is is_allowed
    allowed = combined(response.fields, b"access-control-allow-origin")
    assert allowed == (b"https://a.example" if is_allowed else None)
    assert (response.body, response.outcome, response.site) == (b"body", "hit", HOST)


def test_more_to_say_of_a_stored_response() -> None:
    pop, kept = make_pop(cors=CORS), stored()
    route = route_of(pop)
    response = ANSWERS.stored(
        pop.request(**ALLOWED),
        route,
        view_of(kept, route),
        NOW + 100,
        content=kept.body,
        outcome="hit_stale",
        member=b"fra1; fwd=stale",
        proxy_status=b"fra1; error=dns_error",
    )
    assert combined(response.fields, b"age") == b"100"
    assert combined(response.fields, b"cache-status") == b"fra1; fwd=stale"
    assert combined(response.fields, b"proxy-status") == b"fra1; error=dns_error"
    assert combined(response.fields, b"access-control-allow-origin") == b"https://a.example"


def test_what_has_just_arrived_says_no_age_of_its_own() -> None:
    pop, kept = make_pop(), stored(response_time=NOW - 30)
    route = route_of(pop)
    member = b"fra1; fwd=uri-miss; stored"
    response = ANSWERS.arrived(
        pop.request(), route, view_of(kept, route), outcome="miss", member=member
    )
    assert (response.body, response.outcome) == (b"body", "miss")
    assert combined(response.fields, b"age") is None
    assert combined(response.fields, b"cache-status") == member


def arriving(length: int | None) -> Arriving:
    body = GrowingBody(keep_bytes_max=99, window_bytes=9, on_abandoned=lambda: None)
    return Arriving(
        Representation(200, (), length=length), body, (), may_be_shared=True, source=a_response()
    )


async def test_a_range_waits_for_an_unknown_length_and_the_whole_does_not() -> None:
    pop, content = make_pop(), arriving(None)
    route = route_of(pop)

    def asked(**named: str) -> object:
        return ANSWERS.arriving(
            pop.request(**named), route, content, content.body.read(), outcome="miss", member=b"m"
        )

    assert (await asked()).status == 200
    waiting = asyncio.get_running_loop().create_task(asked(range="bytes=-1"))
    await settle()
    assert not waiting.done()
    await content.body.append(b"123")
    content.body.finish()
    assert (await waiting).status == 206


async def test_a_range_of_what_breaks_off_leaves_its_reader() -> None:
    pop, content = make_pop(), arriving(None)
    waiting = asyncio.get_running_loop().create_task(
        ANSWERS.arriving(
            pop.request(range="bytes=-1"),
            route_of(pop),
            content,
            content.body.read(),
            outcome="miss",
            member=b"m",
        )
    )
    await settle()
    content.body.fail(UpstreamError("http_response_incomplete", 502))
    with pytest.raises(UpstreamError):
        await waiting
    assert not content.body._readers


class Content:
    def __init__(self) -> None:
        self.pieces = [b"a", b"b"]
        self.closed = 0

    def __aiter__(self) -> "Content":
        return self

    async def __anext__(self) -> bytes:
        if not self.pieces:
            raise StopAsyncIteration
        return self.pieces.pop(0)

    async def aclose(self) -> None:
        self.closed += 1


def origin_response(status: int, content: Content) -> OriginResponse:
    return OriginResponse(
        status=status,
        fields=[],
        body=content,
        content_length=2,
        is_delimited=True,
        request_time=NOW,
        response_time=NOW,
    )


@pytest.mark.parametrize(
    ("method", "status", "has_content"),
    [("GET", 200, True), ("HEAD", 200, False), ("POST", 204, False), ("GET", 304, False)],
)
async def test_passed_content_is_pulled_or_given_up(
    method: str, status: int, has_content: bool
) -> None:
    pop, content = make_pop(), Content()
    response = await ANSWERS.passed(
        pop.request(method=method),
        route_of(pop),
        Representation(status, (), length=2),
        origin_response(status, content),
        outcome="bypass",
        member=b"fra1; fwd=bypass",
        failed=lambda _error: None,
    )
    if has_content:
        assert isinstance(response.body, Passing)
        assert [chunk async for chunk in response.body] == [b"a", b"b"]
        await response.body.aclose()
    else:
        assert response.body == b""
    assert content.closed == 1
    assert combined(response.fields, b"cache-status") == b"fra1; fwd=bypass"
