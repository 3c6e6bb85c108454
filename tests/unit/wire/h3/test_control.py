import pytest

from edgeproxy.wire.h3 import codes, frames
from edgeproxy.wire.h3.control import EARLY_PRIORITIES_MAX, FRAME_BYTES_MAX
from edgeproxy.wire.limits import Limits
from tests.support.h3_peer import CONTROL, REQUEST, UPLOAD, Peer, headers, priority_update

SETTINGS = b"\0" + frames.settings_frame([(0x6, 4096)])


def fault(*data: bytes, peer: Peer | None = None) -> int | None:
    peer = peer or Peer()
    return peer.on(CONTROL, *data).fault


def a_goaway(push_id: int) -> bytes:
    return frames.goaway_frame(push_id)


def max_push_id(push_id: int) -> bytes:
    return frames.frame(frames.MAX_PUSH_ID, frames.integer(push_id))


# --- SETTINGS (row 119) -------------------------------------------------------------------------


def test_settings_come_first():
    peer = Peer(greets=False)
    assert not peer.connection.is_settled
    peer.on(CONTROL, SETTINGS)
    assert peer.connection.is_settled
    assert peer.fault is None


@pytest.mark.parametrize(
    "frame", [a_goaway(0), max_push_id(1), frames.frame(0x21, b""), frames.frame(0x1, b"")]
)
def test_no_other_frame_comes_first(frame: bytes):
    assert fault(b"\0" + frame, peer=Peer(greets=False)) == codes.MISSING_SETTINGS


def test_settings_come_once():
    assert fault(frames.settings_frame([])) == codes.FRAME_UNEXPECTED


def test_settings_of_http2_are_an_error():
    bad = b"\0" + frames.settings_frame([(0x4, 65535)])
    assert fault(bad, peer=Peer(greets=False)) == codes.SETTINGS_ERROR


def test_their_number_is_limited():
    many = b"\0" + frames.settings_frame([(0x40 + n, n) for n in range(33)])
    assert fault(many, peer=Peer(greets=False)) == codes.EXCESSIVE_LOAD


def test_frames_come_octet_by_octet():
    peer = Peer(greets=False)
    data = SETTINGS + frames.frame(0x21, bytes(100)) + max_push_id(2**40) + a_goaway(7)
    peer.on(CONTROL, *[data[at : at + 1] for at in range(len(data))])
    assert peer.fault is None
    assert peer.connection.is_settled
    assert peer.transport.credits[CONTROL] == len(data)


# --- frames that belong elsewhere (row 120) -----------------------------------------------------


@pytest.mark.parametrize("kind", [0x0, 0x1, 0x5, 0x2, 0x6, 0x8, 0x9])
def test_frames_of_requests_and_of_http2_are_unexpected(kind: int):
    assert fault(frames.frame(kind, b"")) == codes.FRAME_UNEXPECTED


def test_unknown_frames_are_skipped_whatever_their_length():
    unknown = frames.integer(0x21) + frames.integer(2**40)
    peer = Peer().on(CONTROL, unknown, *[bytes(16384)] * 20)
    assert peer.fault is None
    assert peer.connection._control._pending == b""


def test_unknown_frames_are_budgeted():
    assert fault(frames.frame(0x21, b"") * 100) is None
    assert fault(frames.frame(0x21, b"") * 101) == codes.EXCESSIVE_LOAD


@pytest.mark.parametrize("kind", [0x4, 0x7, 0xD, 0xF0700])
def test_no_frame_that_we_keep_is_large(kind: int):
    head = frames.integer(kind) + frames.integer(FRAME_BYTES_MAX + 1)
    assert fault(head) == codes.EXCESSIVE_LOAD


# --- GOAWAY and pushes --------------------------------------------------------------------------


def test_goaway_only_goes_down():
    assert fault(a_goaway(7), a_goaway(7), a_goaway(3)) is None
    assert fault(a_goaway(7), a_goaway(8)) == codes.ID_ERROR


def test_the_push_limit_only_goes_up():
    assert fault(max_push_id(0), max_push_id(0), max_push_id(9)) is None
    assert fault(max_push_id(9), max_push_id(8)) == codes.ID_ERROR


def test_there_is_no_push_to_cancel():
    cancel = frames.frame(frames.CANCEL_PUSH, frames.integer(0))
    assert fault(max_push_id(9), cancel) == codes.ID_ERROR


@pytest.mark.parametrize("kind", [frames.GOAWAY, frames.MAX_PUSH_ID, frames.CANCEL_PUSH])
@pytest.mark.parametrize("payload", [b"", b"\x40", b"\x01\x01"])
def test_frames_are_as_long_as_their_integer(kind: int, payload: bytes):
    assert fault(frames.frame(kind, payload)) == codes.FRAME_ERROR


# --- priorities (row 127) -----------------------------------------------------------------------


def test_an_update_moves_a_stream():
    peer = Peer().get(0).on(CONTROL, priority_update(0, b"u=1, i"))
    assert peer.transport.priorities[0] == (1, True)
    assert peer.sink.streams[0].lane == 3


def test_an_update_before_its_request_counts_for_it():
    peer = Peer().on(CONTROL, priority_update(4, b"u=6"), priority_update(4, b"u=5"))
    peer.on(4, headers((*REQUEST, (b"priority", b"u=1"))), end=True)
    assert peer.transport.priorities[4] == (5, False)
    assert peer.sink.streams[4].lane == 10
    assert not peer.connection._control.early_lanes


def test_without_an_update_the_field_counts():
    peer = Peer().on(0, headers((*REQUEST, (b"priority", b"u=0"))), end=True)
    peer.on(4, headers((*UPLOAD, (b"priority", b"i"))))
    assert peer.transport.priorities[0] == (0, False)
    assert peer.transport.priorities[4] == (3, True)


def test_early_updates_are_bounded():
    limits = Limits(control_frames_burst=1000)
    peer = Peer(limits)
    for number in range(EARLY_PRIORITIES_MAX + 5):
        peer.on(CONTROL, priority_update(4 * number, b"u=1"))
    early = peer.connection._control.early_lanes
    assert len(early) == EARLY_PRIORITIES_MAX
    assert 0 not in early


@pytest.mark.parametrize("stream_id", [1, 2, 3, 4 * 500, 2**62 - 4])
def test_an_update_names_a_request_that_may_be(stream_id: int):
    assert fault(priority_update(stream_id, b"u=1")) == codes.ID_ERROR


@pytest.mark.parametrize("stream_id", [0, 4 * 99, 4 * 127])
def test_an_update_may_be_ahead_of_its_request(stream_id: int):
    assert fault(priority_update(stream_id, b"u=1")) is None


def test_there_is_no_push_to_prioritise():
    update = priority_update(0, b"u=1", frames.PRIORITY_UPDATE_OF_PUSH)
    assert fault(update) == codes.ID_ERROR


def test_an_update_of_nothing():
    assert fault(frames.frame(frames.PRIORITY_UPDATE, b"\x40")) == codes.FRAME_ERROR


def test_updates_belong_on_the_control_stream():
    assert Peer().on(0, priority_update(0, b"u=1")).fault == codes.FRAME_UNEXPECTED


def test_updates_are_budgeted():
    assert fault(priority_update(0, b"u=1") * 101) == codes.EXCESSIVE_LOAD
