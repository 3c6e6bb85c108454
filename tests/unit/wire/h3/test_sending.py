import pytest

from edgeproxy.wire.h2.priority import Priority
from edgeproxy.wire.h2.streams import lane_of
from edgeproxy.wire.h3.prepared import PreparedResponse
from edgeproxy.wire.h3.qpack import PREFIX, encode_fields, encode_status
from edgeproxy.wire.h3.sending import TURN_BYTES, Sender
from edgeproxy.wire.h3.streams import Stream
from tests.support.h3_peer import FakeTransport, parse

OK = encode_status(200)
LARGE = PREFIX + encode_fields([(b"x%d" % n, b"\x01" * 1000) for n in range(40)])


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


@pytest.fixture
def sender(transport: FakeTransport) -> Sender:
    return Sender(transport)


def stream_of(sender: Sender, number: int, priority: Priority | None = None) -> Stream:
    stream = Stream(number, 0.0)
    if priority is not None:
        stream.lane = lane_of(priority)
    return stream


def body_of(transport: FakeTransport, stream_id: int) -> bytes:
    return b"".join(payload for kind, payload in parse(transport.sent[stream_id]) if not kind)


# --- prepared responses -------------------------------------------------------------------------


def test_a_prepared_response_goes_at_once(sender: Sender, transport: FakeTransport):
    body = bytes(50_000)
    prepared = PreparedResponse(OK, body)
    assert sender.send_prepared(0, prepared)
    assert parse(transport.sent[0]) == [(1, OK), (0, body)]
    assert transport.ended == {0}
    assert sender.sent_bytes == 50_000


def test_one_without_content_needs_no_room(sender: Sender, transport: FakeTransport):
    transport.total = 0
    assert sender.send_prepared(0, PreparedResponse(OK, b""))
    assert parse(transport.sent[0]) == [(1, OK)]
    assert transport.ended == {0}


def test_one_without_room_is_not_begun(sender: Sender, transport: FakeTransport):
    prepared = PreparedResponse(OK, b"hello")
    transport.rooms[0] = prepared.wire_bytes - 1
    assert not sender.send_prepared(0, prepared)
    assert not transport.sent
    transport.rooms[0] += 1
    assert sender.send_prepared(0, prepared)


def test_one_does_not_overtake_what_is_queued(sender: Sender):
    sender.respond(stream_of(sender, 0), OK, b"hello")
    assert not sender.send_prepared(4, PreparedResponse(OK, b"hello"))


# --- whole responses ----------------------------------------------------------------------------


def test_a_response_without_content(sender: Sender, transport: FakeTransport):
    assert sender.respond(stream_of(sender, 0), OK, b"")
    assert parse(transport.sent[0]) == [(1, OK)]
    assert transport.ended == {0}
    assert not sender.has_queued


def test_a_body_is_sent_as_there_is_room(sender: Sender, transport: FakeTransport):
    stream = stream_of(sender, 0)
    transport.rooms[0] = 3000
    body = bytes(range(256)) * 40
    assert not sender.respond(stream, OK, memoryview(body))
    sender.pump()
    assert stream.is_blocked
    assert not sender.has_queued
    assert transport.rooms[0] == 0
    while not sender.ended:
        transport.rooms[0] = 3000
        sender.unblock(stream)
        sender.pump()
    assert body_of(transport, 0) == body
    assert sender.ended == [stream]
    assert transport.ended == {0}
    assert stream.sent_bytes == sender.sent_bytes == len(body)


def test_fields_larger_than_a_head_wait_for_room(sender: Sender, transport: FakeTransport):
    stream = stream_of(sender, 0)
    transport.rooms[0] = 20_000
    assert not sender.respond(stream, LARGE, b"hello")
    sender.pump()
    assert stream.is_blocked
    assert len(transport.sent[0]) == 20_000
    transport.rooms[0] = 1
    sender.unblock(stream)
    sender.pump()
    transport.rooms[0] = 100_000
    sender.unblock(stream)
    sender.pump()
    assert parse(transport.sent[0]) == [(1, LARGE), (0, b"hello")]
    assert transport.ended == {0}


def test_large_fields_alone(sender: Sender, transport: FakeTransport):
    stream = stream_of(sender, 0)
    assert not sender.respond(stream, LARGE, b"")
    sender.pump()
    assert parse(transport.sent[0]) == [(1, LARGE)]
    assert transport.ended == {0}
    assert sender.ended == [stream]


# --- streamed responses -------------------------------------------------------------------------


def test_each_chunk_is_a_frame(sender: Sender, transport: FakeTransport):
    stream = stream_of(sender, 0)
    sender.start(stream, OK)
    for chunk in (b"abc", b"", b"defg", b"h"):
        sender.feed(stream, chunk)
    sender.pump()
    assert parse(transport.sent[0]) == [(1, OK), (0, b"abc"), (0, b"defg"), (0, b"h")]
    assert sender.relieved == [stream]
    assert not transport.ended
    sender.feed(stream, b"ij")
    sender.finish(stream)
    sender.pump()
    assert body_of(transport, 0) == b"abcdefghij"
    assert transport.ended == {0}
    assert sender.ended == [stream]


def test_an_end_without_content_needs_no_room(sender: Sender, transport: FakeTransport):
    stream = stream_of(sender, 0)
    sender.start(stream, OK)
    sender.feed(stream, b"abc")
    sender.pump()
    transport.total = 0
    sender.finish(stream)
    sender.pump()
    assert transport.ended == {0}
    assert transport.order[-1] == (0, 0)


def test_trailers_end_a_stream(sender: Sender, transport: FakeTransport):
    stream = stream_of(sender, 0)
    trailers = PREFIX + encode_fields([(b"x-sum", b"1")])
    sender.start(stream, OK)
    sender.feed(stream, b"abc")
    sender.finish(stream, trailers)
    sender.pump()
    assert parse(transport.sent[0]) == [(1, OK), (0, b"abc"), (1, trailers)]
    assert transport.ended == {0}
    assert sender.ended == [stream]


def test_large_trailers_wait_for_room(sender: Sender, transport: FakeTransport):
    stream = stream_of(sender, 0)
    transport.rooms[0] = 30_000
    sender.start(stream, OK)
    sender.finish(stream, LARGE)
    sender.pump()
    assert stream.is_blocked
    assert not sender.ended
    transport.rooms[0] = 100_000
    sender.unblock(stream)
    sender.pump()
    assert parse(transport.sent[0]) == [(1, OK), (1, LARGE)]
    assert transport.ended == {0}


def test_chunks_that_have_no_room_wait_by_reference(sender: Sender, transport: FakeTransport):
    stream = stream_of(sender, 0)
    sender.start(stream, OK)
    transport.rooms[0] = 2
    chunks = [bytes(10), bytes(20), bytes(30)]
    for chunk in chunks:
        sender.feed(stream, chunk)
    sender.pump()
    assert stream.queued_bytes == 60
    assert stream.current is chunks[0]
    assert list(stream.chunks or ()) == chunks[1:]
    assert not sender.relieved
    transport.rooms[0] = 100
    sender.unblock(stream)
    sender.pump()
    assert len(body_of(transport, 0)) == 60
    assert sender.relieved == [stream]


# --- interim responses --------------------------------------------------------------------------


def test_interim_responses_go_to_who_has_room(sender: Sender, transport: FakeTransport):
    stream = stream_of(sender, 0)
    sender.interim(stream, encode_status(103))
    transport.rooms[0] = 3
    sender.interim(stream, encode_status(103))
    assert parse(transport.sent[0]) == [(1, encode_status(103))]


def test_nothing_overtakes_fields_that_wait(sender: Sender, transport: FakeTransport):
    stream = stream_of(sender, 0)
    sender.start(stream, LARGE)
    sender.interim(stream, encode_status(103))
    sender.start(stream, OK)
    sender.pump()
    assert parse(transport.sent[0]) == [(1, LARGE), (1, OK)]


# --- order (RFC 9218 section 10) ----------------------------------------------------------------


def order(transport: FakeTransport) -> list[int]:
    """Whose content went out, without repetitions."""
    ids = [number for number, size in transport.order if size > 100]
    return [number for at, number in enumerate(ids) if at == 0 or ids[at - 1] != number]


def test_what_is_urgent_goes_first(sender: Sender, transport: FakeTransport):
    for number, urgency in ((0, 5), (4, 1), (8, 3)):
        sender.respond(stream_of(sender, number, Priority(urgency)), OK, bytes(40_000))
    sender.pump()
    assert order(transport) == [4, 8, 0]


def test_incremental_ones_take_turns(sender: Sender, transport: FakeTransport):
    for number in (0, 4):
        sender.respond(stream_of(sender, number, Priority(3, incremental=True)), OK, bytes(40_000))
    sender.respond(stream_of(sender, 8), OK, bytes(40_000))
    sender.pump()
    assert order(transport) == [8, 0, 4, 0, 4, 0, 4]
    assert max(size for number, size in transport.order if number != 8) == TURN_BYTES


def test_one_without_room_holds_up_nobody(sender: Sender, transport: FakeTransport):
    transport.rooms[0] = 10
    sender.respond(stream_of(sender, 0, Priority(0)), OK, bytes(40_000))
    sender.respond(stream_of(sender, 4), OK, bytes(40_000))
    sender.pump()
    assert transport.ended == {4}


def test_a_priority_may_change(sender: Sender, transport: FakeTransport):
    first, second = stream_of(sender, 0), stream_of(sender, 4)
    for stream in (first, second):
        sender.respond(stream, OK, bytes(40_000))
    sender.move(second, lane_of(Priority(0, incremental=True)))
    assert transport.priorities == {4: (0, True)}
    sender.pump()
    assert order(transport)[0] == 4


def test_the_usual_priority_needs_no_mention(sender: Sender, transport: FakeTransport):
    sender.prioritise(0, lane_of(Priority()))
    sender.prioritise(4, lane_of(Priority(7)))
    assert transport.priorities == {4: (7, False)}


def test_a_stream_that_is_withdrawn_sends_nothing(sender: Sender, transport: FakeTransport):
    stream = stream_of(sender, 0)
    sender.respond(stream, OK, b"hello")
    sender.respond(other := stream_of(sender, 4), OK, b"hello")
    sender.withdraw(stream)
    sender.withdraw(stream)
    assert sender.has_queued
    sender.withdraw(other)
    assert not sender.has_queued
    sender.pump()
    assert 0 not in transport.ended
