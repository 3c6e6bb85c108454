"""Tests for edgeproxy/quic/outgoing.py."""

import pytest
from aioquic.quic.packet_builder import QuicDeliveryState

from edgeproxy.quic.outgoing import Outgoing
from edgeproxy.quic.schedule import Schedule

ACKED, LOST = QuicDeliveryState.ACKED, QuicDeliveryState.LOST


@pytest.fixture
def schedule():
    return Schedule()


@pytest.fixture
def stream(schedule):
    return Outgoing(4, schedule)


def sent(stream, octets, limit=1 << 62):
    """Send so many octets at most; returns where they begin, what they are, and whether it ends."""
    start, stop = stream.unsent(limit)
    stop = min(stop, start + octets)
    data = bytes(stream.send(start, stop))
    return start, data, stop == stream.ends_at


def test_octets_come_out_in_order_whatever_pieces_they_came_in(stream, schedule):
    whole = bytes(range(256)) * 20
    for start, stop in ((0, 10), (10, 2000), (2000, 2001), (2001, 5120)):
        stream.write(whole[start:stop])
    assert schedule.outstanding_bytes == stream.outstanding == 5120
    found = b""
    while stream.has_something:
        start, data, is_end = sent(stream, 700)
        assert start == len(found)
        assert not is_end
        found += data
    assert found == whole


def test_the_last_frame_ends_the_stream(stream, schedule):
    stream.write(b"abc")
    stream.write(b"def", end_stream=True)
    assert not stream.is_open
    assert sent(stream, 4) == (0, b"abcd", False)
    assert sent(stream, 4) == (4, b"ef", True)
    assert not stream.has_something
    stream.on_data_delivery(ACKED, 4, 6, True)
    assert not stream.is_finished
    assert schedule.outstanding_bytes == 6, "octets are let go of in order"
    stream.on_data_delivery(ACKED, 0, 4, False)
    assert stream.is_finished
    assert stream.is_settled
    assert schedule.outstanding_bytes == 0
    assert schedule.over == [4]
    assert not stream._chunks


def test_an_end_that_is_known_late_is_a_frame_of_its_own(stream):
    stream.write(b"abc")
    sent(stream, 10)
    stream.write(b"", end_stream=True)
    assert stream.has_something
    assert sent(stream, 10) == (3, b"", True)
    stream.on_data_delivery(LOST, 3, 3, True)
    assert sent(stream, 10) == (3, b"", True)
    stream.on_data_delivery(ACKED, 3, 3, True)
    assert not stream.is_finished
    stream.on_data_delivery(ACKED, 0, 3, False)
    assert stream.is_finished


def test_what_is_lost_goes_again_and_first(stream, schedule):
    whole = bytes(range(200))
    stream.write(whole[:120])
    stream.write(whole[120:], end_stream=True)
    frames = [sent(stream, 50) for _ in range(3)]
    schedule.remove(4)
    for start, data, is_end in (frames[2], frames[0], frames[1]):
        stream.on_data_delivery(LOST, start, start + len(data), is_end)
    assert 4 in schedule
    assert stream.lost == [(0, 150)]
    assert stream.next_offset == 0
    assert sent(stream, 100, limit=10) == (0, whole[:100], False), "the window has been used"
    assert sent(stream, 100, limit=150) == (100, whole[100:150], False)
    assert sent(stream, 100) == (150, whole[150:], True)


def test_lost_ranges_stay_apart_and_in_order(stream):
    stream.write(bytes(1000))
    for _ in range(10):
        sent(stream, 100)
    for start in (700, 100, 500, 300, 900, 200):
        stream.on_data_delivery(LOST, start, start + 100, False)
    assert stream.lost == [(100, 400), (500, 600), (700, 800), (900, 1000)]


def test_an_end_is_sent_once_more_only_while_it_is_missing(stream, schedule):
    stream.write(b"abc")
    sent(stream, 10)
    stream.write(b"", end_stream=True)
    sent(stream, 10)
    stream.on_data_delivery(LOST, 0, 3, False)
    assert sent(stream, 10) == (0, b"abc", True)
    stream.on_data_delivery(ACKED, 0, 3, True)
    assert stream.is_finished
    schedule.remove(4)
    stream.on_data_delivery(LOST, 3, 3, True)  # the first end, which is needed no more
    assert not stream.has_something
    assert 4 not in schedule
    assert schedule.over == [4]


def test_what_is_reset_has_nothing_more_to_send(stream, schedule):
    stream.write(bytes(5000))
    sent(stream, 1000)
    sent(stream, 1000)
    stream.on_data_delivery(LOST, 0, 1000, False)
    stream.reset(error_code=7)
    stream.reset(error_code=8)
    assert not stream.is_open
    assert not stream.is_settled
    assert not stream.has_something
    assert stream.ahead(1 << 62) == (b"", 0, 0)
    assert stream.get_frame(1000) is None
    assert schedule.outstanding_bytes == 0
    assert 4 not in schedule
    assert list(schedule.to_tell) == [4]
    frame = stream.get_reset_frame()
    assert (frame.stream_id, frame.error_code, frame.final_size) == (4, 7, 2000)
    schedule.to_tell.clear()
    stream.on_data_delivery(LOST, 1000, 2000, False)
    stream.on_data_delivery(ACKED, 0, 1000, False)
    assert 4 not in schedule
    assert schedule.outstanding_bytes == 0
    stream.on_reset_delivery(LOST)
    assert stream.reset_pending
    assert list(schedule.to_tell) == [4]
    assert stream.get_reset_frame().final_size == 2000
    stream.on_reset_delivery(ACKED)
    assert stream.is_finished
    assert schedule.over == [4]


def test_what_is_over_cannot_be_reset(stream, schedule):
    stream.write(b"x", end_stream=True)
    sent(stream, 1)
    stream.on_data_delivery(ACKED, 0, 1, True)
    stream.reset(1)
    assert stream.reset_code is None
    assert not schedule.to_tell


def test_what_is_ahead_is_of_one_chunk(stream):
    first, second = bytes(2000), b"\x01" * 3000
    stream.write(first)
    stream.write(second)
    assert stream.ahead(1 << 62) == (b"", 0, 0), "the first frame has no offset"
    sent(stream, 1)
    assert stream.ahead(1 << 62) == (first, 0, 2000)
    assert stream.ahead(1500) == (first, 0, 1500)
    sent(stream, 1999)
    assert stream.ahead(1 << 62) == (second, 2000, 5000)
    stream.on_data_delivery(LOST, 0, 1, False)
    assert stream.ahead(1 << 62) == (b"", 0, 0)
    sent(stream, 1)
    stream.on_data_delivery(ACKED, 1, 2000, False)
    stream.on_data_delivery(ACKED, 0, 1, False)
    assert stream.ahead(1 << 62) == (second, 2000, 5000)
    sent(stream, 5000)
    assert stream.ahead(1 << 62) == (b"", 0, 0)


def test_frames_as_aioquic_asks_for_them(stream):
    assert stream.get_frame(100) is None
    stream.write(b"abcdef", end_stream=True)
    assert stream.get_frame(-1) is None
    assert stream.get_frame(100, max_offset=0) is None
    frame = stream.get_frame(100, max_offset=4)
    assert (frame.offset, frame.data, frame.fin) == (0, b"abcd", False)
    assert stream.get_frame(0, max_offset=6) is None
    frame = stream.get_frame(100, max_offset=6)
    assert (frame.offset, frame.data, frame.fin) == (4, b"ef", True)
    assert stream.get_frame(100) is None


def test_crumbs_are_not_kept_one_by_one(stream):
    whole = bytes(range(250)) * 20
    for n, octet in enumerate(whole):
        stream.write(bytes([octet]))
        if n in {100, 1500, 1501}:
            sent(stream, 90)
    assert len(stream._chunks) <= len(whole) // 512 + 4
    found = b"".join(bytes(chunk) for _, chunk in stream._chunks)
    assert found == whole
    while stream.has_something:
        start, data, _ = sent(stream, 700)
        assert whole[start:].startswith(data)
    stream.on_data_delivery(ACKED, 0, 600, False)
    stream.write(b"more")
    assert sent(stream, 10) == (len(whole), b"more", False)
