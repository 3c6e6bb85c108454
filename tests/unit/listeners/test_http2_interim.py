"""Tests for edgeproxy/listeners/http2.py: interim responses on their way to the client."""

import hyperframe.frame as oracle
import pytest

from edgeproxy.http.messages import FieldSection, Request, Response
from edgeproxy.listeners.session import INTERIM_MAX
from edgeproxy.wire.h2 import codes, frames
from tests.support.http1_session import response
from tests.support.http2_session import SessionPeer

LINK = FieldSection([(b"link", b"</a>")])
HINT = [(b":status", b"103"), (b"link", b"</a>")]


@pytest.fixture
async def peer():
    return SessionPeer()


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


def heads(peer: SessionPeer, stream_id: int) -> list[oracle.HeadersFrame]:
    return [each for each in peer.of(oracle.HeadersFrame) if each.stream_id == stream_id]


async def test_a_hint_goes_out_before_the_response_and_ends_nothing(peer: SessionPeer) -> None:
    hinting(peer)
    await peer.get_target(1, b"/").settle()
    hint, final = heads(peer, 1)
    assert hint.fields == HINT
    assert "END_STREAM" not in hint.flags
    assert final.fields[0] == (b":status", b"200")
    assert peer.body(1) == b"hello"
    assert not peer.connection.streams


async def test_a_storm_is_cut_short(peer: SessionPeer) -> None:
    hinting(peer, 1000)
    await peer.get_target(1, b"/").settle()
    assert len(heads(peer, 1)) == INTERIM_MAX + 1


async def test_a_client_that_does_not_read_is_spared(peer: SessionPeer) -> None:
    hinting(peer, 3)
    peer.channel.capacity = 0
    await peer.get_target(1, b"/").settle()
    peer.drain()
    assert [each.fields[0][1] for each in heads(peer, 1)] == [b"103", b"200"]


async def test_what_comes_too_late_reaches_nobody(peer: SessionPeer) -> None:
    kept = []

    async def handler(request: Request) -> Response:
        kept.append(request.interim)
        return response()

    peer.application.handler = handler
    await peer.get_target(1, b"/").get_target(3, b"/").settle()
    kept[0](103, LINK)
    assert len(heads(peer, 1)) == len(heads(peer, 3)) == 1
    peer.session.lost()
    kept[1](103, LINK)
    assert not peer.channel.pending


async def test_a_stream_that_was_reset_hears_nothing(peer: SessionPeer) -> None:
    kept = []

    async def handler(request: Request) -> Response:
        kept.append(request.interim)
        peer.send(frames.rst_stream_frame(1, codes.CANCEL))
        request.interim(103, LINK)
        return response()

    peer.application.handler = handler
    await peer.get_target(1, b"/").settle()
    assert heads(peer, 1) == []


async def test_an_answered_request_leads_back_to_nobody(peer: SessionPeer) -> None:
    """Else it and its exchange would refer to each other, and wait for the collector."""
    asked = hinting(peer)
    await peer.get_target(1, b"/").settle()
    assert [request.interim for request in asked] == [None]
