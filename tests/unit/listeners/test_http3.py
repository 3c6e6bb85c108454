import asyncio
import itertools

import pytest

from edgeproxy.errors import UpstreamError
from edgeproxy.http.messages import FieldSection, Request, Response
from edgeproxy.listeners.answering import STREAM_QUEUE_BYTES, TURN_BYTES
from edgeproxy.wire.h3 import codes, frames
from edgeproxy.wire.limits import Limits
from tests.support.barrier import settle
from tests.support.h3_peer import CONTROL, data_frame, headers, priority_update
from tests.support.http1_session import Stream, response
from tests.support.http3_session import SessionPeer, answer_with, pending, request


@pytest.fixture
async def peer() -> SessionPeer:
    return SessionPeer()


# --- hits ---------------------------------------------------------------------------------------


async def test_a_hit_is_answered_within_the_call_and_without_a_task(peer: SessionPeer):
    peer.get_target(0, b"/hit")
    assert peer.tasks == 0
    assert (peer.status(0), peer.body(0)) == (b"200", b"hello")
    assert peer.transport.ended == {0}
    assert peer.application.ended == [(b"/hit", 5, True)]
    request = peer.application.requests[0]
    assert (request.method, request.target, request.authority) == (b"GET", b"/hit", b"edge.example")
    assert (request.scheme, request.protocol, request.body) == (b"https", "HTTP/3", None)
    assert request.received_at == peer.clock.now()
    assert request.started == peer.clock.monotonic()
    assert request.connection is peer.streams.info


async def test_a_hit_whose_end_comes_later_is_one_too(peer: SessionPeer):
    peer.on(0, headers(request(b"/hit")))
    assert peer.application.requests == []
    peer.on(0, b"", end=True)
    assert peer.application.ended == [(b"/hit", 5, True)]
    assert peer.tasks == 0


async def test_a_hit_is_made_into_frames_once(peer: SessionPeer):
    stored = peer.application.hits[b"/hit"] = response(b"stored")
    peer.get_target(0, b"/hit")
    prepared = stored.h3
    assert prepared is not None
    assert stored.sections[0].h3 is not None
    assert stored.h2 is None
    peer.get_target(4, b"/hit")
    assert stored.h3 is prepared
    assert peer.body(0) == peer.body(4) == b"stored"


async def test_a_hit_without_room_waits_for_it(peer: SessionPeer):
    peer.transport.rooms[0] = 10
    stored = peer.application.hits[b"/hit"] = response(bytes(1000))
    peer.get_target(0, b"/hit")
    assert peer.application.ended == []
    assert peer.connection.streams[0].current is stored.body
    peer.widen(0, 500)
    assert 400 < len(peer.body(0)) <= 500
    peer.widen(0, 1000)
    assert len(peer.body(0)) == 1000
    assert peer.application.ended == [(b"/hit", 1000, True)]
    assert peer.tasks == 0
    assert not peer.connection.streams


async def test_room_for_the_connection_stops_every_stream(peer: SessionPeer):
    peer.application.hits[b"/hit"] = response(bytes(50_000))
    peer.transport.total = 80_000
    peer.get_target(0, b"/hit").get_target(4, b"/hit").get_target(8, b"/hit")
    assert sum(len(peer.body(number)) for number in (0, 4, 8)) < 80_000
    peer.transport.total += 200_000
    for number in (4, 8):
        peer.session.writable(number)
    assert [len(peer.body(number)) for number in (0, 4, 8)] == [50_000] * 3
    assert len(peer.application.ended) == 3


async def test_a_hit_with_a_large_field_section(peer: SessionPeer):
    section = FieldSection([(b"x%d" % n, b"\x01" * 1000) for n in range(40)])
    stored = peer.application.hits[b"/hit"] = Response(200, (section,), b"body")
    peer.get_target(0, b"/hit")
    assert stored.h3 is None
    assert peer.body(0) == b"body"
    assert peer.application.ended == [(b"/hit", 4, True)]


async def test_a_hit_without_content(peer: SessionPeer):
    peer.application.hits[b"/hit"] = Response(304, (FieldSection([(b"etag", b'"a"')]),), b"")
    peer.get_target(0, b"/hit")
    assert peer.sections(0) == [[(b":status", b"304"), (b"etag", b'"a"')]]
    assert peer.transport.ended == {0}
    assert peer.application.ended == [(b"/hit", 0, True)]


async def test_a_reader_that_stops_a_hit_ends_it(peer: SessionPeer):
    peer.transport.rooms[0] = 30
    peer.application.hits[b"/hit"] = response(bytes(1000))
    peer.get_target(0, b"/hit")
    sent = len(peer.body(0))
    peer.session.was_stopped(0, codes.REQUEST_CANCELLED)
    assert peer.application.ended == [(b"/hit", sent, False)]
    assert peer.transport.resets == {0: codes.REQUEST_CANCELLED}


async def test_a_priority_reaches_the_transport(peer: SessionPeer):
    peer.on(0, headers([*request(b"/hit"), (b"priority", b"u=1, i")]), end=True)
    assert peer.transport.priorities[0] == (1, True)


async def test_a_priority_orders_what_waits(peer: SessionPeer):
    peer.transport.total = 0
    peer.application.hits[b"/hit"] = response(bytes(40_000))
    peer.get_target(0, b"/hit").get_target(4, b"/hit")
    peer.on(CONTROL, priority_update(4, b"u=0"))
    peer.transport.total = 50_000
    for stream in peer.connection.streams.values():
        peer.connection.sender.unblock(stream)
    peer.session.writable(0)
    assert (len(peer.body(4)), 0 < len(peer.body(0)) < 40_000) == (40_000, True)


# --- the slow way -------------------------------------------------------------------------------


async def test_a_miss_is_answered_in_a_task(peer: SessionPeer):
    gate = pending(peer)
    peer.get_target(0, b"/miss")
    assert peer.tasks == 1
    gate.set()
    await peer.settle()
    assert peer.body(0) == b"late"
    assert peer.tasks == 0
    assert peer.application.ended == [(b"/miss", 4, True)]


async def test_content_streams_through(peer: SessionPeer):
    body = Stream(b"abc", b"def")
    answer_with(peer, body)
    await peer.get_target(0, b"/miss").settle()
    assert peer.body(0) == b"abcdef"
    assert body.is_closed
    assert peer.transport.ended == {0}
    assert peer.application.ended == [(b"/miss", 6, True)]
    assert not peer.connection.streams


async def test_trailers_follow_content(peer: SessionPeer):
    body = Stream(b"abc")
    body.trailers = ((b"x-sum", b"1"),)
    answer_with(peer, body)
    await peer.get_target(0, b"/miss").settle()
    assert peer.sections(0)[1:] == [[(b"x-sum", b"1")]]
    assert peer.transport.ended == {0}


async def test_content_is_taken_no_faster_than_the_peer_reads(peer: SessionPeer):
    body = Stream(*[bytes(16384)] * 40)
    answer_with(peer, body)
    peer.transport.rooms[0] = 65536
    await peer.get_target(0, b"/miss").settle()
    assert body.taken == (65536 + STREAM_QUEUE_BYTES) // 16384
    for _ in range(20):
        peer.widen(0, 50_000)
        await peer.settle()
    assert len(peer.body(0)) == 40 * 16384
    assert body.is_closed
    assert peer.application.ended[-1][2] is True


async def test_fields_do_not_wait_for_content(peer: SessionPeer):
    body = Stream(b"abc")
    body.gate = asyncio.Event()
    answer_with(peer, body)
    await peer.get_target(0, b"/miss").settle()
    assert peer.status(0) == b"200"
    body.gate.set()
    await peer.settle()
    assert peer.body(0) == b"abc"


async def test_content_that_breaks_off_resets_the_stream(peer: SessionPeer):
    body = Stream(b"abc", UpstreamError("http_response_incomplete", 502))
    answer_with(peer, body)
    await peer.get_target(0, b"/miss").settle()
    assert peer.transport.resets == {0: codes.INTERNAL_ERROR}
    assert not peer.transport.ended
    assert peer.application.ended == [(b"/miss", 3, False)]
    assert body.is_closed
    assert peer.tasks == 0


async def test_an_unexpected_error_resets_the_stream_and_is_logged(peer: SessionPeer, caplog):
    answer_with(peer, Stream(b"abc", ZeroDivisionError("bug")))
    await peer.get_target(0, b"/miss").settle()
    assert peer.transport.resets == {0: codes.INTERNAL_ERROR}
    assert "bug" in caplog.text


async def test_an_application_that_raises_costs_one_stream(peer: SessionPeer, caplog):
    async def handler(_request: Request) -> Response:
        raise ZeroDivisionError("bug")

    peer.application.handler = handler
    await peer.get_target(0, b"/miss").settle()
    assert peer.transport.resets == {0: codes.INTERNAL_ERROR}
    assert not peer.connection.streams
    assert peer.application.ended == []
    assert "bug" in caplog.text
    peer.get_target(4, b"/hit")
    assert peer.body(4) == b"hello"


async def test_content_that_cannot_be_closed_is_logged(peer: SessionPeer, caplog):
    class Broken(Stream):
        async def aclose(self) -> None:
            raise ZeroDivisionError("bug")

    answer_with(peer, Broken(b"abc"))
    await peer.get_target(0, b"/miss").settle()
    assert peer.application.ended == [(b"/miss", 3, True)]
    assert "bug" in caplog.text


async def test_a_source_that_never_waits_lets_others_have_their_turn(peer: SessionPeer):
    seen: list[int] = []
    body = Stream(*[bytes(16384)] * 200)
    answer_with(peer, body)
    peer.get_target(0, b"/miss")
    for _ in range(100):
        await asyncio.sleep(0)
        seen.append(body.taken)
        if body.is_closed:
            break
    assert max(b - a for a, b in itertools.pairwise(seen)) <= TURN_BYTES // 16384 + 1
    assert len(peer.body(0)) == 200 * 16384


async def test_a_client_that_goes_while_its_content_streams(peer: SessionPeer):
    body = Stream(*[bytes(16384)] * 40)
    answer_with(peer, body)
    peer.transport.rooms[0] = 1000
    await peer.get_target(0, b"/miss").settle()
    peer.session.was_stopped(0, codes.REQUEST_CANCELLED)
    await peer.settle()
    assert body.is_closed
    assert peer.tasks == 0
    assert peer.application.ended[-1][2] is False


async def test_a_response_that_comes_after_its_client_has_gone(peer: SessionPeer):
    async def handler(_request: Request) -> Response:
        peer.session._h3.abandon(peer.connection.streams[0], codes.INTERNAL_ERROR)
        return response(b"late")

    peer.application.handler = handler
    await peer.get_target(0, b"/miss").settle()
    assert peer.application.ended == [(b"/miss", 0, False)]
    assert peer.sections(0) == []


@pytest.mark.parametrize("count", [1, 2])
async def test_streamed_content_that_outlives_its_stream(peer: SessionPeer, count: int):
    class Late(Stream):
        async def __anext__(self) -> bytes:
            if self.taken == count - 1 and 0 in peer.connection.streams:
                peer.connection.abandon(peer.connection.streams[0], codes.INTERNAL_ERROR)
            return await super().__anext__()

    body = Late(b"abc")
    answer_with(peer, body)
    await peer.get_target(0, b"/miss").settle()
    assert body.is_closed
    assert peer.transport.ended == set()


# --- turns --------------------------------------------------------------------------------------


async def test_many_frames_at_once_are_taken_in_portions(peer: SessionPeer):
    gate = pending(peer)
    peer.post(0).on(0, data_frame(b"x") * 200)
    stream = peer.connection.streams[0]
    assert stream.is_behind
    await settle()
    assert not stream.is_behind
    assert stream.received_bytes == 200
    gate.set()
    await peer.settle()


async def test_a_connection_that_ended_takes_no_turn(peer: SessionPeer):
    pending(peer)
    peer.post(0).on(0, data_frame(b"x") * 200)
    stream = peer.connection.streams[0]
    peer.session.lost()
    await settle()
    assert stream.received_bytes < 200


async def test_tasks_begin_one_in_a_turn_and_none_for_who_has_gone(peer: SessionPeer):
    peer.streams.holds_starts = True
    gate = pending(peer)
    for number in (0, 4, 8, 12):
        peer.get_target(number, b"/miss")
    peer.session.was_stopped(4, codes.REQUEST_CANCELLED)
    counts = []
    for _ in range(4):
        counts.append(peer.tasks)
        await settle(1)
    assert counts == [0, 1, 2, 3]
    gate.set()
    await peer.settle()
    assert [peer.body(number) for number in (0, 4, 8, 12)] == [b"late", b"", b"late", b"late"]


async def test_tasks_that_were_to_begin_do_not_after_the_end(peer: SessionPeer):
    peer.streams.holds_starts = True
    pending(peer)
    peer.get_target(0, b"/miss")
    peer.session.lost()
    await settle()
    assert peer.tasks == 0


# --- the end ------------------------------------------------------------------------------------


async def test_a_fault_ends_the_connection_and_what_runs_for_it(peer: SessionPeer):
    gate = pending(peer)
    await peer.get_target(0, b"/miss").settle()
    peer.on(CONTROL, frames.settings_frame([]))
    assert peer.fault == codes.FRAME_UNEXPECTED
    await peer.settle()
    assert peer.tasks == 0
    assert peer.application.cancelled == 1
    sent = dict(peer.transport.sent)
    peer.get_target(4, b"/hit")
    peer.session.was_reset(4, 0)
    peer.session.was_stopped(4, 0)
    peer.session.writable(0)
    peer.session.drain()
    peer.session.tick(peer.clock.monotonic())
    gate.set()
    await peer.settle()
    assert peer.transport.sent == sent


async def test_a_lost_connection_cancels_and_releases(peer: SessionPeer):
    pending(peer)
    peer.get_target(0, b"/miss").get_target(4, b"/hit")
    await settle()
    peer.session.lost()
    await peer.settle()
    assert peer.tasks == 0
    assert peer.application.cancelled == 1
    assert peer.transport.closed is None


async def test_a_reset_cancels_the_work(peer: SessionPeer):
    pending(peer)
    await peer.post(0).settle()
    peer.session.was_reset(0, codes.REQUEST_CANCELLED)
    await peer.settle()
    assert peer.application.cancelled == 1
    assert peer.application.ended == []
    assert peer.tasks == 0


async def test_draining_announces_waits_and_closes(peer: SessionPeer):
    gate = pending(peer)
    await peer.get_target(0, b"/miss").settle()
    peer.session.drain()
    peer.session.drain()
    assert peer.goaways == [frames.REQUEST_ID_MAX]
    peer.get_target(4, b"/hit")
    assert peer.body(4) == b"hello"
    peer.pass_time(5)
    assert peer.goaways == [frames.REQUEST_ID_MAX, 8]
    peer.get_target(8, b"/hit")
    assert peer.transport.resets == {8: codes.REQUEST_REJECTED}
    gate.set()
    await peer.settle()
    assert peer.body(0) == b"late"
    assert peer.fault_of_close == codes.NO_ERROR


async def test_what_is_still_under_way_is_waited_for_but_not_long(peer: SessionPeer):
    peer.get_target(4, b"/hit")
    peer.session.drain()
    peer.pass_time(1)
    assert peer.goaways == [frames.REQUEST_ID_MAX, 8]
    assert peer.transport.closed is None
    peer.get_target(0, b"/hit")
    assert peer.body(0) == b"hello"
    peer.pass_time(1)
    assert peer.fault_of_close == codes.NO_ERROR
    late = SessionPeer().get_target(4, b"/hit")
    late.session.drain()
    assert late.elapsed() in (4, 5)
    assert late.fault_of_close == codes.NO_ERROR


async def test_draining_an_idle_connection_is_quick(peer: SessionPeer):
    peer.pass_time(30)
    peer.session.drain()
    assert peer.elapsed() in (1, 2)
    assert peer.goaways == [frames.REQUEST_ID_MAX, 0]


async def test_an_idle_connection_is_closed_in_order(peer: SessionPeer):
    assert peer.elapsed() in (62, 63)
    assert peer.goaways == [frames.REQUEST_ID_MAX, 0]
    assert peer.fault_of_close == codes.NO_ERROR


async def test_requests_keep_a_connection_for_an_hour(peer: SessionPeer):
    for number in range(60):
        peer.pass_time(59)
        peer.get_target(4 * number, b"/hit")
    assert peer.transport.closed is None
    assert peer.elapsed() <= 100


async def test_a_connection_has_so_many_requests():
    peer = SessionPeer(Limits(requests_per_connection_max=3))
    for number in range(3):
        peer.get_target(4 * number, b"/hit")
    peer.pass_time(1)
    assert peer.goaways == [frames.REQUEST_ID_MAX]


async def test_a_peer_without_settings():
    peer = SessionPeer(greets=False)
    assert peer.elapsed() == 11
    assert peer.fault == codes.EXCESSIVE_LOAD


async def test_a_request_that_takes_too_long(peer: SessionPeer):
    peer.on(0, headers()[:5])
    peer.pass_time(11)
    assert peer.transport.resets == {0: codes.REQUEST_REJECTED}
    assert peer.transport.closed is None


async def test_a_reader_that_takes_nothing(peer: SessionPeer):
    peer.transport.rooms[0] = 10
    peer.application.hits[b"/hit"] = response(bytes(1000))
    peer.get_target(0, b"/hit")
    assert peer.elapsed() in (11, 12)
    assert peer.fault == codes.EXCESSIVE_LOAD
    assert peer.application.ended[-1][2] is False
