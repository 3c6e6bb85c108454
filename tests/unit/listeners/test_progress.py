import pytest

from edgeproxy.listeners.progress import Progress
from edgeproxy.wire.h2 import frames
from edgeproxy.wire.limits import Limits
from tests.support.h2_peer import Peer

LARGE = 2**22


class Watch:
    """A connection, its progress, and a clock."""

    def __init__(self, limits: Limits | None = None, *, settled: bool = True) -> None:
        pairs = [(frames.SETTINGS_INITIAL_WINDOW_SIZE, 0)] if settled else None
        self.peer = Peer(limits, answers=bytes(LARGE), settings=pairs)
        self.peer.now = 1000.0
        self.progress = Progress(self.peer.connection, self.peer.limits, 1000.0)

    def overdue(self, at: float, unsent: int = 0) -> str:
        self.peer.now = 1000.0 + at
        return self.progress.overdue(1000.0 + at, unsent)

    def is_used_up(self, at: float) -> bool:
        self.peer.now = 1000.0 + at
        return self.progress.is_used_up(1000.0 + at)

    def owe(self) -> None:
        """Begin an answer of some megabytes, without a window for it."""
        self.peer.get(1)

    def widen(self, size: int) -> None:
        self.peer.send(frames.window_update_frame(0, size), frames.window_update_frame(1, size))
        self.peer.pump()
        self.peer.connection.sender.out.clear()


@pytest.fixture
def watch() -> Watch:
    return Watch()


# --- beginnings ---------------------------------------------------------------------------------


def test_the_preface_has_a_deadline():
    watch = Watch(settled=False)
    watch.peer.send(frames.PREFACE)
    assert watch.overdue(10.0) == ""
    assert watch.overdue(10.1) == "preface too slow"


def test_a_field_block_has_a_deadline_from_its_own_beginning(watch: Watch):
    watch.peer.now = 1050.0
    watch.peer.send(frames.frame(frames.HEADERS, 0, 1, b"\x82"))
    assert watch.overdue(51.0) == ""
    watch.peer.send(frames.frame(frames.CONTINUATION, 0, 1, b"\x84"))
    assert watch.overdue(60.0) == ""
    assert watch.overdue(60.1) == "field block too slow"


# --- readers ------------------------------------------------------------------------------------


def test_nothing_owed_is_never_late(watch: Watch):
    for at in range(0, 10_000, 7):
        assert watch.overdue(float(at)) == ""


def test_a_shut_window_has_a_deadline(watch: Watch):
    watch.owe()
    for at in range(31):
        assert watch.overdue(float(at)) == ""
    assert watch.overdue(31.0) == "flow-control window shut for too long"


def test_a_shut_connection_window_has_one_too(watch: Watch):
    watch.owe()
    watch.peer.send(frames.window_update_frame(1, LARGE)).pump()
    assert watch.peer.connection.sender.window == 0
    for at in range(31):
        assert watch.overdue(float(at)) == ""
    assert watch.overdue(31.0) == "flow-control window shut for too long"


def test_a_window_that_opens_in_time_is_no_fault(watch: Watch):
    watch.owe()
    for at in range(0, 200, 20):
        assert watch.overdue(float(at)) == ""
        watch.widen(20 * 1024)


def test_a_window_that_opens_byte_by_byte_is_a_slow_reader(watch: Watch):
    watch.owe()
    for at in range(11):
        assert watch.overdue(float(at)) == ""
        watch.widen(1)
    assert watch.overdue(11.0) == "response read too slowly"


def test_a_byte_now_and_then_does_not_help_either(watch: Watch):
    watch.owe()
    for at in range(29):
        assert watch.overdue(float(at)) == ""
    watch.widen(1)
    assert watch.overdue(29.0) == "response read too slowly"


def test_who_reads_at_the_minimum_rate_may_go_on(watch: Watch):
    watch.owe()
    for at in range(600):
        assert watch.overdue(float(at)) == "", at
        watch.widen(1024)


def test_what_waits_in_this_process_was_not_read(watch: Watch):
    watch.owe()
    watch.peer.send(frames.window_update_frame(0, LARGE), frames.window_update_frame(1, LARGE // 2))
    watch.peer.pump(300_000)
    for at in range(11):
        assert watch.overdue(float(at), unsent=300_000) == ""
    assert watch.overdue(12.0, unsent=300_000 - 12 * 1024) == ""
    assert watch.overdue(13.0, unsent=300_000 - 12 * 1024) != ""


def test_a_debt_that_is_paid_is_forgotten(watch: Watch):
    watch.owe()
    assert watch.overdue(0.0) == ""
    watch.peer.send(frames.rst_stream_frame(1, 8))
    assert watch.overdue(5.0) == ""
    watch.peer.get(3)
    for at in range(100, 131):
        assert watch.overdue(float(at)) == ""
    assert watch.overdue(131.0) != ""


# --- age ----------------------------------------------------------------------------------------


def test_an_idle_connection_is_used_up():
    """Also one whose requests are answered at once, with no stream for a tick to see."""
    watch = Watch()
    watch.peer.sink.answers = b"x"
    watch.peer.send(frames.settings_frame([(frames.SETTINGS_INITIAL_WINDOW_SIZE, 65535)]))
    watch.peer.get(1).pump()
    assert not watch.peer.connection.streams
    assert not watch.is_used_up(50.0)
    assert not watch.is_used_up(110.0)
    assert watch.is_used_up(110.1)


@pytest.mark.parametrize(
    "frame",
    [
        frames.frame(frames.PING, 0, 0, bytes(8)),
        frames.settings_frame([]),
        frames.frame(0xAB, 0, 0, b""),
        frames.window_update_frame(0, 1),
    ],
)
def test_frames_without_a_request_are_no_life(watch: Watch, frame: bytes):
    for at in range(0, 60, 5):
        assert not watch.is_used_up(float(at))
        watch.peer.send(frame)
    assert watch.peer.goaway is None
    assert watch.is_used_up(60.1)


def test_an_unfinished_frame_is_no_life(watch: Watch):
    for at in range(59):
        watch.peer.now = 1000.0 + at
        watch.peer.send(frames.frame(frames.DATA, 0, 1, bytes(200))[at : at + 1])
    assert watch.is_used_up(61.0)


def test_open_streams_are_life_and_idleness_counts_from_their_end(watch: Watch):
    watch.owe()
    for at in range(0, 3000, 50):
        assert not watch.is_used_up(float(at))
    watch.peer.connection.drop_all()
    assert not watch.is_used_up(3000.0)
    assert watch.is_used_up(3015.0)


def test_a_connection_grows_old(watch: Watch):
    watch.owe()
    assert not watch.is_used_up(3600.0)
    assert watch.is_used_up(3600.1)


def test_a_connection_has_so_many_requests():
    watch = Watch(Limits(requests_per_connection_max=3))
    watch.peer.get(1, 3)
    assert not watch.is_used_up(0.0)
    watch.peer.get(5)
    assert watch.is_used_up(0.0)
