from edgeproxy.wire.h2.priority import Priority
from edgeproxy.wire.h2.streams import DEFAULT_LANE, LANES, Stream, lane_of


def test_a_new_stream_has_nothing_to_send():
    stream = Stream(5, 65535, 65536)
    assert stream.id_bytes == b"\0\0\0\x05"
    assert (stream.window, stream.window_in) == (65535, 65536)
    assert not stream.is_sendable
    assert stream.lane == DEFAULT_LANE


def test_content_is_sendable_while_the_window_is_open():
    stream = Stream(1, 1, 0)
    stream.queued_bytes = 10
    assert stream.is_sendable
    stream.window = 0
    assert not stream.is_sendable
    stream.window = -5
    assert not stream.is_sendable


def test_the_end_alone_needs_no_window():
    stream = Stream(1, -5, 0)
    stream.is_final = True
    assert stream.is_sendable
    stream.is_local_ended = True
    assert not stream.is_sendable


def test_a_released_stream_sends_nothing_any_more():
    stream = Stream(1, 100, 0)
    stream.current, stream.queued_bytes, stream.is_final = b"x" * 10, 10, True
    stream.release()
    assert not stream.is_sendable
    assert (stream.current, stream.queued_bytes, stream.chunks) == (b"", 0, None)


def test_lanes_order_by_urgency_and_then_the_non_incremental_first():
    order = [lane_of(Priority(u, i)) for u in range(8) for i in (False, True)]
    assert order == list(range(LANES))
    assert lane_of(Priority()) == DEFAULT_LANE
