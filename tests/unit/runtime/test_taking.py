import asyncio
import socket
from contextlib import contextmanager

import pytest

from edgeproxy.errors import UnavailableError
from edgeproxy.runtime.endpoints import Group
from edgeproxy.runtime.giving import gifts_of
from edgeproxy.runtime.handover import ANSWER_SECONDS, READY_SECONDS, Line
from edgeproxy.runtime.names import Names
from edgeproxy.runtime.sockets import bind_shared, close_all, name_of
from edgeproxy.runtime.taking import Succession, Taken, take
from tests.support.clock import ManualClock
from tests.support.giver import Giver


@pytest.fixture
def giver(tmp_path):
    made = Giver(tmp_path)
    yield made
    made.close()


async def taken_from(giver, folder):
    """Have it taken over by a process that may block, as a thread here."""
    taking = asyncio.get_running_loop().create_task(asyncio.to_thread(take, folder, "fra1"))
    while not taking.done():
        giver.turn(0.01)
        await asyncio.sleep(0)
    return await taking


async def test_everything_comes_over(giver, tmp_path):
    names = Names.claim(tmp_path / "state", "fra1")
    sockets = tuple(own for [own] in bind_shared([("127.0.0.1", 0)], 2))
    groups = [Group("https", ("127.0.0.1", 0), sockets), Group("metrics", ("::", 1), sockets[:1])]
    giver.said = [*gifts_of(groups), ({"is": "control"}, names.descriptors())]
    taken = await taken_from(giver, tmp_path)
    assert (taken.pid, taken.control.path) == (7, tmp_path / "fra1.sock")
    assert [(each.kind, each.asked, len(each.sockets)) for each in taken.groups] == [
        ("https", ("127.0.0.1", 0), 2),
        ("metrics", ("::", 1), 1),
    ]
    assert {name_of(each) for each in taken.groups[0].sockets} == {name_of(sockets[0])}
    taken.close()
    assert names.path.exists()
    names.close()
    close_all(sockets)


async def test_packets_of_one_address_are_one_group(giver, tmp_path):
    sockets = tuple(own for [own] in bind_shared([("127.0.0.1", 0)], 2))
    others = tuple(own for [own] in bind_shared([("127.0.0.1", 0)], 1))
    groups = [Group("https", ("127.0.0.1", 0), (each,)) for each in (*sockets, *others)]
    giver.said = list(gifts_of(groups))
    taken = await taken_from(giver, tmp_path)
    assert [len(each.sockets) for each in taken.groups] == [2, 1]
    taken.close()
    close_all([*sockets, *others])


def test_where_nobody_is_there_is_nothing_to_take_over(tmp_path):
    assert take(tmp_path, "fra1") is None
    giver = Giver(tmp_path)
    giver.close()  # its socket's file stays
    assert take(tmp_path, "fra1") is None


BROKEN = {
    "a reason": ({"is": "refused", "reason": "not today"}, "not today"),
    "another word": ({"is": "dance"}, "'dance' was not due"),
    "other sockets": ({"is": "sockets", "kind": "quic", "asked": ["::", 1]}, "quic"),
    "no sockets": ({"is": "sockets", "kind": "http", "asked": ["::", 1]}, "without sockets"),
    "no address": ({"is": "sockets", "kind": "http"}, "'asked'"),
    "no control socket": ({"is": "control"}, "pop from empty list"),
}


@pytest.mark.parametrize("fault", BROKEN)
async def test_what_cannot_be_taken_is_said(giver, tmp_path, fault):
    message, why = BROKEN[fault]
    giver.said = [(message, [])]
    with pytest.raises(UnavailableError, match=why):
        await taken_from(giver, tmp_path)
    giver.turn(0.1)
    assert giver.giving.successor is None


def test_it_speaks_to_the_manager_of_the_other_one():
    with socket.socket(socket.AF_UNIX) as sock:
        taken = Taken(Line(sock), manager={"NOTIFY_SOCKET": "/a", "WATCHDOG_USEC": "7"})
        own = {"WATCHDOG_PID": "1", "HOME": "/", "NOTIFY_SOCKET": "/b"}
        assert taken.environ(own) == {"NOTIFY_SOCKET": "/b", "WATCHDOG_USEC": "7", "HOME": "/"}


class Heir:
    """A succession, and the other process's end of its line."""

    def __init__(self):
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for sock in pair:
            sock.setblocking(False)
        self.other = Line(pair[1])
        self.clock = ManualClock()
        self.steps = 0
        self.failures = []
        self.succession = Succession(
            Taken(Line(pair[0]), 7),
            self.clock.monotonic,
            on_step=self._step,
            on_failed=self.failures.append,
        )
        self.succession.listen(self)
        self._hear = None

    def _step(self):
        self.steps += 1

    # a selector of one line
    def register(self, _line, _events, hear):
        self.hear = hear

    def unregister(self, _line):
        pass

    def ready(self):
        self.succession.advance(are_prepared=True, are_workers_ready=True)


@contextmanager
def heir():
    made = Heir()
    yield made
    made.succession.close()
    made.other.close()


def test_all_begin_at_once_where_nobody_is_to_be_taken_over():
    alone = Succession(None, ManualClock().monotonic, on_step=pytest.fail, on_failed=pytest.fail)
    assert (alone.may_workers_serve, alone.is_owner, alone.held()) == (True, True, [])
    alone.listen(None)
    alone.advance(are_prepared=False, are_workers_ready=False)
    alone.expire()
    alone.give_up()
    assert alone.is_owner


def test_workers_begin_when_all_could_and_operators_come_last():
    with heir() as one:
        succession = one.succession
        assert len(succession.held()) == 1
        succession.advance(are_prepared=False, are_workers_ready=False)
        assert not succession.may_workers_serve
        succession.advance(are_prepared=True, are_workers_ready=False)
        assert (succession.may_workers_serve, succession.is_owner) == (True, False)
        one.ready()
        assert one.other.hear().message["do"] == "drain"
        assert not succession.is_owner
        one.other.tell({"is": "released", "reload": True})
        one.hear()
        assert (succession.is_owner, succession.is_reload_due, one.steps) == (True, True, 1)
        assert succession.predecessor == 7
        one.other.close()
        one.hear()
        assert (succession.predecessor, one.steps, one.failures) == (0, 2, [])


@pytest.mark.parametrize("is_told", [False, True])
def test_without_the_other_one_it_goes_on_alone(is_told):
    with heir() as one:
        if is_told:
            one.ready()
        one.other.close()
        one.hear()
        one.ready()
        assert (one.succession.is_owner, one.succession.predecessor) == (True, 0)
        assert one.failures == []


def test_who_died_unnoticed_is_noticed_when_told():
    with heir() as one:
        one.other.close()
        one.ready()
        assert one.succession.is_owner


def test_one_that_is_refused_late_fails_and_leaves_it_be():
    with heir() as one:
        one.other.tell({"is": "refused", "reason": "it took too long"})
        one.hear()
        assert one.failures == ["it took too long"]
        assert one.succession.held() == []
        one.hear()


def test_what_takes_too_long_has_an_end():
    with heir() as one:
        one.clock.advance(READY_SECONDS - ANSWER_SECONDS)
        one.succession.expire()
        assert one.failures == ["it was not ready within 85 s"]
    with heir() as one:
        one.ready()
        one.clock.advance(ANSWER_SECONDS)
        one.succession.expire()  # the other one drains and says nothing
        assert one.succession.is_owner
        one.other.tell({"is": "released", "reload": False})
        one.hear()
        one.other.tell({"is": "dance"})
        one.hear()
        assert (one.succession.predecessor, one.failures) == (0, [])


def test_who_gives_up_hangs_up():
    with heir() as one:
        one.succession.give_up()
        assert (one.succession.held(), one.succession.deadline) == ([], None)
