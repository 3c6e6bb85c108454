import hyperframe.frame as oracle
import pytest

from edgeproxy.errors import ConnectionFault, StreamFault
from edgeproxy.wire.h2 import codes
from edgeproxy.wire.h2.receiving import CONNECTION_WINDOW_IN, Receiver
from edgeproxy.wire.h2.sending import Sender
from edgeproxy.wire.h2.streams import Stream
from tests.support.h2_peer import parse


class Side:
    """A receiver, and what it has sent."""

    def __init__(self, window: int = 65536) -> None:
        self.sender = Sender()
        self.receiver = Receiver(self.sender, window)
        self.updates()

    def stream(self) -> Stream:
        return Stream(1, 0, self.receiver.initial_window)

    def take(self, stream: Stream, size: int) -> None:
        self.receiver.take(size)
        self.receiver.take_on(stream, size)

    def updates(self) -> list[tuple[int, int]]:
        found = parse(b"".join(self.sender.out))
        self.sender.out.clear()
        assert all(isinstance(f, oracle.WindowUpdateFrame) for f in found)
        return [(f.stream_id, f.window_increment) for f in found]


def test_the_connection_begins_with_a_wide_window():
    sender = Sender()
    Receiver(sender, 65536)
    (update,) = parse(b"".join(sender.out))
    assert (update.stream_id, update.window_increment) == (0, CONNECTION_WINDOW_IN - 65535)


def test_windows_are_exact():
    side = Side()
    stream = side.stream()
    side.take(stream, 65536)
    with pytest.raises(StreamFault) as fault:
        side.receiver.take_on(stream, 1)
    assert fault.value.code == codes.FLOW_CONTROL_ERROR
    side.receiver.take(CONNECTION_WINDOW_IN - 65536)
    with pytest.raises(ConnectionFault) as caught:
        side.receiver.take(1)
    assert caught.value.code == codes.FLOW_CONTROL_ERROR


def test_used_content_is_given_back_in_halves_of_a_window():
    side = Side()
    stream = side.stream()
    side.take(stream, 40_000)
    side.receiver.credit(stream, 30_000)
    assert side.updates() == []
    side.receiver.credit(stream, 10_000)
    assert side.updates() == [(1, 40_000)]
    assert stream.window_in == 65536


def test_an_ended_stream_gets_no_window_but_the_connection_does():
    side = Side()
    for _ in range(16):
        stream = side.stream()
        side.take(stream, 65536)
        stream.is_remote_ended = True
        side.receiver.credit(stream, 65536)
    updates = side.updates()
    assert {number for number, _ in updates} == {0}
    assert sum(increment for _, increment in updates) == CONNECTION_WINDOW_IN


def test_what_a_stream_leaves_behind_is_given_back_once():
    side = Side()
    stream = side.stream()
    side.take(stream, 60_000)
    side.receiver.credit(stream, 10_000)
    side.receiver.release(stream)
    side.receiver.release(stream)
    side.receiver.credit(stream, 50_000)  # a reader that did not hear of the end
    side.receiver.credit_connection(CONNECTION_WINDOW_IN // 2 - 60_000)
    assert side.updates() == [(0, CONNECTION_WINDOW_IN // 2)]


def test_a_small_window_holds_only_once_it_is_acknowledged():
    side = Side(window=1000)
    early = side.stream()
    assert early.window_in == 65535
    side.take(early, 20_000)
    side.receiver.settle([early])
    assert early.window_in == 1000 - 20_000
    assert side.receiver.initial_window == 1000
    side.receiver.credit(early, 20_000)
    assert early.window_in == 1000
    late = side.stream()
    side.take(late, 1000)
    with pytest.raises(StreamFault):
        side.receiver.take_on(late, 1)


def test_an_acknowledgement_of_a_large_window_changes_nothing():
    side = Side()
    stream = side.stream()
    side.receiver.settle([stream])
    assert stream.window_in == side.receiver.initial_window == 65536
