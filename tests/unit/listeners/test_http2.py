import asyncio
import itertools

import hyperframe.frame as oracle
import pytest

from edgeproxy.errors import UpstreamError
from edgeproxy.http.messages import FieldSection, Request, Response
from edgeproxy.listeners.answering import STREAM_QUEUE_BYTES, TURN_BYTES
from edgeproxy.listeners.http2 import WRITE_BYTES
from edgeproxy.wire.h2 import codes, frames
from tests.support.barrier import settle
from tests.support.h2_peer import parse, ping
from tests.support.http1_session import Stream, response
from tests.support.http2_session import HIT, SessionPeer, answer_with, pending

WIDE = [(frames.SETTINGS_INITIAL_WINDOW_SIZE, 2**30)]


@pytest.fixture
async def wide() -> SessionPeer:
    return SessionPeer(settings=WIDE).send(frames.window_update_frame(0, 2**30))


# --- hits ---------------------------------------------------------------------------------------


async def test_the_greeting_leaves_at_once(peer: SessionPeer):
    assert [type(f) for f in peer.greeting] == [oracle.SettingsFrame, oracle.WindowUpdateFrame]


async def test_a_hit_is_answered_within_the_read_and_without_a_task(peer: SessionPeer):
    peer.get_target(1, b"/hit")
    assert peer.tasks == 0
    assert peer.status(1) == b"200"
    assert peer.body(1) == b"hello"
    assert peer.application.ended == [(b"/hit", 5, True)]
    request = peer.application.requests[0]
    assert (request.method, request.target, request.authority) == (b"GET", b"/hit", b"edge.example")
    assert (request.scheme, request.protocol, request.body) == (b"https", "HTTP/2", None)
    assert request.received_at == peer.clock.now()
    assert request.started == peer.clock.monotonic()
    assert request.connection is peer.channel.info


async def test_all_answers_to_one_read_leave_in_one_write(peer: SessionPeer):
    before = len(peer.channel.writes)
    peer.send(*[peer.headers(n, HIT) for n in range(1, 41, 2)])
    assert len(peer.channel.writes) == before + 1
    assert len(peer.application.ended) == 20


async def test_many_large_answers_leave_in_writes_of_bounded_size(wide: SessionPeer):
    wide.application.hits[b"/hit"] = response(bytes(60_000))
    wide.channel.writes.clear()
    wide.send(*[wide.headers(n, HIT) for n in range(1, 41, 2)])
    assert sum(wide.channel.writes) > 20 * 60_000
    assert max(wide.channel.writes) < WRITE_BYTES + 61_000


async def test_a_hit_is_cut_into_frames_once(peer: SessionPeer):
    stored = peer.application.hits[b"/hit"] = response(b"stored")
    peer.get_target(1, b"/hit")
    prepared = stored.h2
    assert prepared is not None
    section = stored.sections[0].h2
    assert section is not None
    peer.get_target(3, b"/hit")
    assert stored.h2 is prepared
    assert peer.body(1) == peer.body(3) == b"stored"


async def test_a_hit_without_window_waits_for_it(peer: SessionPeer):
    peer = SessionPeer(settings=[(frames.SETTINGS_INITIAL_WINDOW_SIZE, 3)])
    peer.get_target(1, b"/hit")
    assert peer.body(1) == b"hel"
    assert peer.application.ended == []
    peer.send(frames.window_update_frame(1, 100))
    assert peer.body(1) == b"hello"
    assert peer.application.ended == [(b"/hit", 5, True)]
    assert peer.tasks == 0


async def test_the_connection_window_stops_every_stream_but_not_the_loop():
    peer = SessionPeer(settings=WIDE)
    peer.application.hits[b"/hit"] = response(bytes(50_000))
    peer.get_target(1, b"/hit").get_target(3, b"/hit").get_target(5, b"/hit")
    assert [len(peer.body(n)) for n in (1, 3, 5)] == [50_000, 15_535, 0]
    await settle()
    peer.send(frames.window_update_frame(0, 100_000))
    assert [len(peer.body(n)) for n in (1, 3, 5)] == [50_000] * 3
    assert len(peer.application.ended) == 3


async def test_a_hit_with_a_large_field_section(peer: SessionPeer):
    section = FieldSection([(b"x%d" % n, b"\x01" * 1000) for n in range(40)])
    stored = peer.application.hits[b"/hit"] = Response(200, (section,), b"body")
    peer.get_target(1, b"/hit")
    kinds = {type(f) for f in parse(bytes(peer.channel.pending))}
    assert oracle.ContinuationFrame in kinds
    assert stored.h2 is None
    assert peer.application.ended == [(b"/hit", 4, True)]


async def test_a_hit_without_content(peer: SessionPeer):
    peer.application.hits[b"/hit"] = Response(304, (FieldSection([(b"etag", b'"a"')]),), b"")
    peer.get_target(1, b"/hit")
    assert peer.status(1) == b"304"
    assert peer.application.ended == [(b"/hit", 0, True)]


async def test_a_reader_that_resets_a_hit_ends_it(peer: SessionPeer):
    peer = SessionPeer(settings=[(frames.SETTINGS_INITIAL_WINDOW_SIZE, 3)])
    peer.get_target(1, b"/hit").send(frames.rst_stream_frame(1, codes.CANCEL))
    assert peer.application.ended == [(b"/hit", 3, False)]


# --- the slow way -------------------------------------------------------------------------------


async def test_a_miss_is_answered_in_a_task(peer: SessionPeer):
    gate = pending(peer)
    peer.get_target(1, b"/miss")
    assert peer.tasks == 1
    gate.set()
    await peer.settle()
    assert peer.body(1) == b"late"
    assert peer.tasks == 0
    assert peer.application.ended == [(b"/miss", 4, True)]


async def test_content_streams_through(peer: SessionPeer):
    body = Stream(b"abc", b"def")
    answer_with(peer, body)
    await peer.get_target(1, b"/miss").settle()
    assert peer.body(1) == b"abcdef"
    assert body.is_closed
    assert peer.application.ended == [(b"/miss", 6, True)]
    assert not peer.connection.streams


async def test_content_is_taken_no_faster_than_the_peer_reads(peer: SessionPeer):
    body = Stream(*[bytes(16384)] * 40)
    answer_with(peer, body)
    await peer.get_target(1, b"/miss").settle()
    assert len(peer.body(1)) == 65535
    assert body.taken == (65535 + STREAM_QUEUE_BYTES) // 16384 + 1
    for _ in range(20):
        peer.send(frames.window_update_frame(0, 50_000), frames.window_update_frame(1, 50_000))
        await peer.settle()
    assert len(peer.body(1)) == 40 * 16384
    assert body.is_closed
    assert peer.application.ended[-1][2] is True


async def test_fields_do_not_wait_for_content(peer: SessionPeer):
    body = Stream(b"abc")
    body.gate = asyncio.Event()
    answer_with(peer, body)
    await peer.get_target(1, b"/miss").settle()
    assert peer.status(1) == b"200"
    body.gate.set()
    await peer.settle()
    assert peer.body(1) == b"abc"


async def test_content_that_breaks_off_resets_the_stream(peer: SessionPeer):
    body = Stream(b"abc", UpstreamError("http_response_incomplete", 502))
    answer_with(peer, body)
    await peer.get_target(1, b"/miss").settle()
    assert peer.body(1) == b"abc"
    assert peer.resets == {1: codes.INTERNAL_ERROR}
    assert not any("END_STREAM" in f.flags for f in peer.of(oracle.DataFrame))
    assert peer.application.ended == [(b"/miss", 3, False)]
    assert body.is_closed
    assert peer.tasks == 0


async def test_an_unexpected_error_resets_the_stream_and_is_logged(peer: SessionPeer, caplog):
    answer_with(peer, Stream(b"abc", ZeroDivisionError("bug")))
    await peer.get_target(1, b"/miss").settle()
    assert peer.resets == {1: codes.INTERNAL_ERROR}
    assert "bug" in caplog.text


async def test_an_application_that_raises_costs_one_stream(peer: SessionPeer, caplog):
    async def handler(_request: Request) -> Response:
        raise ZeroDivisionError("bug")

    peer.application.handler = handler
    await peer.get_target(1, b"/miss").settle()
    assert peer.resets == {1: codes.INTERNAL_ERROR}
    assert not peer.connection.streams
    assert peer.application.ended == []
    assert "bug" in caplog.text
    peer.get_target(3, b"/hit")
    assert peer.body(3) == b"hello"


async def test_content_that_cannot_be_closed_is_logged(peer: SessionPeer, caplog):
    class Broken(Stream):
        async def aclose(self) -> None:
            raise ZeroDivisionError("bug")

    answer_with(peer, Broken(b"abc"))
    await peer.get_target(1, b"/miss").settle()
    assert peer.application.ended == [(b"/miss", 3, True)]
    assert "bug" in caplog.text


async def test_a_source_that_never_waits_lets_others_have_their_turn(wide: SessionPeer):
    seen: list[int] = []
    body = Stream(*[bytes(16384)] * 200)
    answer_with(wide, body)
    wide.get_target(1, b"/miss")
    for _ in range(100):
        await asyncio.sleep(0)
        seen.append(body.taken)
        if body.is_closed:
            break
    steps = [b - a for a, b in itertools.pairwise(seen)]
    assert max(steps) <= TURN_BYTES // 16384 + 1
    assert len(wide.body(1)) == 200 * 16384


# --- a channel that is full ---------------------------------------------------------------------


async def test_a_paused_channel_gets_nothing_until_it_drains(wide: SessionPeer):
    wide.channel.capacity = 100_000
    wide.application.hits[b"/hit"] = response(bytes(1_000_000))
    wide.get_target(1, b"/hit")
    assert wide.channel.is_paused
    assert wide.channel.unsent_bytes < 100_000 + WRITE_BYTES + 2000
    while wide.channel.is_paused:
        before = wide.channel.unsent_bytes
        wide.drain()
        assert before < 100_000 + WRITE_BYTES + 2000
        await settle()
    assert len(wide.body(1)) == 1_000_000
    assert wide.application.ended == [(b"/hit", 1_000_000, True)]


async def test_hits_for_a_full_channel_are_queued_by_reference(wide: SessionPeer):
    wide.channel.capacity = 1000
    stored = wide.application.hits[b"/hit"] = response(bytes(60_000))
    wide.send(*[wide.headers(n, HIT) for n in range(1, 101, 2)])
    assert wide.channel.unsent_bytes < 200_000
    assert len(wide.connection.streams) >= 45
    assert all(s.current is stored.body for s in wide.connection.streams.values())
    while wide.channel.is_paused:
        wide.drain()
        await settle()
    assert len(wide.application.ended) == 50
    assert not wide.connection.streams


async def test_a_full_channel_holds_a_source_back(wide: SessionPeer):
    wide.channel.capacity = 100_000
    body = Stream(*[bytes(16384)] * 100)
    answer_with(wide, body)
    await wide.get_target(1, b"/miss").settle()
    assert body.taken < 20
    while wide.connection.streams:
        wide.drain()
        await settle()
    assert body.is_closed
    assert len(wide.body(1)) == 100 * 16384


async def test_one_answer_does_not_keep_the_loop_to_itself(wide: SessionPeer):
    wide.application.hits[b"/hit"] = response(bytes(TURN_BYTES * 4))
    wide.channel.writes.clear()
    wide.get_target(1, b"/hit")
    assert sum(wide.channel.writes) < TURN_BYTES + WRITE_BYTES
    wide.send(ping())
    await settle()
    assert len(wide.body(1)) == TURN_BYTES * 4


# --- turns --------------------------------------------------------------------------------------


async def test_a_long_read_is_taken_in_portions_and_nothing_more_is_read_meanwhile(
    peer: SessionPeer,
):
    requests = [peer.headers(n, HIT) for n in range(1, 1001, 2)]
    peer.send(b"".join(requests))
    first = len(peer.application.ended)
    assert 0 < first < 500
    assert not peer.channel.is_reading
    peer.send(peer.headers(1001, HIT))  # read before reading stopped
    assert len(peer.application.ended) == first
    await settle(1)
    assert first < len(peer.application.ended) <= 2 * first + 1
    while not peer.channel.is_reading:
        await settle(1)
    assert len(peer.application.ended) == 501
    assert peer.goaway is None


async def test_a_connection_that_ended_takes_no_turn(peer: SessionPeer):
    peer.send(b"".join(peer.headers(n, HIT) for n in range(1, 1001, 2)))
    taken = len(peer.application.ended)
    peer.session.lost()
    await settle()
    assert len(peer.application.ended) == taken


async def test_a_fault_in_a_later_portion_ends_the_connection(peer: SessionPeer):
    requests = b"".join(peer.headers(n, HIT) for n in range(1, 1001, 2))
    peer.send(requests + frames.frame(frames.PUSH_PROMISE, 0, 1))
    await settle()
    assert peer.channel.is_closed
    assert peer.goaway == codes.PROTOCOL_ERROR
    assert len(peer.application.ended) == 500


async def test_tasks_begin_one_in_a_turn_and_none_for_who_has_gone(peer: SessionPeer):
    peer.channel.holds_starts = True
    gate = pending(peer)
    for number in (1, 3, 5, 7):
        peer.get_target(number, b"/miss")
    peer.send(frames.rst_stream_frame(3, codes.CANCEL))
    counts = []
    for _ in range(4):
        counts.append(peer.tasks)
        await settle(1)
    assert counts == [0, 1, 2, 3]
    gate.set()
    await peer.settle()
    assert [peer.body(n) for n in (1, 3, 5, 7)] == [b"late", b"", b"late", b"late"]


async def test_tasks_that_were_to_begin_do_not_after_the_end(peer: SessionPeer):
    peer.channel.holds_starts = True
    pending(peer)
    peer.get_target(1, b"/miss")
    peer.session.lost()
    await settle()
    assert peer.tasks == 0
