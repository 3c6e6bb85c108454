import hyperframe.frame as oracle
import pytest

from edgeproxy.errors import ConnectionFault, StreamFault
from edgeproxy.wire.h2 import codes, frames
from edgeproxy.wire.h2.control import EARLY_PRIORITIES_MAX, Control, check_dependency
from edgeproxy.wire.h2.guard import Guard
from edgeproxy.wire.h2.hpack import TABLE_UNUSED
from edgeproxy.wire.h2.priority import Priority
from edgeproxy.wire.h2.receiving import Receiver
from edgeproxy.wire.h2.sending import Sender
from edgeproxy.wire.h2.streams import DEFAULT_LANE, Stream, lane_of
from edgeproxy.wire.limits import Limits
from tests.support.h2_peer import parse


class Side:
    """A `Control` and what it acts on; stream 5 is open."""

    def __init__(self, **limits: int) -> None:
        self.limits = Limits(**limits)
        self.sender = Sender()
        self.receiver = Receiver(self.sender, self.limits.request_body_buffer_bytes)
        self.guard = Guard(self.limits)
        self.guard.now = 1000.0
        self.stream = Stream(5, 65535, self.receiver.initial_window)
        self.control = Control(
            self.limits,
            self.guard,
            sender=self.sender,
            receiver=self.receiver,
            streams={5: self.stream},
        )
        self.sender.out.clear()

    def settings(self, *pairs: tuple[int, int], flags: int = 0, stream_id: int = 0) -> None:
        payload = frames.settings_frame(pairs)[frames.HEADER_BYTES :]
        self.control.on_settings(flags, stream_id, payload)

    def priority(self, stream_id: int, payload: bytes) -> None:
        self.control.on_priority(0, stream_id, payload, highest_stream_id=5)

    def update(self, target: int, value: bytes = b"u=0", stream_id: int = 0) -> None:
        payload = target.to_bytes(4, "big") + value
        self.control.on_priority_update(0, stream_id, payload, highest_stream_id=5)

    def sent(self) -> list[oracle.Frame]:
        found = parse(b"".join(self.sender.out))
        self.sender.out.clear()
        return found


@pytest.fixture
def side() -> Side:
    return Side()


def code_of(call, *args, **named) -> int:
    with pytest.raises(ConnectionFault) as caught:
        call(*args, **named)
    return caught.value.code


# --- SETTINGS -----------------------------------------------------------------------------------


def test_settings_are_applied_and_acknowledged(side: Side):
    side.settings((frames.SETTINGS_INITIAL_WINDOW_SIZE, 100_000), (0xABCD, 7))
    assert side.stream.window == 100_000
    assert side.sender.initial_window == 100_000
    (ack,) = side.sent()
    assert isinstance(ack, oracle.SettingsFrame)
    assert ack.flags == {"ACK"}


def test_settings_belong_to_the_connection(side: Side):
    assert code_of(side.settings, stream_id=1) == codes.PROTOCOL_ERROR


def test_the_first_settings_are_not_an_acknowledgement(side: Side):
    assert code_of(side.settings, flags=frames.ACK) == codes.PROTOCOL_ERROR


def test_an_acknowledgement_is_empty(side: Side):
    side.settings()
    assert code_of(side.settings, (1, 1), flags=frames.ACK) == codes.FRAME_SIZE_ERROR


def test_our_window_is_in_force_from_the_first_acknowledgement_on():
    side = Side(request_body_buffer_bytes=1000)
    assert side.stream.window_in == 65535
    side.settings()
    side.settings(flags=frames.ACK)
    side.settings(flags=frames.ACK)
    assert side.stream.window_in == 1000


def test_a_shrinking_table_is_answered(side: Side):
    side.settings((frames.SETTINGS_HEADER_TABLE_SIZE, 4096))
    side.settings((frames.SETTINGS_HEADER_TABLE_SIZE, 65536))
    assert side.sender.prefix == b""
    side.settings((frames.SETTINGS_HEADER_TABLE_SIZE, 0))
    assert side.sender.prefix == TABLE_UNUSED


@pytest.mark.parametrize(
    ("first", "then", "is_change"),
    [(None, 0, False), (None, 1, True), (1, 1, False), (0, 1, True), (1, 0, True)],
)
def test_the_kind_of_priorities_never_changes(
    side: Side, first: int | None, then: int, is_change: bool
):
    key = frames.SETTINGS_NO_RFC7540_PRIORITIES
    side.settings(*([] if first is None else [(key, first)]))
    if is_change:
        assert code_of(side.settings, (key, then)) == codes.PROTOCOL_ERROR
    else:
        side.settings((key, then))


def test_settings_are_budgeted(side: Side):
    for _ in range(100):
        side.settings()
    assert code_of(side.settings) == codes.ENHANCE_YOUR_CALM


def test_settings_in_one_frame_are_counted(side: Side):
    assert code_of(side.settings, *[(7, 7)] * 33) == codes.ENHANCE_YOUR_CALM


# --- PING, GOAWAY, and what is ignored or refused -----------------------------------------------


def test_a_ping_comes_back(side: Side):
    side.control.on_ping(0, 0, b"abcdefgh")
    (pong,) = side.sent()
    assert isinstance(pong, oracle.PingFrame)
    assert (pong.opaque_data, set(pong.flags)) == (b"abcdefgh", {"ACK"})
    side.control.on_ping(frames.ACK, 0, b"abcdefgh")
    assert side.sent() == []


def test_a_wrong_ping(side: Side):
    assert code_of(side.control.on_ping, 0, 1, bytes(8)) == codes.PROTOCOL_ERROR
    assert code_of(side.control.on_ping, 0, 0, bytes(7)) == codes.FRAME_SIZE_ERROR


def test_goaway(side: Side):
    side.control.on_goaway(0, 0, bytes(8) + b"debug")
    assert side.sent() == []
    assert code_of(side.control.on_goaway, 0, 1, bytes(8)) == codes.PROTOCOL_ERROR
    assert code_of(side.control.on_goaway, 0, 0, bytes(7)) == codes.FRAME_SIZE_ERROR


def test_a_client_cannot_push(side: Side):
    assert code_of(side.control.on_push_promise, 0, 1, b"") == codes.PROTOCOL_ERROR


def test_unknown_frames_are_ignored_at_a_bounded_rate(side: Side):
    for _ in range(100):
        side.control.on_unknown(0, 0, b"x")
    assert code_of(side.control.on_unknown, 0, 0, b"x") == codes.ENHANCE_YOUR_CALM


# --- priorities ---------------------------------------------------------------------------------


def test_rfc_7540_priorities_are_checked_and_ignored(side: Side):
    side.priority(5, b"\0\0\0\x03\xff")
    side.priority(77, b"\x80\0\0\x03\xff")
    assert side.stream.lane == DEFAULT_LANE
    assert code_of(side.priority, 0, bytes(5)) == codes.PROTOCOL_ERROR
    assert code_of(side.priority, 5, b"\x80\0\0\x05\0") == codes.PROTOCOL_ERROR


def test_a_priority_of_a_wrong_size_resets_only_a_stream_that_can_be_reset(side: Side):
    with pytest.raises(StreamFault) as caught:
        side.priority(5, bytes(4))
    assert (caught.value.stream_id, caught.value.code) == (5, codes.FRAME_SIZE_ERROR)
    assert code_of(side.priority, 7, bytes(6)) == codes.FRAME_SIZE_ERROR
    assert code_of(side.priority, 2, bytes(6)) == codes.FRAME_SIZE_ERROR


def test_a_dependency_of_headers(side: Side):
    check_dependency(5, b"\0\0\0\x03\0")
    assert code_of(check_dependency, 5, bytes(4)) == codes.FRAME_SIZE_ERROR


def test_an_update_moves_an_open_stream(side: Side):
    side.update(5, b"u=1, i")
    assert side.stream.lane == lane_of(Priority(1, True))


def test_an_update_waits_for_a_stream_to_come(side: Side):
    side.update(7, b"u=1")
    side.update(9, b"")
    side.update(7, b"u=2")
    side.update(3, b"u=0")
    assert side.control.early_lanes == {9: DEFAULT_LANE, 7: lane_of(Priority(2))}


def test_waiting_updates_are_bounded():
    side = Side(control_frames_burst=10_000)
    for target in range(7, 7 + 4 * EARLY_PRIORITIES_MAX, 2):
        side.update(target)
    assert len(side.control.early_lanes) == EARLY_PRIORITIES_MAX
    assert max(side.control.early_lanes) == 5 + 4 * EARLY_PRIORITIES_MAX


def test_a_wrong_update(side: Side):
    assert code_of(side.update, 5, stream_id=5) == codes.PROTOCOL_ERROR
    assert code_of(side.update, 0) == codes.PROTOCOL_ERROR
    assert code_of(side.update, 4) == codes.PROTOCOL_ERROR
    short = code_of(side.control.on_priority_update, 0, 0, bytes(3), highest_stream_id=5)
    assert short == codes.FRAME_SIZE_ERROR
