"""What RFC 9113 and RFC 9218 call an error in windows, messages and priorities, case by case."""

import hyperframe.frame as oracle
import pytest

from edgeproxy.wire.h2 import codes, frames
from edgeproxy.wire.h2.frames import frame
from tests.support.h2_errors import connection_error, lives, stream_error
from tests.support.h2_peer import REQUEST, UPLOAD, Peer, data_frame, priority_update

# --- 6.9 flow control ---------------------------------------------------------------------------


def test_6_9_increment_of_0():
    code = connection_error(Peer(), frames.window_update_frame(0, 0))
    assert code == codes.PROTOCOL_ERROR
    assert stream_error(Peer().get(1), 1, frames.window_update_frame(1, 0)) == codes.PROTOCOL_ERROR


def test_6_9_1_windows_over_the_maximum():
    widest = frames.window_update_frame(0, 2**31 - 1)
    assert connection_error(Peer(), widest) == codes.FLOW_CONTROL_ERROR
    peer = Peer().get(1)
    code = stream_error(peer, 1, frames.window_update_frame(1, 2**31 - 1))
    assert code == codes.FLOW_CONTROL_ERROR


def test_6_9_2_an_initial_window_that_overflows_a_stream():
    peer = Peer().get(1)
    peer.send(frames.window_update_frame(1, 2**31 - 1 - 65535))
    code = connection_error(peer, frames.settings_frame([(4, 65536)]))
    assert code == codes.FLOW_CONTROL_ERROR


def test_6_9_the_reserved_bit_of_an_increment():
    peer = Peer(answers=bytes(70_000)).get(1).pump()
    peer.send(frame(frames.WINDOW_UPDATE, 0, 0, b"\x80\0\xff\xff"))
    peer.send(frame(frames.WINDOW_UPDATE, 0, 1, b"\x80\0\xff\xff")).pump()
    assert len(peer.body(1)) == 70_000


def test_6_9_2_a_window_that_became_negative_counts_from_there():
    peer = Peer(answers=bytes(100_000)).get(1).pump()
    assert len(peer.body(1)) == 65535
    peer.send(frames.window_update_frame(0, 2**20), frames.settings_frame([(4, 10)])).pump()
    peer.send(frames.window_update_frame(1, 65525)).pump()
    assert len(peer.body(1)) == 65535
    peer.send(frames.window_update_frame(1, 1)).pump()
    assert len(peer.body(1)) == 65536
    peer.send(frames.settings_frame([(4, 11)])).pump()
    assert len(peer.body(1)) == 65537


def test_6_9_1_a_window_of_one_byte():
    peer = Peer(answers=b"abc", settings=[(4, 1)]).get(1).pump()
    assert peer.body(1) == b"a"
    for _ in range(2):
        peer.send(frames.window_update_frame(1, 1)).pump()
    assert peer.body(1) == b"abc"


def test_6_9_1_what_exceeds_our_windows():
    peer = Peer()
    peer.sink.credits = False
    peer.upload(1).send(*[data_frame(1, bytes(16384))] * 4)
    assert stream_error(peer, 1, data_frame(1, b"x")) == codes.FLOW_CONTROL_ERROR
    peer = Peer()
    peer.sink.credits = False
    for number in range(1, 32, 2):
        peer.upload(number).send(*[data_frame(number, bytes(16384))] * 4)
    assert lives(peer)
    peer.upload(33)
    assert connection_error(peer, data_frame(33, b"x")) == codes.FLOW_CONTROL_ERROR


def test_6_9_padding_takes_window():
    peer = Peer()
    peer.sink.credits = False
    peer.upload(1).send(*[data_frame(1, bytes(16384 - 256), padding=255)] * 4)
    assert lives(peer)
    # half of a window is given back only when so much was used: 4 x 256 is less
    assert stream_error(peer, 1, data_frame(1, bytes(1), padding=0)) == codes.FLOW_CONTROL_ERROR


# --- 8.1 messages -------------------------------------------------------------------------------


def test_8_1_trailers_without_the_end():
    peer = Peer().upload(1)
    data = peer.headers(1, [(b"a", b"b")], end=False)
    assert stream_error(peer, 1, data) == codes.PROTOCOL_ERROR


@pytest.mark.parametrize(
    "field", [(b":path", b"/"), (b"Upper", b"x"), (b"connection", b"close"), (b"a", b"x\r\ny")]
)
def test_8_1_malformed_trailers(field: tuple[bytes, bytes]):
    peer = Peer().upload(1)
    assert stream_error(peer, 1, peer.headers(1, [field])) == codes.PROTOCOL_ERROR
    assert peer.sink.resets == [1]


@pytest.mark.parametrize(
    ("length", "contents"),
    [(b"4", [b"abc"]), (b"2", [b"abc"]), (b"4", [b"abc", b"de"]), (b"1", [b""]), (b"0", [b"a"])],
)
def test_8_1_1_content_length_is_the_sum(length: bytes, contents: list[bytes]):
    peer = Peer().upload(1, (b"content-length", length))
    data = [data_frame(1, each, end=each is contents[-1]) for each in contents]
    assert stream_error(peer, 1, *data) == codes.PROTOCOL_ERROR
    assert peer.sink.whole == []


def test_8_1_1_content_length_and_trailers():
    peer = Peer().upload(1, (b"content-length", b"4")).send(data_frame(1, b"abc"))
    assert stream_error(peer, 1, peer.headers(1, [(b"a", b"b")])) == codes.PROTOCOL_ERROR


def test_8_1_1_content_length_without_content():
    peer = Peer()
    data = peer.headers(1, (*UPLOAD, (b"content-length", b"1")))
    assert stream_error(peer, 1, data) == codes.PROTOCOL_ERROR
    assert peer.sink.heads == {}
    peer.send(peer.headers(3, (*UPLOAD, (b"content-length", b"0"))))
    assert peer.sink.whole == [3]


def test_8_1_1_padding_is_no_content():
    peer = Peer().upload(1, (b"content-length", b"3"))
    peer.send(data_frame(1, b"abc", padding=9, end=True))
    assert peer.sink.whole == [1]


def without(name: bytes) -> list[tuple[bytes, bytes]]:
    return [field for field in REQUEST if field[0] != name]


@pytest.mark.parametrize(
    "fields",
    [
        [],
        without(b":method"),
        without(b":scheme"),
        without(b":path"),
        [*REQUEST, (b":method", b"GET")],
        [*REQUEST, (b":unknown", b"x")],
        [*REQUEST, (b":status", b"200")],
        [(b"a", b"b"), *REQUEST],
        [*without(b":path"), (b":path", b"")],
        [*REQUEST, (b"Upper", b"x")],
        [*REQUEST, (b"a b", b"x")],
        [*REQUEST, (b"", b"x")],
        [*REQUEST, (b"a", b"x\0")],
        [*REQUEST, (b"a", b" x")],
        [*REQUEST, (b"connection", b"keep-alive")],
        [*REQUEST, (b"transfer-encoding", b"chunked")],
        [*REQUEST, (b"te", b"gzip")],
        [*REQUEST, (b"host", b"other.example")],
    ],
)
def test_8_2_8_3_malformed_requests_reach_nobody(fields: list[tuple[bytes, bytes]]):
    peer = Peer()
    assert stream_error(peer, 1, peer.headers(1, fields)) == codes.PROTOCOL_ERROR
    assert peer.sink.heads == {}
    assert peer.sink.resets == []
    peer.get(3)
    assert peer.sink.whole == [3]


# --- RFC 9218 -----------------------------------------------------------------------------------


def test_9218_2_1_our_first_settings_drop_the_old_priorities():
    settings = Peer().greeting[0]
    assert settings.settings[frames.SETTINGS_NO_RFC7540_PRIORITIES] == 1


def test_9218_7_1_an_update_belongs_to_the_connection_and_names_a_request():
    for data in (
        frame(frames.PRIORITY_UPDATE, 0, 1, b"\0\0\0\x01u=1"),
        priority_update(0, b"u=1"),
        priority_update(2, b"u=1"),
    ):
        assert connection_error(Peer().get(1), data) == codes.PROTOCOL_ERROR


def test_9218_7_1_updates_of_closed_streams_and_of_nonsense_are_ignored():
    peer = Peer(answers=b"x").get(1).upload(3)
    peer.send(priority_update(1, b"u=1"), priority_update(3, b"\xff\0nonsense"))
    peer.send(priority_update(2**31 - 1, b"u=1"), priority_update(99, b"x" * 10_000))
    assert lives(peer)


def test_9218_10_answers_go_out_by_urgency():
    peer = Peer(answers=bytes(70_000), settings=[(4, 2**20)])
    peer.send(peer.headers(1, (*REQUEST, (b"priority", b"u=5"))))
    peer.send(peer.headers(3, (*REQUEST, (b"priority", b"u=1"))))
    peer.send(peer.headers(5, (*REQUEST, (b"priority", b"u=5"))), priority_update(5, b"u=0"))
    peer.send(frames.window_update_frame(0, 2**20)).pump()
    order = [f.stream_id for f in peer.of(oracle.DataFrame)]
    assert list(dict.fromkeys(order)) == [5, 3, 1]
