"""What RFC 9113 calls an error in frames, states and settings, in the manner of h2spec.

Flow control, messages and priorities stand in `test_h2_messages.py`.
"""

import hyperframe.frame as oracle
import pytest

from edgeproxy.wire.h2 import codes, frames
from edgeproxy.wire.h2.frames import frame
from edgeproxy.wire.limits import Limits
from tests.support.h2_errors import connection_error, lives, stream_error
from tests.support.h2_peer import REQUEST, Peer, data_frame, ping

ALL_TYPES = [*range(0xB), 0x10, 0xFF]


# --- 3.4 preface --------------------------------------------------------------------------------


def test_3_4_a_preface_of_http_1():
    peer = Peer(settings=None)
    assert connection_error(peer, b"GET / HTTP/1.1\r\n\r\n") == codes.PROTOCOL_ERROR


@pytest.mark.parametrize("kind", [k for k in ALL_TYPES if k != frames.SETTINGS])
def test_3_4_the_preface_ends_with_settings(kind: int):
    peer = Peer(settings=None)
    assert connection_error(peer, frames.PREFACE, frame(kind, 0, 0)) == codes.PROTOCOL_ERROR


def test_3_4_an_acknowledgement_is_no_preface():
    peer = Peer(settings=None)
    code = connection_error(peer, frames.PREFACE, frames.SETTINGS_ACK_FRAME)
    assert code == codes.PROTOCOL_ERROR


# --- 4.1, 4.2, 5.5 frames -----------------------------------------------------------------------


def test_4_1_undefined_flags_and_the_reserved_bit_are_ignored():
    peer = Peer()
    data = bytearray(ping(flags=0xFE))
    data[5] |= 0x80
    peer.send(bytes(data))
    assert len(peer.of(oracle.PingFrame)) == 1
    assert lives(peer)


def test_5_5_unknown_types_are_ignored_on_any_stream():
    peer = Peer().upload(1)
    peer.send(*[frame(0xEE, 0xFF, number, b"x") for number in (0, 1, 2, 99)])
    assert lives(peer)


@pytest.mark.parametrize("kind", ALL_TYPES)
def test_4_2_frames_over_our_maximum(kind: int):
    peer = Peer().upload(1)
    assert connection_error(peer, frame(kind, 0, 1, bytes(16385))) == codes.FRAME_SIZE_ERROR


def test_4_2_frames_of_our_maximum():
    peer = Peer().upload(1).send(data_frame(1, bytes(16384)))
    assert len(peer.sink.content[1]) == 16384
    assert lives(peer)


@pytest.mark.parametrize(
    ("kind", "stream_id", "sizes"),
    [
        (frames.RST_STREAM, 1, (0, 3, 5)),
        (frames.SETTINGS, 0, (1, 5, 7)),
        (frames.PING, 0, (0, 7, 9)),
        (frames.GOAWAY, 0, (0, 7)),
        (frames.WINDOW_UPDATE, 0, (0, 3, 5)),
        (frames.WINDOW_UPDATE, 1, (0, 3, 5)),
        (frames.PRIORITY_UPDATE, 0, (0, 3)),
    ],
)
def test_6_lengths(kind: int, stream_id: int, sizes: tuple[int, ...]):
    for size in sizes:
        peer = Peer().upload(1)
        code = connection_error(peer, frame(kind, 0, stream_id, bytes(size)))
        assert code == codes.FRAME_SIZE_ERROR, size


@pytest.mark.parametrize("size", [0, 4, 6])
def test_6_3_length_of_priority(size: int):
    peer = Peer().upload(1)
    assert (
        stream_error(peer, 1, frame(frames.PRIORITY, 0, 1, bytes(size))) == codes.FRAME_SIZE_ERROR
    )


@pytest.mark.parametrize("kind", [frames.SETTINGS, frames.PING, frames.GOAWAY])
def test_6_frames_of_the_connection_have_no_stream(kind: int):
    peer = Peer().upload(1)
    assert connection_error(peer, frame(kind, 0, 1, bytes(8))) == codes.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        (frames.DATA, 5),
        (frames.HEADERS, 5),
        (frames.PRIORITY, 5),
        (frames.RST_STREAM, 4),
        (frames.CONTINUATION, 5),
    ],
)
def test_6_frames_of_a_stream_have_one(kind: int, size: int):
    peer = Peer().upload(1)
    assert connection_error(peer, frame(kind, 4, 0, bytes(size))) == codes.PROTOCOL_ERROR


def test_6_6_a_client_cannot_promise():
    peer = Peer().get(1)
    code = connection_error(peer, frame(frames.PUSH_PROMISE, 4, 1, b"\0\0\0\x02\x82"))
    assert code == codes.PROTOCOL_ERROR


# --- 4.3, 6.10 field blocks ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", [k for k in ALL_TYPES if k != frames.CONTINUATION])
def test_4_3_nothing_comes_between_the_parts_of_a_block(kind: int):
    peer = Peer()
    peer.send(frame(frames.HEADERS, frames.END_STREAM, 1, b"\x82"))
    assert connection_error(peer, frame(kind, 4, 1, b"\x84")) == codes.PROTOCOL_ERROR


def test_6_10_a_continuation_of_another_stream():
    peer = Peer()
    peer.send(frame(frames.HEADERS, frames.END_STREAM, 1, b"\x82"))
    assert connection_error(peer, frame(frames.CONTINUATION, 4, 3, b"")) == codes.PROTOCOL_ERROR


def test_6_10_a_continuation_of_nothing():
    for before in ([], [REQUEST]):
        peer = Peer()
        for fields in before:
            peer.send(peer.headers(1, fields))
        code = connection_error(peer, frame(frames.CONTINUATION, 4, 1, b""))
        assert code == codes.PROTOCOL_ERROR


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0
        b"\xff\xff\xff\xff\xff\xff",  # an integer without end
        b"\xc6",  # an index beyond the tables
        b"\x00\x85\xf2",  # a string without its end
        b"\x82\x20",  # a size update within a block
        b"\x3f\xe2\x1f",  # a size over what we announced: 4097
        b"\x00\x84\xff\xff\xff\xff\x00",  # Huffman: EOS
    ],
)
def test_4_3_broken_compression(block: bytes):
    peer = Peer()
    code = connection_error(peer, frame(frames.HEADERS, 5, 1, block))
    assert code == codes.COMPRESSION_ERROR


def test_4_3_a_table_of_size_0():
    peer = Peer()
    peer.encoder.header_table_size = 0
    peer.get(1, 3)
    assert peer.sink.whole == [1, 3]


def test_4_3_a_refused_block_is_decoded_all_the_same():
    peer = Peer(Limits(concurrent_streams_max=1))
    peer.upload(1)
    extra = (b"x-indexed", b"now in the table")
    assert stream_error(peer, 3, peer.headers(3, (*REQUEST, extra))) == codes.REFUSED_STREAM
    peer.send(data_frame(1, end=True))
    peer.connection.finished(peer.sink.streams[1])
    peer.send(peer.headers(5, (*REQUEST, extra)))
    assert extra in peer.sink.heads[5].fields


def test_4_3_a_block_of_a_stream_that_was_reset_is_decoded_all_the_same():
    peer = Peer().upload(1)
    peer.connection.abandon(peer.sink.streams[1], codes.CANCEL)
    extra = (b"x-indexed", b"now in the table")
    peer.send(peer.headers(1, [extra]), peer.headers(3, (*REQUEST, extra)))
    assert extra in peer.sink.heads[3].fields


# --- 5.1 states ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (frames.DATA, b"abc"),
        (frames.RST_STREAM, bytes(4)),
        (frames.WINDOW_UPDATE, b"\0\0\0\x01"),
        (frames.CONTINUATION, b"\x82"),
    ],
)
@pytest.mark.parametrize("stream_id", [2, 3, 2**31 - 1])
def test_5_1_idle(kind: int, payload: bytes, stream_id: int):
    peer = Peer().get(1)
    assert connection_error(peer, frame(kind, 0, stream_id, payload)) == codes.PROTOCOL_ERROR


def test_5_1_idle_streams_may_have_priorities():
    peer = Peer().send(frame(frames.PRIORITY, 0, 99, b"\0\0\0\x01\xff"))
    assert lives(peer)


def test_5_1_half_closed():
    for data in (data_frame(1, b"abc"), data_frame(1, end=True)):
        assert stream_error(Peer().get(1), 1, data) == codes.STREAM_CLOSED
    peer = Peer().get(1)
    assert stream_error(peer, 1, peer.headers(1)) == codes.STREAM_CLOSED
    peer = Peer().get(1)
    peer.send(frames.window_update_frame(1, 10), frame(frames.PRIORITY, 0, 1, bytes(5)))
    assert lives(peer)
    assert peer.resets == {}


def test_5_1_closed_by_both_ends():
    peer = Peer(answers=b"x").get(1)
    assert stream_error(peer, 1, data_frame(1, b"abc")) == codes.STREAM_CLOSED
    peer = Peer(answers=b"x").get(1)
    assert connection_error(peer, peer.headers(1)) == codes.STREAM_CLOSED
    peer = Peer(answers=b"x").get(1)
    peer.send(frames.window_update_frame(1, 1), frames.rst_stream_frame(1, 0))
    peer.send(frame(frames.PRIORITY, 0, 1, bytes(5)))
    assert lives(peer)
    assert peer.resets == {}


def test_5_1_closed_by_a_reset_of_the_peers():
    # a peer that resets and goes on: it cannot have crossed anything, but it costs nothing either
    peer = Peer().upload(1).send(frames.rst_stream_frame(1, codes.CANCEL))
    peer.send(data_frame(1, b"abc"))
    assert lives(peer)
    assert peer.sink.content[1] == b""


def test_5_1_what_crosses_our_reset_is_ignored():
    peer = Peer().upload(1)
    peer.connection.abandon(peer.sink.streams[1], codes.CANCEL)
    peer.send(
        data_frame(1, b"abc"),
        frames.window_update_frame(1, 1),
        peer.headers(1, [(b"trailer", b"1")]),
        frames.rst_stream_frame(1, codes.CANCEL),
    )
    assert lives(peer)
    assert peer.resets == {1: codes.CANCEL}


# --- 5.1.1, 5.1.2 identifiers and concurrency ---------------------------------------------------


@pytest.mark.parametrize("stream_id", [0, 2, 2**31 - 2])
def test_5_1_1_streams_of_a_client_are_odd(stream_id: int):
    peer = Peer()
    assert connection_error(peer, peer.headers(stream_id)) == codes.PROTOCOL_ERROR


def test_5_1_1_identifiers_grow():
    peer = Peer().get(5)
    assert connection_error(peer, peer.headers(3)) == codes.PROTOCOL_ERROR


def test_5_1_1_identifiers_may_leave_gaps_up_to_the_last():
    peer = Peer().get(1, 101, 2**31 - 1)
    assert peer.sink.whole == [1, 101, 2**31 - 1]


def test_5_1_2_streams_over_the_limit_are_refused():
    peer = Peer(Limits(concurrent_streams_max=3)).get(1, 3, 5, 7)
    assert peer.resets == {7: codes.REFUSED_STREAM}
    assert lives(peer)
    peer.send(frames.rst_stream_frame(1, codes.CANCEL)).get(9)
    assert 9 in peer.sink.heads


# --- 6.1, 6.2 padding ---------------------------------------------------------------------------


def test_6_1_padding_counts_and_is_not_content():
    peer = Peer().upload(1).send(data_frame(1, b"abc", padding=200, end=True))
    assert peer.sink.content == {1: b"abc"}


@pytest.mark.parametrize("kind", [frames.DATA, frames.HEADERS])
def test_6_1_padding_over_the_payload(kind: int):
    flags = frames.PADDED | frames.END_HEADERS
    stream_id = 1 if kind == frames.DATA else 3
    for payload, code in ((b"\x05abcd", codes.PROTOCOL_ERROR), (b"", codes.FRAME_SIZE_ERROR)):
        peer = Peer().upload(1)
        assert connection_error(peer, frame(kind, flags, stream_id, payload)) == code


def test_6_2_padding_over_what_priority_leaves():
    peer = Peer()
    flags = frames.PADDED | frames.PRIORITIZED | frames.END_HEADERS
    code = connection_error(peer, frame(frames.HEADERS, flags, 1, b"\x02\0\0\0\0\0"))
    assert code == codes.FRAME_SIZE_ERROR


def test_5_3_1_a_stream_does_not_depend_on_itself():
    peer = Peer()
    code = connection_error(peer, frame(frames.PRIORITY, 0, 5, b"\0\0\0\x05\xff"))
    assert code == codes.PROTOCOL_ERROR
    peer = Peer()
    payload = b"\0\0\0\x01\xff" + peer.block()
    flags = frames.PRIORITIZED | frames.END_HEADERS
    assert connection_error(peer, frame(frames.HEADERS, flags, 1, payload)) == codes.PROTOCOL_ERROR


# --- 6.5 SETTINGS -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identifier", "value", "code"),
    [
        (frames.SETTINGS_ENABLE_PUSH, 2, codes.PROTOCOL_ERROR),
        (frames.SETTINGS_INITIAL_WINDOW_SIZE, 2**31, codes.FLOW_CONTROL_ERROR),
        (frames.SETTINGS_MAX_FRAME_SIZE, 16383, codes.PROTOCOL_ERROR),
        (frames.SETTINGS_MAX_FRAME_SIZE, 2**24, codes.PROTOCOL_ERROR),
        (frames.SETTINGS_NO_RFC7540_PRIORITIES, 2, codes.PROTOCOL_ERROR),
        (frames.SETTINGS_NO_RFC7540_PRIORITIES, 1, codes.PROTOCOL_ERROR),  # changed: was absent
    ],
)
def test_6_5_2_values(identifier: int, value: int, code: int):
    assert connection_error(Peer(), frames.settings_frame([(identifier, value)])) == code


def test_6_5_3_every_settings_frame_is_acknowledged():
    peer = Peer().send(*[frames.settings_frame([(0x77, 1)])] * 5)
    acks = [f for f in peer.of(oracle.SettingsFrame) if "ACK" in f.flags]
    assert len(acks) == 6


def test_6_5_an_acknowledgement_has_no_payload():
    data = frame(frames.SETTINGS, frames.ACK, 0, bytes(6))
    assert connection_error(Peer(), data) == codes.FRAME_SIZE_ERROR


# --- 6.7, 6.8 -----------------------------------------------------------------------------------


def test_6_7_ping_is_answered_with_its_data_and_never_acknowledged_twice():
    peer = Peer().send(ping(b"\0\1\2\3\4\5\6\7"), ping(b"ignored!", frames.ACK))
    (pong,) = peer.of(oracle.PingFrame)
    assert pong.opaque_data == b"\0\1\2\3\4\5\6\7"


def test_6_8_goaway_names_the_last_stream_we_took():
    peer = Peer().get(1, 3, 7)
    connection_error(peer, ping() + frame(frames.PING, 0, 1, bytes(8)))
    (goaway,) = peer.of(oracle.GoAwayFrame)
    assert goaway.last_stream_id == 7
    assert peer.received[-1] is goaway


def test_6_8_a_goaway_of_the_clients_ends_nothing():
    peer = Peer().upload(1).send(frames.goaway_frame(0, codes.NO_ERROR))
    peer.send(data_frame(1, b"abc", end=True)).get(3)
    assert peer.sink.whole == [1, 3]
