"""What clients send along with a request over HTTP/3, and what is said before the answer."""

import asyncio

import pytest

from edgeproxy.errors import DownstreamError
from edgeproxy.http.messages import FieldSection, Request, Response
from edgeproxy.listeners.session import INTERIM_MAX
from edgeproxy.wire.h3 import codes
from tests.support.h3_peer import data_frame, headers
from tests.support.http1_session import response
from tests.support.http3_session import SessionPeer, pending, request

LINK = FieldSection([(b"link", b"</a>")])
HINT = [(b":status", b"103"), (b"link", b"</a>")]


@pytest.fixture
async def peer() -> SessionPeer:
    return SessionPeer()


async def echo(request: Request) -> Response:
    assert request.body is not None
    content = b"".join([chunk async for chunk in request.body])
    return response(content + b"".join(value for _, value in request.body.trailers))


def statuses(peer: SessionPeer, stream_id: int = 0) -> list[bytes]:
    return [dict(fields).get(b":status", b"-") for fields in peer.sections(stream_id)]


# --- content ------------------------------------------------------------------------------------


async def test_content_of_a_request_reaches_the_application(peer: SessionPeer):
    peer.application.handler = echo
    peer.post(0, (b"content-length", b"6"))
    await peer.on(0, data_frame(b"abc")).settle()
    await peer.on(0, data_frame(b"def"), end=True).settle()
    assert peer.body(0) == b"abcdef"
    assert peer.application.requests[0].content_length == 6
    assert peer.transport.resets == peer.transport.stops == {}


async def test_trailers_come_behind_content(peer: SessionPeer):
    peer.application.handler = echo
    await peer.post(0).on(0, data_frame(b"abc") + headers([(b"x-sum", b"7")]), end=True).settle()
    assert peer.body(0) == b"abc7"


async def test_credit_is_given_as_content_is_used(peer: SessionPeer):
    gate = asyncio.Event()

    async def handler(request: Request) -> Response:
        await gate.wait()
        return await echo(request)

    peer.application.handler = handler
    await peer.post(0).on(0, *[data_frame(bytes(16384))] * 4).settle()
    before = peer.transport.credits[0]
    assert before < 1000
    gate.set()
    await peer.settle()
    assert peer.transport.credits[0] == before + 4 * 16384


async def test_content_consumed_after_the_end_credits_nothing(peer: SessionPeer):
    pending(peer)
    await peer.post(0).on(0, data_frame(bytes(100))).settle()
    stream = peer.connection.streams[0]
    peer.session.lost()
    credit = peer.transport.credits[0]
    peer.session._on_consumed(stream, 100)
    assert peer.transport.credits[0] == credit
    await peer.settle()


async def test_content_that_nobody_reads_is_refused_by_the_answer(peer: SessionPeer):
    await peer.post(0).on(0, data_frame(b"abc")).settle()
    assert peer.body(0) == b"hello"
    assert peer.transport.stops == {0: codes.NO_ERROR}
    assert peer.transport.resets == {}
    peer.on(0, data_frame(b"def"), end=True)
    assert peer.fault is None


@pytest.mark.parametrize("how", ["reset", "stopped", "lost"])
async def test_a_reader_hears_that_the_client_has_gone(peer: SessionPeer, how: str):
    reasons: list[str] = []

    async def handler(request: Request) -> Response:
        assert request.body is not None
        try:
            async for _ in request.body:
                pass
        except DownstreamError as error:
            reasons.append(error.reason)
        return response()

    async def shielded(request: Request) -> Response:
        inners.append(asyncio.get_running_loop().create_task(handler(request)))
        return await asyncio.shield(inners[0])

    inners: list[asyncio.Task[Response]] = []
    peer.application.handler = shielded
    await peer.post(0).on(0, data_frame(b"abc")).settle()
    if how == "reset":
        peer.session.was_reset(0, codes.REQUEST_CANCELLED)
    elif how == "stopped":
        peer.session.was_stopped(0, codes.REQUEST_CANCELLED)
    else:
        peer.session.lost()
    await peer.settle()
    assert reasons == ["stream_reset"]
    assert inners[0].done()


async def test_a_slow_upload_is_given_up(peer: SessionPeer):
    async def handler(request: Request) -> Response:
        try:
            return await echo(request)
        except DownstreamError as error:
            return response(b"", status=error.status)

    peer.application.handler = handler
    await peer.post(0).settle()
    for _ in range(12):
        await peer.on(0, data_frame(b"x")).settle()
        peer.pass_time(1)
    await peer.settle()
    assert peer.status(0) == b"408"
    assert peer.transport.stops == {0: codes.NO_ERROR}


async def test_a_section_over_the_limits_is_answered_431(peer: SessionPeer):
    large = headers([*request(b"/hit"), *[(b"name", b"value")] * 200])
    peer.on(0, large, end=True).on(4, large)
    assert peer.status(0) == peer.status(4) == b"431"
    assert peer.application.requests == []
    assert peer.transport.stops == {4: codes.NO_ERROR}


async def test_a_target_over_the_limit_is_answered_414(peer: SessionPeer):
    peer.on(0, headers(request(b"/" * 8193)), end=True)
    assert peer.status(0) == b"414"
    assert peer.application.requests == []


# --- before the answer --------------------------------------------------------------------------


@pytest.mark.parametrize("value", [b"100-continue", b"100-Continue"])
async def test_a_client_that_waits_is_told_to_go_on_once(peer: SessionPeer, value: bytes):
    peer.application.handler = echo
    await peer.post(0, (b"expect", value)).settle()
    assert statuses(peer) == [b"100"]
    await peer.on(0, data_frame(b"abc")).settle()
    await peer.on(0, data_frame(b"def"), end=True).settle()
    assert statuses(peer) == [b"100", b"200"]
    assert peer.body(0) == b"abcdef"


async def test_a_client_that_has_its_answer_is_not_asked_for_content(peer: SessionPeer):
    kept: list[Request] = []

    async def handler(request: Request) -> Response:
        kept.append(request)
        return response(b"enough")

    peer.application.handler = handler
    await peer.post(0, (b"expect", b"100-continue")).settle()
    with pytest.raises(DownstreamError):
        await anext(kept[0].body)
    assert statuses(peer) == [b"200"]


async def test_who_was_refused_while_it_waited_is_not_asked_either(peer: SessionPeer):
    pending(peer)
    await peer.post(0, (b"expect", b"100-continue")).settle()
    stream = peer.connection.streams[0]
    peer.session.was_stopped(0, codes.REQUEST_CANCELLED)
    peer.session._on_wanted(stream)
    assert statuses(peer) == []
    await peer.settle()


def hinting(peer: SessionPeer, count: int = 1) -> list[Request]:
    asked: list[Request] = []

    async def handler(request: Request) -> Response:
        asked.append(request)
        for _ in range(count):
            assert request.interim is not None
            request.interim(103, LINK)
        return response()

    peer.application.handler = handler
    return asked


async def test_a_hint_goes_out_before_the_response_and_ends_nothing(peer: SessionPeer):
    asked = hinting(peer)
    await peer.get_target(0, b"/").settle()
    assert peer.sections(0)[0] == HINT
    assert statuses(peer) == [b"103", b"200"]
    assert peer.body(0) == b"hello"
    assert [each.interim for each in asked] == [None]


async def test_a_storm_of_hints_is_cut_short(peer: SessionPeer):
    hinting(peer, 1000)
    await peer.get_target(0, b"/").settle()
    assert len(statuses(peer)) == INTERIM_MAX + 1


async def test_a_client_that_does_not_read_is_spared(peer: SessionPeer):
    hinting(peer, 3)
    peer.transport.rooms[0] = 0
    await peer.get_target(0, b"/").settle()
    assert statuses(peer) == [b"200"]


async def test_what_comes_too_late_reaches_nobody(peer: SessionPeer):
    kept = []

    async def handler(request: Request) -> Response:
        kept.append(request.interim)
        peer.session.was_stopped(4, codes.REQUEST_CANCELLED)
        return response()

    peer.application.handler = handler
    await peer.get_target(4, b"/").get_target(0, b"/").settle()
    for interim in kept:
        interim(103, LINK)
    assert statuses(peer) == [b"200"]
    assert statuses(peer, 4) == []
