"""What both protocols with many streams do alike, shown for both; the rest stands in their own."""

import asyncio

import pytest

from edgeproxy.errors import UpstreamError
from edgeproxy.http.messages import Request, Response
from edgeproxy.listeners.answering import STREAM_QUEUE_BYTES, Answering
from edgeproxy.listeners.http2 import Http2Session
from edgeproxy.listeners.http3 import Http3Session
from tests.support import http2_session, http3_session
from tests.support.http1_session import Stream, response

MAKERS = {"h2": http2_session.SessionPeer, "h3": http3_session.SessionPeer}
# The first two streams of a client.
IDS = {"h2": (1, 3), "h3": (0, 4)}


@pytest.fixture(params=["h2", "h3"])
async def both(request):
    """A peer of either protocol, and the identifiers of its first two streams."""
    return MAKERS[request.param](), IDS[request.param]


def test_both_derive_from_it():
    assert issubclass(Http2Session, Answering)
    assert issubclass(Http3Session, Answering)


async def test_a_task_answers_and_is_forgotten(both):
    peer, (first, second) = both
    peer.get_target(first, b"/miss").get_target(second, b"/miss")
    assert peer.tasks == 2
    await peer.settle()
    assert peer.tasks == 0
    assert peer.body(first) == peer.body(second) == b"hello"
    assert peer.application.ended == [(b"/miss", 5, True)] * 2


async def test_an_exchange_is_reported_once_however_it_ends(both):
    peer, (first, _) = both
    gate = asyncio.Event()
    body = Stream(b"abc", UpstreamError("http_response_incomplete", 502))

    async def handler(_request: Request) -> Response:
        await gate.wait()
        return response(body)

    peer.application.handler = handler
    peer.get_target(first, b"/miss")
    gate.set()
    await peer.settle()
    peer.session.lost()
    await peer.settle()
    assert peer.application.ended == [(b"/miss", 3, False)]
    assert body.is_closed


async def test_what_waits_of_content_is_bounded_and_goes_with_its_client(both):
    peer, (first, _) = both
    body = Stream(*[bytes(16_384)] * 100)
    http2_session.answer_with(peer, body)
    if isinstance(peer.session, Http3Session):
        peer.transport.rooms[first] = 65_535
    await peer.get_target(first, b"/miss").settle()
    assert body.taken <= (65_535 + STREAM_QUEUE_BYTES) // 16_384 + 1
    peer.session.lost()
    await peer.settle()
    assert body.is_closed
    assert peer.tasks == 0


async def test_interim_responses_are_possible_while_a_request_is_handled_only(both):
    peer, (first, _) = both
    seen: list[Request] = []

    async def handler(request: Request) -> Response:
        assert request.interim is not None
        seen.append(request)
        return response()

    peer.application.handler = handler
    await peer.get_target(first, b"/miss").settle()
    assert [request.interim for request in seen] == [None]
