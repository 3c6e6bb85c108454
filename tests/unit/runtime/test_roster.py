"""Tests for edgeproxy/runtime/roster.py, with a real worker's end."""

import asyncio

from edgeproxy.clock import SystemClock
from edgeproxy.observe.counters import Counters
from edgeproxy.observe.facts import Facts
from edgeproxy.runtime.channel import channel_pair
from edgeproxy.runtime.correspondent import Correspondent
from edgeproxy.runtime.roster import Roster
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.tls.identity import load_identity
from tests.support.barrier import settle
from tests.support.ca import LocalCa


class Worker:
    def __init__(self, front):
        self.counters = Counters()
        self.correspondent = Correspondent(front)
        self.correspondent.represent(self)

    def facts(self):
        return Facts(connections={"https": 1}, refusals={"tls": 2})

    def join(self, roster, index, *, pid, number):
        one, other = channel_pair()
        roster.attach(index, pid=pid, number=number, descriptor=one.detach())
        self.correspondent.connect(other.detach())


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await settle()


async def test_workers_are_told_and_asked_and_remembered(tmp_path):
    ca, lost = LocalCa(tmp_path), []
    first, second = (
        load_identity([ca.issue(name).files], name=name) for name in ("a.test", "b.test")
    )
    fronts = [FrontContext([first], clock=SystemClock()) for _ in range(2)]
    workers = [Worker(front) for front in fronts]
    roster = Roster(lambda *what: lost.append(what), lambda *_what: None)
    workers[1].join(roster, 1, pid=11, number=1)
    await until(lambda: 1 in roster.here)
    workers[0].join(roster, 0, pid=10, number=1)
    await until(lambda: 0 in roster.here)
    roster.publish([first, second], ["b.test"])
    for worker, front in zip(workers, fronts, strict=True):
        await worker.correspondent.published.wait()
        assert [each.name for each in front.identities] == ["a.test", "b.test"]
    kept = fronts[0].identities[0]
    roster.publish([first], [])
    await until(lambda: len(fronts[0].identities) == 1)
    assert fronts[0].identities[0] is kept  # what stays is not sent again

    workers[0].counters.coalesced = 3
    await roster.ask()
    assert roster.counters(Counters()).coalesced == 3
    assert roster.facts().connections == {"https": 2}
    await workers[0].correspondent.aclose()
    await until(lambda: lost == [(0, 1)])
    again = Worker(fronts[0])
    again.join(roster, 0, pid=12, number=2)
    await until(lambda: 0 in roster.here)
    await roster.ask()
    assert roster.counters(Counters()).coalesced == 3
    assert roster.facts().refusals == {"tls": 6}
    await again.correspondent.aclose()
    await workers[1].correspondent.aclose()
    await roster.aclose()
    await settle()
