import os
import selectors
import signal

import pytest

from edgeproxy.runtime import crew as module
from edgeproxy.runtime.crew import Crew


@pytest.fixture
def heard():
    return []


@pytest.fixture
def crew(heard):
    with selectors.DefaultSelector() as selector:
        made = Crew(1, selector, lambda child, received: heard.append((child.name, *received)))
        yield made
        made.kill()


def turn(crew, times=1):
    for _ in range(times):
        for key, _ in crew._selector.select(10):
            key.data()


def talk(link):
    link.send({"is": "ready"})
    return 3


def wait(link):
    link.sock.setblocking(True)
    return len(link.sock.recv(1))


def test_one_is_born_heard_and_missed(crew, heard):
    worker = crew.workers[0]
    assert crew.begin(worker, talk, [], 1.0)
    pid = worker.pid
    assert crew.living() == [worker]
    turn(crew)
    assert heard == [("worker 0", {"is": "ready"}, None)]
    assert os.waitpid(pid, 0)[1] >> 8 == 3
    turn(crew, times=int(worker.link is not None))
    assert worker.link is None
    worker.is_ready = True
    assert crew.ended(pid, 2.0) == (worker, True)
    assert crew.ended(pid, 2.0) is None
    assert (crew.living(), worker.due) == ([], 2.0)


def test_both_ends_of_a_channel_are_handed_out(crew):
    crew.connect(crew.workers[0])  # nobody is there yet
    for child in crew.all:
        crew.begin(child, wait, [], 1.0)
    crew.connect(crew.workers[0])
    assert crew.workers[0].channel == 1
    crew.kill()
    assert crew.living() == []


def test_where_there_may_be_no_more_processes_it_is_tried_again(crew, monkeypatch, caplog):
    def fork(*_arguments, **_more):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(module, "fork", fork)
    assert not crew.begin(crew.steward, talk, [], 5.0)
    assert "steward cannot begin: Resource temporarily unavailable" in caplog.text
    assert (crew.steward.pid, crew.steward.due) == (0, 5.0)


def test_who_was_killed_is_waited_for(crew):
    crew.begin(crew.steward, wait, [], 1.0)
    pid = crew.steward.pid
    crew.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
