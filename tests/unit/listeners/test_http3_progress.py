from types import SimpleNamespace

import pytest

from edgeproxy.listeners.http3_progress import Progress
from edgeproxy.wire.h3.connection import Connection
from edgeproxy.wire.limits import Limits
from tests.support.h3_peer import FakeTransport, Peer, Recorder

LIMITS = Limits()


@pytest.fixture
def peer() -> Peer:
    return Peer(answers=bytes(100_000))


def test_settings_have_a_deadline():
    silent = Progress(Connection(Recorder(), FakeTransport(), LIMITS), LIMITS, 0.0)
    assert silent.overdue(10.0) == ""
    assert silent.overdue(10.1) == "SETTINGS too slow"


def test_a_peer_that_owes_nothing_may_be_silent(peer: Peer):
    progress = Progress(peer.connection, LIMITS, 0.0)
    assert progress.overdue(1000.0) == ""


def owing(peer: Peer) -> tuple[Progress, SimpleNamespace]:
    """Return progress of a peer that has a response waiting, and how to take of it."""
    peer.transport.rooms[0] = 10
    peer.get(0).pump()
    progress = Progress(peer.connection, LIMITS, 0.0)

    def take(size: int) -> None:
        peer.transport.rooms[0] += size
        peer.connection.writable(0)
        peer.pump()

    return progress, SimpleNamespace(take=take)


def test_who_takes_nothing_is_slow(peer: Peer):
    progress, _ = owing(peer)
    assert [progress.overdue(float(second)) for second in range(100, 111)] == [""] * 11
    assert progress.overdue(111.0) == "response read too slowly"


def test_who_takes_enough_first_may_rest_for_a_while(peer: Peer):
    progress, reader = owing(peer)
    assert progress.overdue(100.0) == ""
    reader.take(60_000)
    for second in range(101, 132):
        assert progress.overdue(float(second)) == "", second
    assert progress.overdue(132.0) == "nothing taken for too long"


def test_who_takes_a_little_all_the_time_is_slow(peer: Peer):
    progress, reader = owing(peer)
    for second in range(100, 111):
        reader.take(1000)
        assert progress.overdue(float(second)) == "", second
    assert progress.overdue(111.0) == "response read too slowly"


def test_who_has_taken_all_begins_anew(peer: Peer):
    progress, reader = owing(peer)
    assert progress.overdue(100.0) == ""
    reader.take(100_000)
    assert progress.overdue(105.0) == ""
    peer.transport.rooms[4] = 10
    peer.get(4).pump()
    assert progress.overdue(112.0) == ""
    assert progress.overdue(122.0) == ""
    assert progress.overdue(123.0) == "response read too slowly"


def test_requests_and_time_use_a_connection_up(peer: Peer):
    limits = Limits(requests_per_connection_max=2)
    progress = Progress(peer.connection, limits, 0.0)
    assert not progress.is_used_up(60.0)
    assert progress.is_used_up(60.1)
    peer.get(0)
    assert not progress.is_used_up(100.0)
    assert progress.quiet_seconds(130.0) == 30.0
    peer.get(4)
    assert progress.is_used_up(130.0)
    assert Progress(peer.connection, LIMITS, 0.0).is_used_up(3600.1)
