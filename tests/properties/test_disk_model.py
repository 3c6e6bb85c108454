"""The disk tier against a dict: whatever it finds is what was put last, and nothing is lost."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edgeproxy.store.disk import inspection
from edgeproxy.store.disk.faults import Health
from edgeproxy.store.disk.tier import DiskTier
from tests.support.clock import ManualClock
from tests.support.stored import stored

BUDGET = 256 * 1024
KEYS = st.sampled_from([b"a", b"b", b"c", b"d"])
BODIES = st.sampled_from([b"", b"x", b"y" * 5000, b"z" * 50_000, b"w" * 90_000])


class DiskModel(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.clock = ManualClock()
        self.place = tempfile.TemporaryDirectory()
        self.folder = Path(self.place.name)
        self.model = {}
        self.restart(is_first=True)

    def restart(self, *, is_first=False):
        if not is_first:
            self.tier.close()
        health = Health(self.clock, "x")
        self.tier = DiskTier(self.folder, BUDGET, clock=self.clock, fsync=False, health=health)
        self.tier.open()

    @rule()
    def start_again(self):
        self.restart()

    @rule(key=KEYS, body=BODIES)
    def put(self, key, body):
        self.clock.advance(1)
        self.model[key] = stored(key, body, response_time=self.clock.now())
        self.tier.put(self.model[key], self.clock.now())
        assert self.tier.load(key)

    @rule(key=KEYS)
    def freshen(self, key):
        if key in self.model:
            self.clock.advance(1)
            old = self.model[key]
            new = stored(key, old.body, response_time=self.clock.now())
            if self.tier.replace(old, new):
                self.model[key] = new
            else:
                assert self.tier.load(key) == ()

    @rule(key=KEYS)
    def forget(self, key):
        self.tier.forget(key)
        self.model.pop(key, None)

    @invariant()
    def it_holds_what_was_put_last_or_nothing(self):
        assert self.tier.bytes <= BUDGET
        for key in (b"a", b"b", b"c", b"d"):
            for found in self.tier.load(key):
                expected = self.model[key]
                assert (found.body, found.response_time) == (expected.body, expected.response_time)

    def teardown(self):
        self.tier.close()
        report = inspection.verify(self.folder, is_repair=False, progress=lambda *_: None)
        self.place.cleanup()
        assert report.findings == []


TestDiskModel = DiskModel.TestCase
TestDiskModel.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
