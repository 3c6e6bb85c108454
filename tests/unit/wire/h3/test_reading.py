"""Frames of request streams: which may come, in which pieces, and what they cost."""

import pytest

from edgeproxy.wire.h3 import codes, frames
from edgeproxy.wire.h3.reading import FRAMES_PER_TURN
from edgeproxy.wire.limits import Limits
from tests.support.h3_peer import UPLOAD, Peer, data_frame, headers, section

TRAILERS = headers([(b"x-sum", b"1")])


# --- order (row 120) ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        data_frame(b"abc"),
        data_frame(b""),
        headers(UPLOAD) + TRAILERS + data_frame(b"abc"),
        headers(UPLOAD) + TRAILERS + data_frame(b""),
        headers(UPLOAD) + TRAILERS + TRAILERS,
        headers(UPLOAD) + data_frame(b"abc") + TRAILERS + headers(UPLOAD),
    ],
)
def test_frames_out_of_order(data: bytes):
    assert Peer().on(0, data, end=True).fault == codes.FRAME_UNEXPECTED


@pytest.mark.parametrize("kind", [0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x8, 0x9, 0xD, 0xF0700, 0xF0701])
def test_frames_that_belong_elsewhere(kind: int):
    assert Peer().on(0, frames.frame(kind, b"")).fault == codes.FRAME_UNEXPECTED
    peer = Peer().upload(0).on(0, frames.frame(kind, b""))
    assert peer.fault == codes.FRAME_UNEXPECTED


@pytest.mark.parametrize(
    "rest", [b"\x00", b"\x00\x40", b"\x00\x05abc", b"\x01\x05abc", b"\x21\x05abc", b"\x80\0"]
)
def test_a_stream_that_ends_within_a_frame(rest: bytes):
    assert Peer().upload(0).on(0, rest, end=True).fault == codes.FRAME_ERROR
    peer = Peer().upload(0).on(0, rest)
    assert peer.fault is None
    assert peer.on(0, b"", end=True).fault == codes.FRAME_ERROR


# --- pieces -------------------------------------------------------------------------------------


def test_a_request_comes_octet_by_octet():
    data = (
        frames.frame(0x21, b"grease")
        + headers(UPLOAD)
        + data_frame(b"abc")
        + frames.frame(0x40, b"")
        + data_frame(b"defg" * 20)
        + TRAILERS
        + frames.frame(0x21, b"more")
    )
    peer = Peer().on(0, *[data[at : at + 1] for at in range(len(data))], b"", end=True)
    assert peer.fault is None
    assert peer.sink.content[0] == b"abc" + b"defg" * 20
    assert peer.sink.trailers == {0: [(b"x-sum", b"1")]}
    assert peer.sink.whole == [0]
    assert peer.transport.credits[0] == len(data)


def test_content_is_handed_on_as_it_comes():
    peer = Peer().upload(0).on(0, b"\0\x40\x64" + bytes(60))
    assert len(peer.sink.content[0]) == 60
    peer.on(0, bytes(40) + b"\0\x01x")
    assert len(peer.sink.content[0]) == 101


def test_what_is_unknown_is_skipped_as_it_comes():
    unknown = frames.integer(0x1F * 1000 + 0x21) + frames.integer(2**50)
    peer = Peer().upload(0).on(0, unknown, *[bytes(16384)] * 10)
    assert peer.fault is None
    assert peer.sink.streams[0].pending == b""
    assert peer.transport.credits[0] == len(headers(UPLOAD)) + len(unknown) + 10 * 16384


# --- credit -------------------------------------------------------------------------------------


def test_content_has_its_credit_when_it_is_used_and_frames_at_once():
    peer = Peer()
    peer.sink.credits = False
    peer.upload(0).on(0, data_frame(bytes(100)))
    frames_alone = len(headers(UPLOAD)) + len(data_frame(bytes(100))) - 100
    assert peer.transport.credits[0] == frames_alone
    stream = peer.sink.streams[0]
    peer.connection.credit(stream, 60)
    assert peer.transport.credits[0] == frames_alone + 60
    peer.connection.credit(stream, 60)
    peer.connection.credit(stream, 60)
    assert peer.transport.credits[0] == frames_alone + 100


def test_an_unfinished_section_has_no_credit_yet():
    data = headers(UPLOAD)
    peer = Peer().on(0, data[:10])
    assert peer.transport.credits.get(0) is None
    peer.on(0, data[10:])
    assert peer.transport.credits[0] == len(data)


def test_a_stream_that_is_reset_gives_all_back():
    peer = Peer()
    peer.sink.credits = False
    peer.upload(0).on(0, data_frame(bytes(100)), TRAILERS[:3])
    peer.connection.was_reset(0, peer.now)
    assert peer.transport.credits[0] == len(headers(UPLOAD) + data_frame(bytes(100))) + 3


# --- costs (row 126) ----------------------------------------------------------------------------


def test_empty_content_in_a_row():
    assert Peer().upload(0).on(0, data_frame(b"") * 10).fault is None
    assert Peer().upload(0).on(0, data_frame(b"") * 11).fault == codes.EXCESSIVE_LOAD


def test_small_content_is_budgeted():
    peer = Peer(Limits(small_data_frames_burst=1000)).upload(0).on(0, data_frame(b"x") * 1001)
    assert peer.fault == codes.EXCESSIVE_LOAD


def test_unknown_frames_are_budgeted():
    peer = Peer().upload(0).on(0, frames.frame(0x21, b"") * 104)  # the request paid for four
    assert peer.fault is None
    assert peer.on(0, frames.frame(0x21, b"")).fault == codes.EXCESSIVE_LOAD


def test_many_frames_at_once_are_taken_in_portions():
    peer = Peer().upload(0)
    take, peer.sink.behind = peer.connection.received, []
    take(0, data_frame(b"x") * (3 * FRAMES_PER_TURN), peer.now, end=False)
    assert len(peer.sink.content[0]) == FRAMES_PER_TURN
    assert [stream.id for stream in peer.sink.behind] == [0]
    take(0, data_frame(b"y"), peer.now, end=True)
    assert len(peer.sink.content[0]) == FRAMES_PER_TURN
    for _ in range(3):
        peer.connection.go_on(peer.sink.behind.pop(), peer.now)
    assert peer.sink.content[0] == b"x" * (3 * FRAMES_PER_TURN) + b"y"
    assert peer.sink.whole == [0]
    assert not peer.sink.behind


def test_a_portion_that_is_all_there_is():
    peer = Peer().upload(0)
    peer.connection.received(0, data_frame(b"x") * FRAMES_PER_TURN, peer.now, end=True)
    assert not peer.sink.behind
    assert peer.sink.whole == [0]


def test_what_is_left_of_a_stream_that_is_gone_is_dropped():
    peer = Peer().upload(0)
    peer.connection.received(0, data_frame(b"x") * 200, peer.now, end=False)
    peer.connection.was_reset(0, peer.now)
    peer.connection.go_on(peer.sink.behind.pop(), peer.now)
    assert peer.sink.resets == [0]
    assert len(peer.sink.content[0]) == FRAMES_PER_TURN
    assert peer.transport.credits[0] == len(headers(UPLOAD)) + 200 * 3


def test_nothing_is_read_behind_a_fault_of_the_stream():
    peer = Peer().upload(0, (b"content-length", b"3"))
    peer.on(0, data_frame(b"abcd") + data_frame(b"efgh"))
    assert peer.transport.resets == {0: codes.MESSAGE_ERROR}
    assert peer.sink.content[0] == b""


def test_a_section_may_be_as_large_as_the_limit():
    limits = Limits(field_block_bytes_max=300, field_section_bytes_max=10_000)
    block = section([*UPLOAD, (b"x", b"\xff" * 200)])
    at_most = Limits(field_block_bytes_max=len(block), field_section_bytes_max=10_000)
    assert Peer(at_most).on(0, frames.headers_frame(block)).sink.heads
    large = frames.headers_frame(section([*UPLOAD, (b"x", b"\xff" * 300)]))
    peer = Peer(limits).on(0, large[:3])  # its length alone
    assert peer.status(0) == b"431"
