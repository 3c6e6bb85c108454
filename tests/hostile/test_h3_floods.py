"""What is cheap to send over HTTP/3 and costs us work: the twins of HTTP/2's floods, each bounded.

The rows of `requirements/hostile-input.md`, against the codec with a clock that stands still where
nothing else is said. What QUIC itself bounds (streams, windows, datagrams) is not repeated here.
"""

import asyncio
import gc
import sys
import tracemalloc
from collections.abc import Callable

import pytest

from edgeproxy.http.messages import Request, Response
from edgeproxy.listeners.http3 import Http3Session
from edgeproxy.listeners.stream_exchange import Exchange, RequestContent
from edgeproxy.wire.h3 import codes, frames, qpack
from edgeproxy.wire.h3.connection import Connection
from edgeproxy.wire.h3.prepared import PreparedResponse
from edgeproxy.wire.h3.streams import Stream
from edgeproxy.wire.limits import Limits
from tests.support.barrier import settle
from tests.support.h3_peer import (
    CONTROL,
    DECODER,
    ENCODER,
    REQUEST,
    UPLOAD,
    Peer,
    data_frame,
    headers,
    priority_update,
)
from tests.support.http1_session import Stream as Body
from tests.support.http1_session import response
from tests.support.http3_session import SessionPeer, pending

LOAD = codes.EXCESSIVE_LOAD
BURST = 100


def survived(peer: Peer, once: Callable[[int], object], most: int = 1000) -> int:
    """Do something again and again; return how often before the connection ended."""
    for count in range(most):
        once(count)
        if peer.fault is not None:
            return count
    return most


# --- resets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["was_reset", "was_stopped"])
def test_rapid_reset(how: str):
    peer = Peer()

    def reset(count: int) -> None:
        peer.upload(4 * count)
        getattr(peer.connection, how)(4 * count, peer.now)

    assert survived(peer, reset) == BURST
    assert peer.fault == LOAD
    assert not peer.connection.streams


def test_rapid_reset_at_a_steady_rate_gets_its_rate_and_no_more():
    peer = Peer()

    def reset(count: int) -> None:
        peer.now += 0.01
        peer.get(4 * count)
        peer.connection.was_stopped(4 * count, peer.now)

    assert survived(peer, reset) == pytest.approx(BURST / (1 - 0.2), abs=2)


def test_resets_of_requests_that_never_came():
    peer = Peer()
    assert survived(peer, lambda n: peer.connection.was_reset(4 * n, peer.now)) == BURST


@pytest.mark.parametrize(
    "data",
    [
        headers([]),
        headers([*REQUEST, (b"connection", b"close")]),
        headers([*UPLOAD, (b"content-length", b"1")]) + data_frame(b"abc"),
        b"",
    ],
    ids=["nothing", "connection", "length", "empty"],
)
def test_made_to_reset(data: bytes):
    peer = Peer()
    assert survived(peer, lambda n: peer.on(4 * n, data, end=True)) == BURST
    assert peer.fault == LOAD


def test_made_to_refuse_sections_over_the_limits():
    peer = Peer()
    large = headers([*REQUEST, *[(b"a", b"b")] * 200])
    assert survived(peer, lambda n: peer.on(4 * n, large, end=True)) == BURST


def test_made_to_reject_streams_over_the_limit():
    peer = Peer(Limits(concurrent_streams_max=10))
    peer.get(*range(0, 40, 4))
    assert survived(peer, lambda n: peer.get(40 + 4 * n)) == BURST


async def test_no_work_is_left_of_streams_that_were_reset():
    peer = SessionPeer()
    pending(peer)
    for number in range(0, 4 * BURST, 4):
        peer.get_target(number, b"/miss")
        await settle(2)
        peer.session.was_stopped(number, codes.REQUEST_CANCELLED)
    await peer.settle()
    assert peer.application.cancelled == BURST
    assert peer.tasks == 0
    assert peer.fault is None
    peer.get_target(4 * BURST, b"/miss")
    peer.session.was_stopped(4 * BURST, codes.REQUEST_CANCELLED)
    await peer.settle()
    assert peer.fault == LOAD
    assert peer.tasks == 0


# --- frames -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        frames.frame(frames.GOAWAY, b"\0"),
        frames.frame(frames.MAX_PUSH_ID, b"\0"),
        priority_update(0, b"u=1"),
        frames.frame(0x21, b""),
        frames.frame(0x21, bytes(1000)),
    ],
    ids=["goaway", "max push", "priority", "unknown", "long unknown"],
)
def test_frames_on_the_control_stream(frame: bytes):
    peer = Peer()
    assert survived(peer, lambda _: peer.on(CONTROL, frame)) == BURST
    assert peer.fault == LOAD


def test_unknown_frames_on_requests():
    peer = Peer().upload(0)
    survived_frames = survived(peer, lambda _: peer.on(0, frames.frame(0x21, b"x")))
    assert survived_frames == BURST + 4


def test_small_frames_of_content():
    peer = Peer().upload(0)
    portion = data_frame(b"x") * 1000
    assert survived(peer, lambda _: peer.on(0, portion)) == 50


def test_an_upload_in_small_pieces_at_a_bearable_rate_goes_on():
    peer = Peer().upload(0)

    def piece(_count: int) -> None:
        peer.now += 0.001
        peer.on(0, data_frame(b"x"))

    assert survived(peer, piece, 60_000) == 60_000


def test_instructions_of_qpack():
    peer = Peer().on(ENCODER, b"\x02").on(DECODER, b"\x03")
    assert survived(peer, lambda _: peer.on(DECODER, b"\x41")) == BURST
    assert Peer().on(ENCODER, b"\x02" + b"\x20" * 100_000).fault is None


def test_chromiums_frames_are_within_the_budget():
    """Two priority frames for each request, and grease wherever it may be."""
    peer = Peer(answers=b"hello").on(ENCODER, b"\x02").on(DECODER, b"\x03")
    peer.on(14, frames.integer(0x21 + 0x1F * 7) + b"grease", end=True)
    for number in range(0, 4000, 4):
        peer.on(CONTROL, priority_update(number, b"u=3, i"))
        peer.on(number, headers(), end=True)
        peer.on(CONTROL, priority_update(number, b"u=4, i"))
    assert peer.fault is None
    assert len(peer.sink.at_once) == 1000


# --- memory -------------------------------------------------------------------------------------


def traced(work: Callable[[], object]) -> tuple[int, int]:
    """Return what is in use after some work, and its peak."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()


def test_a_bomb_of_fields_is_worth_no_more_than_its_octets():
    peer = Peer()
    bomb = frames.headers_frame(qpack.PREFIX + b"\xff\x16" * 16_000)
    in_use, peak = traced(lambda: peer.on(0, bomb, end=True))
    assert peer.status(0) == b"431"
    assert peak < 2**18
    assert in_use < 2**15


def test_sections_without_an_end_are_held_by_what_quic_lets_in():
    """Nothing of them gets credit, so that all of them share the connection's window."""
    peer = Peer()
    large = frames.integer(frames.HEADERS) + frames.integer(32 * 1024)
    for number in range(0, 400, 4):
        peer.on(number, large + bytes(10_000))
    assert sum(peer.transport.credits.values()) == peer.transport.credits[CONTROL]
    peer.connection.expire(peer.now + 11.0)
    assert not peer.connection.streams
    assert peer.transport.credits[0] == len(large) + 10_000


def test_sections_that_say_more_than_the_limit_are_not_waited_for():
    peer = Peer()
    head = frames.integer(frames.HEADERS) + frames.integer(32 * 1024 + 1)
    peer.on(0, head)
    assert peer.status(0) == b"431"
    assert peer.transport.stops == {0: codes.NO_ERROR}


def test_frames_of_any_announced_length_are_not_kept():
    peer = Peer().upload(0)
    head = frames.integer(0x21) + frames.integer(2**61)

    def skip() -> None:
        peer.on(0, head)
        peer.on(CONTROL, head)
        for _ in range(200):
            peer.on(0, bytes(16_384))
            peer.on(CONTROL, bytes(16_384))

    in_use, peak = traced(skip)
    assert peer.fault is None
    assert in_use < 2**15
    assert peak < 2**18


def test_answers_without_room_hold_references_and_no_copies():
    body = bytes(1_000_000)
    references = sys.getrefcount(body)
    peer = Peer(answers=body)
    peer.transport.total = 0
    in_use, _ = traced(lambda: peer.get(*range(0, 400, 4)).pump())
    assert len(peer.connection.streams) == 100
    assert sys.getrefcount(body) > references + 90
    assert in_use < 2**20
    peer.connection.drop_all()


def test_priorities_of_requests_that_never_come():
    peer = Peer()

    def ask() -> None:
        for number in range(0, 600, 4):
            peer.now += 0.2
            peer.on(CONTROL, priority_update(number, b"u=1;" + b"x" * 16_000))

    in_use, _ = traced(ask)
    assert peer.fault is None
    assert in_use < 100_000


async def test_what_clients_leave_behind_is_freed_without_the_collector():
    kept = (Http3Session, Connection, Stream, Exchange, RequestContent, PreparedResponse)

    def alive() -> int:
        return sum(isinstance(each, kept) for each in gc.get_objects())

    async def handler(request: Request) -> Response:
        if request.target == b"/never":
            await asyncio.Event().wait()
        if request.body is not None:
            async for _ in request.body:
                break
        return response(Body(bytes(16_384), bytes(16_384)))

    gc.collect()
    gc.disable()
    try:
        before = alive()
        peer = SessionPeer()
        peer.application.handler = handler
        peer.get_target(0, b"/hit").get_target(4, b"/miss").get_target(8, b"/never")
        peer.transport.rooms[12] = 100
        peer.get_target(12, b"/miss").post(16).post(20).on(24, headers()[:5])
        peer.on(16, data_frame(b"abc") * 200).on(20, data_frame(b"abc"), end=True)
        peer.on(28, headers(REQUEST))
        await peer.settle()
        peer.session.was_stopped(8, codes.REQUEST_CANCELLED)
        await peer.settle()
        peer.session.lost()
        await peer.settle()
        assert peer.tasks == 0
        peer.application.requests.clear()
        del peer
        assert alive() == before
    finally:
        gc.enable()
