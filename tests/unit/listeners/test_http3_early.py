"""Tests for edgeproxy/listeners/http3.py: what may be a recording (RFC 8470)."""

import pytest

from edgeproxy.http.messages import Request, Response
from edgeproxy.wire.h3 import codes
from tests.support.h3_peer import data_frame, headers
from tests.support.http1_session import response
from tests.support.http3_session import SessionPeer, request


@pytest.fixture
async def peer() -> SessionPeer:
    peer = SessionPeer()
    peer.streams.is_early = True
    peer.handled = []

    async def handler(asked: Request) -> Response:
        peer.handled.append(asked.target)
        return response(b"filled")

    peer.application.handler = handler
    return peer


async def test_hits_are_answered_at_once(peer: SessionPeer):
    peer.get_target(0, b"/hit")
    assert (peer.status(0), peer.body(0)) == (b"200", b"hello")
    peer.transport.rooms[4] = 10
    peer.application.hits[b"/hit"] = response(bytes(1000))
    peer.get_target(4, b"/hit")
    peer.widen(4, 2000)
    assert len(peer.body(4)) == 1000
    assert peer.handled == []


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST", b"DELETE", b"OPTIONS"])
async def test_what_memory_cannot_answer_is_too_early(peer: SessionPeer, method):
    await peer.get_target(0, b"/miss", method=method).settle()
    fields = dict(peer.sections(0)[0])
    assert fields[b":status"] == b"425"
    assert fields[b"cache-control"] == b"no-store"
    assert fields[b"content-length"] == b"0"
    assert peer.transport.ended == {0}
    assert peer.handled == []
    assert peer.application.ended == [(b"/miss", 0, True)]
    assert not peer.connection.streams


async def test_content_that_comes_early_is_not_read(peer: SessionPeer):
    await peer.post(0).settle()
    assert peer.status(0) == b"425"
    assert peer.transport.stops == {0: codes.NO_ERROR}
    await peer.on(4, headers(request(b"/hit")), data_frame(b"content"), end=True).settle()
    assert peer.status(4) == b"425"
    assert peer.handled == []


async def test_what_is_decided_later_is_decided_as_usual(peer: SessionPeer):
    peer.on(0, headers(request(b"/miss")))  # whose end has not come
    peer.get_target(4, b"/miss", method=b"DELETE")  # whose turn has not come
    peer.streams.is_early = False
    await peer.on(0, b"", end=True).settle()
    assert peer.body(0) == b"filled"
    assert peer.body(4) == b"filled"
    assert peer.handled == [b"/miss", b"/miss"]


async def test_it_is_asked_again_in_time(peer: SessionPeer):
    await peer.get_target(0, b"/miss").settle()
    peer.streams.is_early = False
    await peer.get_target(4, b"/miss").settle()
    assert (peer.status(0), peer.status(4)) == (b"425", b"200")
    assert peer.handled == [b"/miss"]
