"""Tests for edgeproxy/runtime/rollout.py, with rosters and workers' ends as they are."""

import asyncio

import pytest

from edgeproxy.errors import ConfigError, Problem
from edgeproxy.observe.counters import Counters
from edgeproxy.observe.facts import Facts
from edgeproxy.runtime import rollout as module
from edgeproxy.runtime.channel import channel_pair
from edgeproxy.runtime.correspondent import Correspondent
from edgeproxy.runtime.rollout import Rollout
from edgeproxy.runtime.roster import Roster
from tests.support.barrier import settle


class Worker:
    """A worker whose configurations are words; it refuses some, and hangs while `held` is."""

    def __init__(self, generation=0, refuses=()):
        self.counters = Counters()
        self.correspondent = Correspondent(None, generation)
        self.correspondent.represent(self)
        self.refuses = refuses
        self.runs = "first"
        self.built = []
        self.held = None

    def facts(self):
        return Facts()

    async def prepare(self, config):
        if self.held is not None:
            await self.held.wait()
        if config in self.refuses:
            raise ConfigError([Problem("configuration", 0, "x", f"no {config}")])
        self.built.append(config)
        return config

    def apply(self, prepared):
        self.runs = prepared


class Company:
    def __init__(self):
        self.roster = Roster(lambda *_what: None, self.heard)
        self.silent = []
        self.rollout = Rollout(lambda: self.roster.here, 0, "first", self.hangs)
        self.workers = {}
        self.killed = []
        self.number = 0

    def heard(self, index, worker, message):
        self.rollout.heard(index, worker, message)

    def hangs(self, index, pid):
        self.silent.append((index, pid))
        if index in self.killed:
            self.roster.here[index].channel.close()

    async def join(self, index, worker):
        self.workers[index] = worker
        self.number += 1
        one, other = channel_pair()
        self.roster.attach(index, pid=self.number, number=self.number, descriptor=one.detach())
        worker.correspondent.connect(other.detach())
        await until(lambda: index in self.roster.here)
        await until(lambda: self.roster.here[index].running is not None)

    def runs(self):
        return [worker.runs for _, worker in sorted(self.workers.items())]

    async def reload(self, config):
        await self.rollout.prepare(config)
        self.rollout.commit()
        await self.rollout.taken()
        assert set(self.runs()) == {config}


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await settle()


@pytest.fixture
async def company():
    company = Company()
    for index in (0, 1):
        await company.join(index, Worker(refuses=["bad"] if index else []))
    yield company
    for worker in company.workers.values():
        await worker.correspondent.aclose()
    await company.roster.aclose()
    await settle()


async def test_all_take_it_or_none(company):
    await company.rollout.prepare("second")
    assert company.runs() == ["first", "first"]
    company.rollout.commit()
    await until(lambda: company.runs() == ["second", "second"])
    with pytest.raises(ConfigError, match="no bad"):
        await company.rollout.prepare("bad")
    with pytest.raises(RuntimeError, match="nothing was prepared"):
        company.rollout.commit()
    await company.reload("third")
    assert company.workers[0].built == ["second", "bad", "third"]


async def test_who_hangs_refuses_and_who_ends_does_not(company, monkeypatch):
    monkeypatch.setattr(module, "PREPARE_SECONDS", 0.0)
    slow = company.workers[1]
    slow.held = asyncio.Event()
    with pytest.raises(TimeoutError, match="worker 0, 1 did not answer within 0 s"):
        await company.rollout.prepare("second")
    assert company.silent == []  # all of them: it is no fault of one
    monkeypatch.undo()
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(company.rollout.prepare("third"))
        await until(lambda: company.workers[0].built[-1:] == ["third"])
        assert not asking.done()
        await slow.correspondent.aclose()
    company.rollout.commit()
    await until(lambda: company.workers[0].runs == "third")
    assert slow.runs == "first"


async def test_who_hangs_is_killed_and_the_others_go_on(company, monkeypatch):
    monkeypatch.setattr(module, "PREPARE_SECONDS", 0.2)
    monkeypatch.setattr(module, "GONE_SECONDS", 0.0)
    company.workers[1].held = asyncio.Event()
    with pytest.raises(TimeoutError, match="worker 1 did not answer"):
        await company.rollout.prepare("second")
    assert company.silent == [(1, 2)]
    monkeypatch.setattr(module, "GONE_SECONDS", 10.0)
    company.killed = [1]
    await company.rollout.prepare("second")
    company.rollout.commit()
    await until(lambda: company.workers[0].runs == "second")
    await company.join(1, successor := Worker())
    await until(lambda: successor.runs == "second")


async def test_who_has_not_swapped_yet_is_told_of(company, monkeypatch, caplog):
    await company.rollout.prepare("second")
    monkeypatch.setattr(module, "TAKE_SECONDS", 0.0)
    company.rollout.commit()
    await company.rollout.taken()
    assert "worker 0, 1 has not swapped within 0 s yet" in caplog.text
    await until(lambda: company.runs() == ["second", "second"])


async def test_who_begins_with_an_earlier_one_catches_up(company, caplog):
    await company.rollout.prepare("second")
    await company.join(2, late := Worker())  # after all were asked
    company.rollout.commit()
    await until(lambda: late.runs == "second")
    await company.join(3, later := Worker())
    await until(lambda: later.runs == "second")
    await company.join(4, Worker(refuses=["second"]))
    await until(lambda: "worker 4 cannot use what the others do" in caplog.text)
    await company.join(5, current := Worker(generation=company.rollout.number))
    await settle()
    assert current.built == []


async def test_a_reload_that_is_cancelled_changes_nothing(company):
    company.workers[0].held = asyncio.Event()
    asking = asyncio.ensure_future(company.rollout.prepare("second"))
    await until(lambda: company.workers[1].built == ["second"])
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    company.workers[0].held.set()
    await company.reload("third")
