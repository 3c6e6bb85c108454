import pytest

from edgeproxy.wire.h3 import codes, frames
from tests.support.h3_peer import CONTROL, DECODER, ENCODER, Peer

SETTINGS = frames.settings_frame([])


def opened() -> Peer:
    return Peer().on(ENCODER, b"\x02").on(DECODER, b"\x03")


def test_a_client_opens_three():
    peer = opened().on(ENCODER, b"\x20").on(DECODER, b"\x40\x44")
    assert peer.fault is None
    assert peer.transport.stops == {}


def test_types_may_come_octet_by_octet():
    peer = Peer(greets=False).on(CONTROL, b"\x40", b"\0", SETTINGS)
    assert peer.connection.is_settled


@pytest.mark.parametrize("kind", [0x0, 0x2, 0x3])
def test_each_is_there_once(kind: int):
    assert opened().on(14, bytes((kind,))).fault == codes.STREAM_CREATION_ERROR


def test_a_client_does_not_push():
    assert opened().on(14, b"\x01\x00").fault == codes.STREAM_CREATION_ERROR


# --- those that must stay (row 124) -------------------------------------------------------------


@pytest.mark.parametrize("stream_id", [CONTROL, ENCODER, DECODER])
def test_critical_streams_do_not_end(stream_id: int):
    assert opened().on(stream_id, b"", end=True).fault == codes.CLOSED_CRITICAL_STREAM


@pytest.mark.parametrize("stream_id", [CONTROL, ENCODER, DECODER])
def test_critical_streams_are_not_reset(stream_id: int):
    peer = opened()
    peer.connection.was_reset(stream_id, peer.now)
    assert peer.fault == codes.CLOSED_CRITICAL_STREAM


def test_a_critical_stream_that_begins_and_ends():
    peer = Peer(greets=False).on(CONTROL, b"\0" + SETTINGS, end=True)
    assert peer.fault == codes.CLOSED_CRITICAL_STREAM


def test_ours_are_not_stopped():
    peer = Peer()
    peer.connection.was_stopped(3, peer.now)
    assert peer.fault == codes.CLOSED_CRITICAL_STREAM


# --- QPACK's (row 125) --------------------------------------------------------------------------


def test_errors_on_qpacks_streams_have_their_own_codes():
    assert opened().on(ENCODER, b"\x3f\xe1\x1f").fault == codes.QPACK_ENCODER_STREAM_ERROR
    assert opened().on(DECODER, b"\x00").fault == codes.QPACK_DECODER_STREAM_ERROR
    assert opened().on(DECODER, b"\x80").fault == codes.QPACK_DECODER_STREAM_ERROR


def test_cancellations_are_budgeted():
    assert opened().on(DECODER, b"\x40" * 100).fault is None
    assert opened().on(DECODER, b"\x40" * 101).fault == codes.EXCESSIVE_LOAD


# --- unknown ones (row 122) ---------------------------------------------------------------------


def test_unknown_types_are_refused_and_not_read():
    peer = opened().on(14, b"\x21abc").on(14, bytes(10_000)).on(14, b"x", end=True)
    assert peer.fault is None
    assert peer.transport.stops == {14: codes.STREAM_CREATION_ERROR}
    assert peer.transport.credits[14] == 4 + 10_000 + 1
    assert not peer.connection._peer_streams._refused


def test_unknown_types_that_have_ended_need_no_refusal():
    peer = opened().on(14, b"\x21abc", end=True)
    assert peer.fault is None
    assert peer.transport.stops == {}


def test_streams_that_end_before_they_say_what_they_are():
    peer = opened().on(14, b"\x40").on(14, b"", end=True).on(18, b"\x40").on(22, b"\x21")
    for stream_id in (18, 22, 26):
        peer.connection.was_reset(stream_id, peer.now)
    assert peer.fault is None
    others = peer.connection._peer_streams
    assert not others._begun
    assert not others._refused


def test_unknown_streams_are_budgeted():
    peer = opened()
    for number in range(101):
        peer.on(14 + 4 * number, b"\x21", end=True)
    assert peer.fault == codes.EXCESSIVE_LOAD


@pytest.mark.parametrize("first", [b"\x40", b"\x21"])
def test_unknown_streams_that_stay_are_bounded(first: bytes):
    peer = opened()
    for number in range(101):
        peer.now += 1.0
        peer.on(14 + 4 * number, first)
    assert peer.fault == codes.EXCESSIVE_LOAD
