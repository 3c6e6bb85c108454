"""Clients that reset, close, vanish or err in the middle: nothing runs on and nothing is left.

Through a whole HTTP/2 session; shutdowns of our own stand here as well.
"""

import asyncio
import logging

import hyperframe.frame as oracle
import pytest

from edgeproxy.errors import UpstreamError
from edgeproxy.http.messages import Request, Response
from edgeproxy.listeners.answering import TURN_BYTES
from edgeproxy.wire.h2 import codes, frames
from edgeproxy.wire.limits import Limits
from tests.support.barrier import settle
from tests.support.h2_peer import ping
from tests.support.http1_session import Stream, response
from tests.support.http2_session import SessionPeer, answer_with, pending

WIDE = [(frames.SETTINGS_INITIAL_WINDOW_SIZE, 2**30)]


@pytest.fixture
async def peer() -> SessionPeer:
    return SessionPeer()


@pytest.fixture
async def wide() -> SessionPeer:
    return SessionPeer(settings=WIDE).send(frames.window_update_frame(0, 2**30))


# --- the client goes away -----------------------------------------------------------------------


async def test_a_reset_cancels_the_work(peer: SessionPeer):
    pending(peer)
    await peer.get_target(1, b"/miss").settle()
    peer.send(frames.rst_stream_frame(1, codes.CANCEL))
    await peer.settle()
    assert peer.application.cancelled == 1
    assert peer.tasks == 0
    assert peer.application.ended == []


async def test_a_reset_in_the_same_read_starts_no_work(peer: SessionPeer):
    peer.send(peer.headers(1), frames.rst_stream_frame(1, codes.CANCEL))
    await peer.settle()
    assert peer.tasks == 0
    assert peer.application.cancelled == 0
    assert peer.application.ended == []


async def test_a_reset_while_content_streams_closes_its_source(peer: SessionPeer):
    body = Stream(b"abc", b"def")
    answer_with(peer, body)
    body.gate = asyncio.Event()
    await peer.get_target(1, b"/miss").settle()
    peer.send(frames.rst_stream_frame(1, codes.CANCEL))
    await peer.settle()
    assert body.is_closed
    assert peer.application.ended == [(b"/miss", 0, False)]
    assert peer.tasks == 0


async def test_a_reset_while_the_source_is_held_back_closes_it(peer: SessionPeer):
    body = Stream(*[bytes(50_000)] * 10)
    answer_with(peer, body)
    await peer.get_target(1, b"/miss").settle()
    assert peer.tasks == 1
    peer.send(frames.rst_stream_frame(1, codes.CANCEL))
    await peer.settle()
    assert body.is_closed
    assert peer.tasks == 0
    assert peer.application.ended == [(b"/miss", 65535, False)]


async def test_an_answer_that_nobody_waits_for_is_reported_and_closed(peer: SessionPeer):
    body = Stream(b"abc")

    async def stubborn(_request: Request) -> Response:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return response(body)
        raise AssertionError

    peer.application.handler = stubborn
    await peer.get_target(1, b"/miss").settle()
    peer.send(frames.rst_stream_frame(1, codes.CANCEL))
    await peer.settle()
    assert body.is_closed
    assert peer.body(1) == b""
    assert peer.application.ended == [(b"/miss", 0, False)]


async def test_a_source_that_ignores_its_cancellation_sends_nothing_more(peer: SessionPeer):
    class Stubborn(Stream):
        async def __anext__(self) -> bytes:
            try:
                return await super().__anext__()
            except asyncio.CancelledError:
                return b"more"

    for pieces in ((b"abc",), ()):
        body = Stubborn(*pieces)
        body.gate = asyncio.Event()
        answer_with(peer, body)
        number = peer.connection.highest_stream_id + 2 if peer.connection.requests else 1
        await peer.get_target(number, b"/miss").settle()
        peer.send(frames.rst_stream_frame(number, codes.CANCEL))
        body.gate.set()
        await peer.settle()
        assert peer.body(number) == b""
        assert body.is_closed
        assert peer.tasks == 0


async def test_a_lost_connection_cancels_everything(peer: SessionPeer):
    gate = pending(peer)
    peer.post(1)
    await peer.get_target(3, b"/miss").settle()
    peer.session.lost()
    gate.set()
    await peer.settle()
    assert peer.tasks == 0
    assert peer.application.cancelled == 2
    assert not peer.connection.streams
    peer.session.receive(ping())
    peer.session.tick(peer.clock.monotonic())
    peer.session.drain()


async def test_a_lost_connection_does_not_disturb_who_is_cleaning_up(peer: SessionPeer):
    class Slow(Stream):
        async def aclose(self) -> None:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await super().aclose()

    body = Slow(b"abc")
    body.gate = asyncio.Event()
    answer_with(peer, body)
    await peer.get_target(1, b"/miss").settle()
    peer.send(frames.rst_stream_frame(1, codes.CANCEL))
    await asyncio.sleep(0)
    peer.session.lost()
    await peer.settle()
    assert body.is_closed


async def test_a_lost_connection_forgets_its_turn(wide: SessionPeer):
    wide.application.hits[b"/hit"] = response(bytes(TURN_BYTES * 3))
    wide.get_target(1, b"/hit")
    wide.session.lost()
    sent = len(wide.channel.pending)
    await settle()
    assert len(wide.channel.pending) == sent
    assert wide.application.ended == [(b"/hit", TURN_BYTES, False)]


# --- the end ------------------------------------------------------------------------------------


def last_streams(peer: SessionPeer) -> list[tuple[int, int]]:
    return [(f.last_stream_id, f.error_code) for f in peer.of(oracle.GoAwayFrame)]


async def test_draining_announces_waits_and_closes(peer: SessionPeer):
    gate = pending(peer)
    await peer.get_target(1, b"/miss").settle()
    peer.session.drain()
    peer.session.drain()
    assert last_streams(peer) == [(2**31 - 1, codes.NO_ERROR)]
    peer.get_target(3, b"/hit")
    assert peer.body(3) == b"hello"
    peer.pass_time(1)
    assert last_streams(peer)[-1] == (3, codes.NO_ERROR)
    peer.get_target(5, b"/hit")
    assert peer.resets == {5: codes.REFUSED_STREAM}
    assert not peer.channel.is_closed
    gate.set()
    await peer.settle()
    assert peer.body(1) == b"late"
    assert peer.channel.is_closed


async def test_draining_an_idle_connection_closes_it(peer: SessionPeer):
    peer.session.drain()
    assert peer.elapsed() == 1
    assert last_streams(peer) == [(2**31 - 1, 0), (0, 0)]
    peer.session.tick(peer.clock.monotonic())
    peer.session.drain()


async def test_draining_ends_with_the_last_stream_however_it_ends(peer: SessionPeer):
    for how in ("reset", "broken", "hit without window"):
        peer = SessionPeer(settings=[(frames.SETTINGS_INITIAL_WINDOW_SIZE, 3)])
        body = Stream(UpstreamError("http_response_incomplete", 502))
        body.gate = asyncio.Event()
        answer_with(peer, body)
        await peer.get_target(1, b"/hit" if how.startswith("hit") else b"/miss").settle()
        peer.session.drain()
        peer.pass_time(2)
        assert not peer.channel.is_closed, how
        if how == "reset":
            peer.send(frames.rst_stream_frame(1, codes.CANCEL))
        elif how == "broken":
            body.gate.set()
            await peer.settle()
        else:
            peer.send(frames.window_update_frame(1, 100))
        assert peer.channel.is_closed, how
        await peer.settle()


async def test_a_peer_that_closed_gets_what_is_ready(wide: SessionPeer):
    wide.channel.capacity = 100_000
    wide.application.hits[b"/hit"] = response(bytes(1_000_000))
    wide.get_target(1, b"/hit")
    wide.session.peer_closed()
    assert not wide.channel.is_closed
    while not wide.channel.is_closed:
        wide.drain()
        await settle()
    assert len(wide.body(1)) == 1_000_000
    assert wide.application.ended == [(b"/hit", 1_000_000, True)]


async def test_a_peer_that_closed_has_no_work_done_for_it(peer: SessionPeer):
    body = Stream(b"abc")
    body.gate = asyncio.Event()
    answer_with(peer, body)
    await peer.get_target(1, b"/miss").settle()
    pending(peer)
    await peer.get_target(3, b"/miss").settle()
    peer.session.peer_closed()
    assert peer.channel.is_closed
    await peer.settle()
    assert body.is_closed
    assert peer.application.cancelled == 1
    assert peer.tasks == 0
    assert peer.application.ended == [(b"/miss", 0, False)]


async def test_a_peer_that_closed_and_awaits_nothing_is_closed(peer: SessionPeer):
    peer.session.peer_closed()
    assert peer.channel.is_closed


async def test_a_fault_says_goaway_and_closes(peer: SessionPeer, caplog):
    caplog.set_level(logging.DEBUG)
    pending(peer)
    await peer.get_target(1, b"/miss").settle()
    peer.send(frames.frame(frames.PING, 0, 1, bytes(8)))
    assert peer.goaway == codes.PROTOCOL_ERROR
    assert peer.channel.is_closed
    await peer.settle()
    assert peer.tasks == 0
    assert peer.application.cancelled == 1
    assert "PING on a stream" in caplog.text


async def test_a_deadline_ends_the_connection():
    peer = SessionPeer(settings=[(frames.SETTINGS_INITIAL_WINDOW_SIZE, 0)])
    peer.get_target(1, b"/hit")
    assert peer.elapsed() == 32
    assert peer.goaway == codes.ENHANCE_YOUR_CALM
    assert peer.application.ended == [(b"/hit", 0, False)]


async def test_a_fault_while_draining_closes_once(peer: SessionPeer):
    await peer.get_target(1, b"/miss").settle()
    peer.session.drain()
    peer.pass_time(1)
    peer.send(frames.frame(frames.PING, 0, 1, bytes(8)))
    assert peer.channel.is_closed
    await peer.settle()


async def test_a_turn_after_the_end_does_nothing(wide: SessionPeer):
    wide.application.hits[b"/hit"] = response(bytes(TURN_BYTES * 3))
    wide.get_target(1, b"/hit").send(frames.frame(frames.PING, 0, 1, bytes(8)))
    assert wide.channel.is_closed
    await settle()
    assert wide.application.ended == [(b"/hit", pytest.approx(TURN_BYTES, rel=1), False)]


async def test_a_connection_with_many_requests_is_replaced(peer: SessionPeer):
    peer = SessionPeer(Limits(requests_per_connection_max=3))
    for number in (1, 3, 5):
        peer.get_target(number, b"/hit")
    assert peer.elapsed() == 2
    assert last_streams(peer) == [(2**31 - 1, 0), (5, 0)]
