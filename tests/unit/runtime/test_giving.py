import os

import pytest

from edgeproxy.runtime.endpoints import Group
from edgeproxy.runtime.giving import gifts_of, manager_of
from edgeproxy.runtime.handover import (
    ANSWER_SECONDS,
    DESCRIPTORS_MAX,
    READY_SECONDS,
    LineEndedError,
    close_descriptors,
)
from edgeproxy.runtime.sockets import bind_all, close_all
from tests.support.giver import Giver
from tests.support.privileges import without_privileges

PID = os.getpid()


@pytest.fixture
def giver(tmp_path):
    made = Giver(tmp_path)
    yield made
    made.close()


def asked(giver):
    """Return the line of a successor that has got everything."""
    line = giver.successor()
    line.tell({"do": "take", "pop": "fra1"})
    giver.turn()
    assert line.hear().message["is"] == "all"
    return line


def ended(line) -> bool:
    try:
        line.hear()
    except LineEndedError:
        line.close()
        return True
    return False


def test_whoever_says_drain_goes_on_alone(giver):
    line = asked(giver)
    assert (giver.giving.successor, giver.successors, giver.handed_over) == (PID, [PID], None)
    assert giver.giving.deadline == giver.clock.monotonic() + READY_SECONDS
    line.tell({"do": "drain"})
    giver.turn()
    assert (giver.handed_over, giver.giving.deadline) == (PID, None)
    with pytest.raises(ConnectionRefusedError):  # the other one's from now on
        giver.connected()
    for is_due in (True, False):
        giver.giving.release(is_reload_due=is_due)
    heard = line.hear().message
    assert (heard["is"], heard["reload"]) == ("released", True)
    line.sock.setblocking(False)
    with pytest.raises(BlockingIOError):  # once
        line.hear()
    line.close()
    giver.turn()
    assert giver.giving.successor == PID  # it may be gone: there is no way back


def test_a_second_one_is_refused_as_long_as_there_is_a_first(giver, caplog):
    line, second = asked(giver), giver.successor()
    assert second.hear().message["reason"] == "another process takes over already"
    assert ended(second)
    line.close()
    giver.turn()
    assert giver.successors == [PID, None]
    assert "a take-over has failed, this process goes on" in caplog.text
    asked(giver).close()


def test_who_may_not_is_told_why(giver):
    giver.why_not = "it is draining"
    line = giver.successor()
    assert line.hear().message["reason"] == "it is draining"
    assert ended(line)


def test_other_users_get_nothing(giver, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    giver.path.chmod(0o666)
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        if folder.owner() == "root" and folder.name != "tmp":
            folder.chmod(0o755)
    with without_privileges():
        line = giver.connected()
    giver.turn()
    assert "it runs as user" in line.hear().message["reason"]
    assert ended(line)


@pytest.mark.parametrize("said", [{"do": "drain"}, {"do": "dance"}, {"is": "all"}])
def test_what_is_not_due_ends_it(giver, said):
    line = giver.successor()
    line.tell(said)
    giver.turn()
    assert line.hear().message["is"] == "refused"
    assert ended(line)
    assert giver.handed_over is None


def test_nobody_has_for_ever(giver):
    silent = giver.successor()
    giver.giving.expire()
    giver.clock.advance(ANSWER_SECONDS)
    giver.giving.expire()
    assert silent.hear().message["reason"] == "it took too long"
    assert ended(silent)
    slow = asked(giver)
    giver.clock.advance(READY_SECONDS)
    giver.giving.expire()
    assert (slow.hear().message["is"], giver.giving.successor) == ("refused", None)
    assert ended(slow)


def test_many_sockets_go_in_several_packets(giver):
    sockets = bind_all([("127.0.0.1", 0)])
    group = Group("https", ("127.0.0.1", 0), tuple(sockets * (DESCRIPTORS_MAX + 1)))
    giver.said = list(gifts_of([group]))
    line = giver.successor()
    line.tell({"do": "take", "pop": "fra1"})
    giver.turn()
    counts = []
    for _ in range(3):
        message, descriptors = line.hear()
        counts.append((message["is"], len(descriptors)))
        close_descriptors(descriptors)
    assert counts == [("sockets", DESCRIPTORS_MAX), ("sockets", 1), ("all", 0)]
    line.close()
    close_all(sockets)


def test_a_successor_may_speak_to_our_service_manager():
    environ = {"NOTIFY_SOCKET": "@a", "WATCHDOG_USEC": "7", "WATCHDOG_PID": "1", "HOME": "/"}
    assert manager_of(environ) == {"NOTIFY_SOCKET": "@a", "WATCHDOG_USEC": "7"}
