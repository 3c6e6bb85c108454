"""The connection as its listener sees it; what peers do wrong stands in `tests/hostile`."""

import hyperframe.frame as oracle

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.h2 import codes, frames
from edgeproxy.wire.h2.priority import Priority
from edgeproxy.wire.h2.receiving import CONNECTION_WINDOW_IN
from edgeproxy.wire.h2.streams import lane_of
from edgeproxy.wire.limits import Limits
from tests.support.h2_peer import REQUEST, UPLOAD, Peer, data_frame, priority_update


def updates_of(peer: Peer, stream_id: int) -> int:
    found = peer.of(oracle.WindowUpdateFrame)
    return sum(f.window_increment for f in found if f.stream_id == stream_id)


# --- greeting -----------------------------------------------------------------------------------


def test_the_greeting_announces_the_limits():
    settings, update = Peer(Limits(concurrent_streams_max=7)).greeting
    assert settings.settings == {
        frames.SETTINGS_MAX_CONCURRENT_STREAMS: 7,
        frames.SETTINGS_INITIAL_WINDOW_SIZE: 65536,
        frames.SETTINGS_MAX_HEADER_LIST_SIZE: 16384,
        frames.SETTINGS_NO_RFC7540_PRIORITIES: 1,
    }
    assert (update.stream_id, update.window_increment) == (0, CONNECTION_WINDOW_IN - 65535)


def test_the_peers_settings_are_acknowledged():
    peer = Peer()
    assert [f for f in peer.of(oracle.SettingsFrame) if "ACK" in f.flags]
    assert not peer.connection.is_failed


def test_what_waits_behind_a_fault_is_not_read_any_more():
    peer = Peer()
    many = frames.frame(0xAB, 0, 0, bytes(700)) * 4
    peer.connection.receive(many + peer.headers(1), peer.now)
    assert peer.connection.is_behind
    peer.connection.fail(ConnectionFault(codes.NO_ERROR, "enough"))
    for _ in range(5):
        peer.connection.go_on(peer.now)
    assert not peer.sink.heads


# --- requests -----------------------------------------------------------------------------------


def test_a_request_without_content():
    peer = Peer().get(1)
    head = peer.sink.heads[1]
    assert (head.method, head.authority, head.target) == (b"GET", b"edge.example", b"/")
    assert peer.sink.whole == [1]
    assert (peer.connection.requests, peer.connection.highest_stream_id) == (1, 1)


def test_a_field_block_in_parts_with_padding_and_priority():
    peer = Peer()
    block = peer.block()
    payload = b"\x04\0\0\0\x03\xff" + block[:5] + bytes(4)
    flags = frames.PADDED | frames.PRIORITIZED | frames.END_STREAM
    peer.send(frames.frame(frames.HEADERS, flags, 1, payload))
    peer.send(frames.frame(frames.CONTINUATION, 0, 1, block[5:6]))
    assert not peer.sink.heads
    peer.send(frames.frame(frames.CONTINUATION, frames.END_HEADERS, 1, block[6:])).get(3)
    assert peer.sink.whole == [1, 3]


def test_padding_alone():
    peer = Peer()
    payload = b"\x09" + peer.block() + bytes(9)
    peer.send(frames.frame(frames.HEADERS, 0x0D, 1, payload))
    assert peer.sink.whole == [1]


def test_content_and_its_end():
    peer = Peer().upload(1, (b"content-length", b"6"))
    peer.send(data_frame(1, b"abc", padding=5), data_frame(1), data_frame(1, b"def", end=True))
    assert peer.sink.content == {1: b"abcdef"}
    assert peer.sink.whole == [1]


def test_trailers_end_the_content():
    peer = Peer().upload(1).send(data_frame(1, b"abc"))
    peer.send(peer.headers(1, [(b"checksum", b"1")]))
    assert peer.sink.whole == [1]
    assert peer.sink.content == {1: b"abc"}
    assert peer.sink.trailers == {1: [(b"checksum", b"1")]}


def test_trailers_over_the_limits_end_the_content_all_the_same():
    peer = Peer().upload(1)
    peer.send(peer.headers(1, [(b"a", b"b")] * 200))
    assert peer.sink.whole == [1]
    assert peer.sink.trailers == {}


def test_a_section_over_the_limits_is_told_and_the_connection_lives():
    peer = Peer()
    peer.send(peer.headers(1, (*REQUEST, *[(b"name", b"value")] * 200)))
    assert peer.sink.too_large == [(1, 431)]
    peer.get(3)
    assert peer.sink.whole == [3]


def test_a_target_over_the_limit_is_told_as_well():
    """RFC 9110 sections 4.1 and 15.5.15: what we take, every next hop should take."""
    peer = Peer()
    for size, stream_id in ((8192, 1), (8193, 3)):
        fields = (*REQUEST[:3], (b":path", b"/" * size))
        peer.send(peer.headers(stream_id, fields))
    assert (peer.sink.whole, peer.sink.too_large) == ([1], [(3, 414)])


def test_priorities_come_from_the_field_and_an_earlier_update_overrules_it():
    peer = Peer()
    peer.send(peer.headers(1, (*REQUEST, (b"priority", b"u=6"))))
    peer.send(priority_update(3, b"u=0, i"), priority_update(5, b""))
    peer.send(peer.headers(3, (*REQUEST, (b"priority", b"u=6"))))
    peer.send(peer.headers(5, (*REQUEST, (b"priority", b"u=6"))))
    lanes = [peer.sink.streams[number].lane for number in (1, 3, 5)]
    assert lanes == [lane_of(Priority(6)), lane_of(Priority(0, True)), lane_of(Priority())]


# --- answers ------------------------------------------------------------------------------------


def test_an_answer_closes_the_stream():
    peer = Peer(answers=b"hello").get(1)
    assert peer.body(1) == b"hello"
    assert not peer.connection.streams
    assert peer.resets == {}


def test_an_answer_before_the_end_of_the_content_refuses_the_rest():
    peer = Peer().upload(1)
    stream = peer.sink.streams[1]
    assert peer.connection.sender.respond(stream, b"\x88", b"")
    peer.connection.finished(stream)
    assert peer.resets == {1: codes.NO_ERROR}
    peer.send(data_frame(1, b"late"), data_frame(1, b"", end=True), peer.headers(1))
    assert peer.goaway is None
    assert peer.sink.resets == []


def test_windows_of_the_peer_pace_the_answer():
    peer = Peer(answers=bytes(200_000), settings=[(frames.SETTINGS_INITIAL_WINDOW_SIZE, 1000)])
    peer.get(1).pump()
    assert len(peer.body(1)) == 1000
    peer.send(frames.window_update_frame(1, 2**20)).pump()
    assert len(peer.body(1)) == 65535
    peer.send(frames.window_update_frame(0, 2**20)).pump()
    assert len(peer.body(1)) == 200_000
    assert not peer.connection.streams


def test_an_abandoned_stream_is_reset_once():
    peer = Peer().get(1)
    stream = peer.sink.streams[1]
    peer.connection.sender.feed(stream, b"part")
    peer.connection.abandon(stream, codes.INTERNAL_ERROR)
    peer.connection.abandon(stream, codes.CANCEL)
    assert peer.resets == {1: codes.INTERNAL_ERROR}
    assert not peer.connection.sender.has_queued
    assert peer.sink.resets == []


def test_a_reset_by_the_peer_stops_the_answer():
    peer = Peer(answers=bytes(200_000)).get(1)
    peer.send(frames.rst_stream_frame(1, codes.CANCEL)).pump()
    assert peer.sink.resets == [1]
    assert peer.body(1) == b""
    peer.send(frames.rst_stream_frame(1, codes.CANCEL), frames.window_update_frame(1, 5))
    assert peer.goaway is None


def test_a_shrunken_table_is_told_in_the_next_field_section():
    peer = Peer(answers=b"x", settings=[(frames.SETTINGS_HEADER_TABLE_SIZE, 0)])
    peer.get(1, 3).pump()
    blocks = [f.data for f in peer.of(oracle.HeadersFrame)]
    assert blocks == [b"\x20\x88", b"\x88"]


# --- credit -------------------------------------------------------------------------------------


def every_byte_comes_back(peer: Peer, sent: int) -> bool:
    """Whether the connection's window is open as wide as before, but for half of it at most."""
    return sent - updates_of(peer, 0) < CONNECTION_WINDOW_IN // 2


def test_used_content_is_credited_to_both_windows():
    peer = Peer().upload(1)
    for _ in range(100):
        peer.send(data_frame(1, bytes(15_000), padding=255))
    sent = 100 * (15_000 + 256)
    assert peer.goaway is None
    assert peer.resets == {}
    assert every_byte_comes_back(peer, sent)
    assert sent - updates_of(peer, 1) < 65536 // 2


def test_unused_content_holds_its_stream_back_and_no_more():
    peer = Peer()
    peer.sink.credits = False
    peer.upload(1).send(*[data_frame(1, bytes(16384))] * 4)
    assert updates_of(peer, 1) == 0
    assert peer.resets == {}
    peer.send(data_frame(1, b"x"))
    assert peer.resets == {1: codes.FLOW_CONTROL_ERROR}


def uploads(peer: Peer, count: int, end_of) -> int:
    """Fill the windows of many streams that nobody reads, and end each in some way."""
    sent = 0
    for number in range(1, 2 * count, 2):
        peer.now += 1.0
        peer.sink.credits = False
        peer.upload(number, (b"content-length", b"70000"))
        peer.send(*[data_frame(number, bytes(16384))] * 3)
        sent += 3 * 16384 + end_of(number)
    return sent


def test_content_of_streams_that_the_peer_resets_is_credited():
    peer = Peer()

    def reset(number: int) -> int:
        peer.send(frames.rst_stream_frame(number, codes.CANCEL))
        return 0

    sent = uploads(peer, 100, reset)
    assert peer.goaway is None
    assert every_byte_comes_back(peer, sent)


def test_content_of_streams_that_we_reset_is_credited():
    peer = Peer()

    def end_short(number: int) -> int:
        peer.send(data_frame(number, bytes(100), end=True))
        return 100

    sent = uploads(peer, 100, end_short)
    assert set(peer.resets.values()) == {codes.PROTOCOL_ERROR}
    assert peer.goaway is None
    assert every_byte_comes_back(peer, sent)


def test_content_of_streams_that_are_answered_early_is_credited():
    peer = Peer()

    def answer(number: int) -> int:
        peer.connection.sender.respond(peer.sink.streams[number], b"\x88", b"")
        peer.connection.finished(peer.sink.streams[number])
        peer.send(data_frame(number, bytes(1000)))
        return 1000

    sent = uploads(peer, 100, answer)
    assert set(peer.resets.values()) == {codes.NO_ERROR}
    assert every_byte_comes_back(peer, sent)


def test_content_that_was_whole_and_not_read_is_credited():
    peer = Peer()
    peer.sink.credits = False
    for number in range(1, 101, 2):
        peer.upload(number, (b"content-length", b"50000"))
        peer.send(*[data_frame(number, bytes(12_500), end=part == 3) for part in range(4)])
        assert number in peer.sink.whole
        peer.connection.sender.respond(peer.sink.streams[number], b"\x88", b"")
        peer.connection.finished(peer.sink.streams[number])
    assert peer.resets == {}
    assert every_byte_comes_back(peer, 50 * 50_000)


def test_content_over_its_length_is_credited():
    peer = Peer()

    def too_much(number: int) -> int:
        size = 16384
        peer.send(data_frame(number, bytes(size)), data_frame(number, bytes(size)))
        return 2 * size

    sent = uploads(peer, 60, too_much)
    assert set(peer.resets) == set(range(1, 120, 2))
    assert every_byte_comes_back(peer, sent)


# --- the end ------------------------------------------------------------------------------------


def test_a_shutdown_is_announced_and_then_done():
    peer = Peer().get(1)
    peer.connection.announce_shutdown()
    peer.get(3)
    peer.connection.shut_down()
    peer.get(5)
    assert [f.last_stream_id for f in peer.of(oracle.GoAwayFrame)] == [2**31 - 1, 3]
    assert sorted(peer.connection.streams) == [1, 3]
    assert peer.resets == {5: codes.REFUSED_STREAM}


def test_a_fault_never_raises_the_last_stream_of_an_earlier_goaway():
    peer = Peer().get(1)
    peer.connection.shut_down()
    peer.get(3)
    peer.connection.fail(ConnectionFault(codes.ENHANCE_YOUR_CALM, "too slow"))
    assert [f.last_stream_id for f in peer.of(oracle.GoAwayFrame)] == [1, 1]


def test_a_fault_tells_every_stream_and_ends_the_reading():
    peer = Peer().get(1).upload(3)
    peer.send(frames.frame(frames.PING, 0, 1, bytes(8)))
    assert peer.goaway == codes.PROTOCOL_ERROR
    assert peer.connection.is_failed
    assert sorted(peer.sink.resets) == [1, 3]
    peer.get(5)
    assert 5 not in peer.sink.heads


def test_dropping_all_streams_tells_them():
    peer = Peer().get(1, 3)
    peer.connection.drop_all()
    assert sorted(peer.sink.resets) == [1, 3]
    assert not peer.connection.streams


def test_an_upload_may_begin_before_our_settings_are_known():
    peer = Peer(Limits(request_body_buffer_bytes=1000), settings=None)
    peer.sink.credits = False
    peer.send(frames.PREFACE, frames.settings_frame(()))
    peer.send(peer.headers(1, UPLOAD, end=False), *[data_frame(1, bytes(13_107))] * 5)
    assert peer.resets == {}
    peer.send(frames.SETTINGS_ACK_FRAME, data_frame(1, b"x"))
    assert peer.resets == {1: codes.FLOW_CONTROL_ERROR}
