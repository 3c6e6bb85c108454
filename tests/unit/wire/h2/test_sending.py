import hyperframe.frame as oracle
import pytest

from edgeproxy.errors import ConnectionFault, StreamFault
from edgeproxy.wire.h2 import codes, frames
from edgeproxy.wire.h2.prepared import PreparedResponse
from edgeproxy.wire.h2.priority import Priority
from edgeproxy.wire.h2.sending import STRAIGHT_BYTES_MAX, Sender
from edgeproxy.wire.h2.streams import Stream, lane_of
from tests.support.h2_peer import parse

BUDGET = 2**24
WIDE = 2**31 - 1


@pytest.fixture
def sender() -> Sender:
    sender = Sender()
    sender.window = sender.initial_window = 2**24
    return sender


def stream(number: int = 1, window: int = 2**24, lane: int | None = None) -> Stream:
    made = Stream(number, window, 0)
    if lane is not None:
        made.lane = lane
    return made


def drained(sender: Sender) -> list[oracle.Frame]:
    found = parse(b"".join(sender.out))
    sender.out.clear()
    sender.out_bytes = 0
    return found


def body_of(found: list[oracle.Frame], stream_id: int = 1) -> bytes:
    return b"".join(
        f.data for f in found if isinstance(f, oracle.DataFrame) and f.stream_id == stream_id
    )


def order_of(found: list[oracle.Frame]) -> list[int]:
    return [f.stream_id for f in found if isinstance(f, oracle.DataFrame)]


# --- whole responses ----------------------------------------------------------------------------


def test_no_body_is_one_frame(sender: Sender):
    one = stream()
    assert sender.respond(one, b"\x88", b"")
    (headers,) = drained(sender)
    assert headers.flags == {"END_HEADERS", "END_STREAM"}
    assert one.is_local_ended


@pytest.mark.parametrize("size", [0, 1, 16383, 16384, 16385, 32768, STRAIGHT_BYTES_MAX])
@pytest.mark.parametrize("view", [False, True])
def test_a_prepared_response_leaves_at_once(sender: Sender, size: int, view: bool):
    body = bytes(i % 251 for i in range(size))
    prepared = PreparedResponse(b"\x88", memoryview(body) if view else body)
    assert sender.send_prepared(5, prepared)
    assert sender.out_bytes == sum(map(len, sender.out))
    found = drained(sender)
    assert {f.stream_id for f in found} == {5}
    assert body_of(found, 5) == body
    assert [("END_STREAM" in f.flags) for f in found] == [False] * (len(found) - 1) + [True]
    assert sender.window == 2**24 - size
    assert sender.sent_bytes == size
    assert not sender.has_queued


def test_a_body_of_one_frame_is_not_copied(sender: Sender):
    body = b"x" * 16384
    sender.send_prepared(1, PreparedResponse(b"\x88", body))
    assert any(part is body for part in sender.out)


def test_what_cannot_leave_at_once_is_left_alone(sender: Sender):
    prepared = PreparedResponse(b"\x88", b"12345")
    sender.window = 4
    assert not sender.send_prepared(1, prepared)
    sender.window, sender.initial_window = 100, 4
    assert not sender.send_prepared(1, prepared)
    sender.initial_window, sender.is_held = 100, True
    assert not sender.send_prepared(1, prepared)
    sender.is_held, sender.prefix = False, b"\x20"
    assert not sender.send_prepared(1, prepared)
    sender.prefix = b""
    assert sender.out == []
    assert sender.send_prepared(1, prepared)


def test_a_prepared_response_waits_behind_what_is_queued(sender: Sender):
    sender.respond(stream(1), b"\x88", bytes(10))
    assert not sender.send_prepared(3, PreparedResponse(b"\x88", b"12345"))


def test_a_large_prepared_response_takes_turns(sender: Sender):
    prepared = PreparedResponse(b"\x88", bytes(STRAIGHT_BYTES_MAX + 1))
    assert not sender.send_prepared(3, prepared)


def test_no_content_needs_no_window(sender: Sender):
    sender.window = sender.initial_window = 0
    assert sender.send_prepared(1, PreparedResponse(b"\x88", b""))


def test_a_large_body_is_queued_and_pumped(sender: Sender):
    body = bytes(i % 251 for i in range(STRAIGHT_BYTES_MAX + 1))
    one = stream()
    assert not sender.respond(one, b"\x88", body)
    sender.pump(BUDGET)
    assert body_of(drained(sender)) == body
    assert sender.ended == [one]
    assert one.queued_bytes == 0
    assert one.current == b""


def test_a_large_field_section_is_split(sender: Sender):
    sender.respond(stream(), bytes(20000), b"abc")
    sender.pump(BUDGET)
    kinds = [type(f) for f in drained(sender)]
    assert kinds == [oracle.HeadersFrame, oracle.ContinuationFrame, oracle.DataFrame]


def test_a_prefix_goes_before_the_next_field_section_only(sender: Sender):
    sender.prefix = b"\x20"
    sender.respond(stream(1), b"\x88", b"a")
    sender.pump(BUDGET)
    sender.respond(stream(3), b"\x88", b"b")
    sender.pump(BUDGET)
    blocks = [f.data for f in drained(sender) if isinstance(f, oracle.HeadersFrame)]
    assert blocks == [b"\x20\x88", b"\x88"]


# --- content that comes in parts ----------------------------------------------------------------


def test_content_comes_in_parts(sender: Sender):
    one = stream()
    sender.start(one, b"\x88")
    sender.feed(one, b"abc")
    sender.feed(one, memoryview(b"def"))
    sender.feed(one, b"")
    sender.feed(one, b"ghi")
    assert one.queued_bytes == 9
    sender.pump(BUDGET)
    assert sender.relieved == [one]
    assert not sender.has_queued
    sender.feed(one, b"jkl")
    sender.finish(one)
    sender.pump(BUDGET)
    found = drained(sender)
    assert body_of(found) == b"abcdefghijkl"
    assert "END_STREAM" in found[-1].flags
    assert sender.ended == [one]


def test_the_end_may_come_alone(sender: Sender):
    one = stream()
    sender.start(one, b"\x88")
    sender.finish(one)
    sender.pump(BUDGET)
    _, data = drained(sender)
    assert data.flags == {"END_STREAM"}
    assert data.data == b""


@pytest.mark.parametrize("window", [0, -1, -70000])
def test_the_end_alone_needs_no_window(sender: Sender, window: int):
    one = stream()
    sender.start(one, b"\x88")
    sender.feed(one, b"abc")
    sender.pump(BUDGET)
    one.window = window
    sender.finish(one)
    sender.pump(BUDGET)
    assert sender.ended == [one]
    assert one.window == window


def test_the_end_alone_needs_no_connection_window(sender: Sender):
    one = stream()
    sender.start(one, b"\x88")
    sender.finish(one)
    sender.window = 0
    sender.pump(BUDGET)
    assert sender.ended == [one]


def test_chunks_wait_for_the_window_in_order(sender: Sender):
    one = stream(window=4)
    sender.start(one, b"\x88")
    for chunk in (b"ab", b"cd", b"ef", b"gh"):
        sender.feed(one, chunk)
    sender.finish(one)
    sender.pump(BUDGET)
    assert body_of(drained(sender)) == b"abcd"
    assert (one.queued_bytes, sender.has_queued, sender.relieved) == (4, False, [])
    sender.widen_stream(one, 3)
    sender.pump(BUDGET)
    sender.widen_stream(one, 3)
    sender.pump(BUDGET)
    assert body_of(drained(sender)) == b"efgh"
    assert sender.ended == [one]


# --- budget, windows, order ---------------------------------------------------------------------


def test_pump_keeps_to_its_budget(sender: Sender):
    one = stream()
    sender.respond(one, b"\x88", bytes(200_000))
    sender.pump(50_000)
    assert len(body_of(drained(sender))) == 50_000
    sender.pump(BUDGET)
    assert len(body_of(drained(sender))) == 150_000


def test_the_connection_window_stops_everybody(sender: Sender):
    sender.window = 10
    first, second = stream(1), stream(3)
    for each in (first, second):
        sender.start(each, b"\x88")
        sender.feed(each, bytes(8))
    sender.pump(BUDGET)
    assert sender.window == 0
    assert sender.has_queued
    assert (first.queued_bytes, second.queued_bytes) == (0, 6)
    sender.widen(100)
    sender.pump(BUDGET)
    assert second.queued_bytes == 0


def test_a_stream_without_window_holds_up_nobody(sender: Sender):
    urgent, other = stream(1, window=0, lane=0), stream(3)
    for each in (urgent, other):
        sender.respond(each, b"\x88", b"abc")
    sender.pump(BUDGET)
    assert sender.ended == [other] or other.is_local_ended
    assert not urgent.is_local_ended


def test_urgency_decides(sender: Sender):
    sender.is_held = True
    for number, urgency in ((1, 5), (3, 0), (5, 3)):
        lane = lane_of(Priority(urgency))
        sender.respond(stream(number, lane=lane), b"\x88", bytes(40_000))
    drained(sender)
    sender.pump(BUDGET)
    assert list(dict.fromkeys(order_of(drained(sender)))) == [3, 5, 1]


def test_non_incremental_streams_go_one_by_one_and_incremental_ones_in_turns(sender: Sender):
    sender.is_held = True
    for number, incremental in ((1, True), (3, True), (5, False), (7, False)):
        lane = lane_of(Priority(3, incremental))
        sender.respond(stream(number, lane=lane), b"\x88", bytes(30_000))
    drained(sender)
    sender.pump(BUDGET)
    assert order_of(drained(sender)) == [5, 5, 7, 7, 1, 3, 1, 3]
    assert sender.window == 2**24 - 4 * 30_000
    assert [one.window for one in sender.ended] == [2**24 - 30_000] * 4


def test_a_stream_moves_to_another_lane(sender: Sender):
    sender.is_held = True
    first, second = stream(1), stream(3)
    for each in (first, second):
        sender.respond(each, b"\x88", bytes(100))
    sender.move(second, 0)
    drained(sender)
    sender.pump(BUDGET)
    assert order_of(drained(sender)) == [3, 1]


def test_a_stream_is_withdrawn_once(sender: Sender):
    sender.is_held = True
    first, second = stream(1), stream(3)
    for each in (first, second):
        sender.respond(each, b"\x88", bytes(100))
    sender.withdraw(first)
    sender.withdraw(first)
    assert sender.has_queued
    sender.withdraw(second)
    assert not sender.has_queued
    sender.pump(BUDGET)


# --- WINDOW_UPDATE and SETTINGS -----------------------------------------------------------------


def test_connection_window_errors(sender: Sender):
    with pytest.raises(ConnectionFault) as caught:
        sender.widen(0)
    assert caught.value.code == codes.PROTOCOL_ERROR
    sender.window = WIDE - 1
    sender.widen(1)
    with pytest.raises(ConnectionFault) as caught:
        sender.widen(1)
    assert caught.value.code == codes.FLOW_CONTROL_ERROR


def test_stream_window_errors(sender: Sender):
    one = stream(window=WIDE - 1)
    with pytest.raises(StreamFault) as fault:
        sender.widen_stream(one, 0)
    assert fault.value.code == codes.PROTOCOL_ERROR
    sender.widen_stream(one, 1)
    with pytest.raises(StreamFault) as fault:
        sender.widen_stream(one, 1)
    assert (fault.value.stream_id, fault.value.code) == (1, codes.FLOW_CONTROL_ERROR)
    assert one.window == WIDE


def test_a_smaller_initial_window_may_make_windows_negative(sender: Sender):
    one = stream(window=frames.WINDOW_DEFAULT)
    sender.initial_window = frames.WINDOW_DEFAULT
    sender.start(one, b"\x88")
    sender.feed(one, bytes(100_000))
    sender.pump(BUDGET)
    sender.resize([one], 10)
    assert one.window == 10 - frames.WINDOW_DEFAULT
    assert not sender.has_queued
    sender.widen_stream(one, frames.WINDOW_DEFAULT)
    assert sender.has_queued
    drained(sender)
    sender.pump(BUDGET)
    assert len(body_of(drained(sender))) == 10


def test_a_larger_initial_window_lets_streams_go_on(sender: Sender):
    one = stream(window=0)
    sender.initial_window = 0
    sender.respond(one, b"\x88", b"abc")
    sender.resize([one], 2)
    sender.pump(BUDGET)
    assert body_of(drained(sender)) == b"ab"
    sender.resize([one], 3)
    sender.pump(BUDGET)
    assert sender.ended == [one]


def test_a_shut_initial_window_takes_streams_out_of_their_lanes(sender: Sender):
    one = stream(window=frames.WINDOW_DEFAULT)
    sender.initial_window = frames.WINDOW_DEFAULT
    sender.is_held = True
    sender.respond(one, b"\x88", b"abc")
    sender.resize([one], 0)
    assert not sender.has_queued
    sender.resize([one], 65535)
    assert sender.has_queued


def test_an_initial_window_must_not_overflow_a_stream(sender: Sender):
    sender.initial_window = frames.WINDOW_DEFAULT
    with pytest.raises(ConnectionFault) as caught:
        sender.resize([stream(window=WIDE)], 65536)
    assert caught.value.code == codes.FLOW_CONTROL_ERROR


# --- trailers -----------------------------------------------------------------------------------


def ending_of(found: list[oracle.Frame]) -> list[tuple[str, int, bool]]:
    return [(type(f).__name__, len(f.data), "END_STREAM" in f.flags) for f in found]


def test_trailers_end_a_stream_instead_of_its_content(sender: Sender):
    one = stream()
    sender.start(one, b"\x88")
    sender.feed(one, b"abc")
    sender.feed(one, b"defg")
    sender.finish(one, b"trailers")
    sender.pump(BUDGET)
    assert ending_of(drained(sender)) == [
        ("HeadersFrame", 1, False),
        ("DataFrame", 3, False),
        ("DataFrame", 4, False),
        ("HeadersFrame", 8, True),
    ]
    assert sender.ended == [one]
    assert (one.sent_bytes, one.queued_bytes, one.is_local_ended) == (7, 0, True)


def test_trailers_need_no_window(sender: Sender):
    one = stream(window=3)
    sender.feed(one, b"abc")
    sender.pump(BUDGET)
    assert one.window == 0
    sender.finish(one, b"trailers")
    sender.pump(BUDGET)
    assert ending_of(drained(sender)) == [("DataFrame", 3, False), ("HeadersFrame", 8, True)]


def test_trailers_wait_for_the_content_before_them(sender: Sender):
    one = stream(window=2)
    sender.feed(one, b"abc")
    sender.finish(one, b"trailers")
    sender.pump(BUDGET)
    assert ending_of(drained(sender)) == [("DataFrame", 2, False)]
    sender.widen_stream(one, 1)
    sender.pump(BUDGET)
    found = drained(sender)
    assert ending_of(found) == [("DataFrame", 1, False), ("HeadersFrame", 8, True)]
    assert body_of(found) == b"c"


def test_large_content_with_trailers(sender: Sender):
    one = stream()
    sender.feed(one, bytes(40_000))
    sender.finish(one, bytes(20_000))
    sender.pump(BUDGET)
    found = drained(sender)
    assert len(body_of(found)) == 40_000
    assert [type(f).__name__ for f in found[-2:]] == ["HeadersFrame", "ContinuationFrame"]
    assert sum("END_STREAM" in f.flags for f in found) == 1
