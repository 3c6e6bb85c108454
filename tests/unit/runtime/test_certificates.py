"""Certificates of a running PoP, joined to a real responder, a folder of state, and commands."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from edgeproxy.control.certificates import NotReverted, Reverted
from edgeproxy.observe.counters import Counters
from edgeproxy.runtime.certificates import STAPLES_FOLDER, Certificates
from edgeproxy.tls.files import pairs_in
from edgeproxy.tls.identity import IdentitySource, load_identity
from tests.support.ca import LocalCa
from tests.support.clock import ManualClock
from tests.support.ocsp_answers import OcspAnswers
from tests.support.ocsp_responder import OcspResponder
from tests.support.pop import clock_of_today


class Bench:
    """One site's files, its responder, and what becomes live."""

    def __init__(self, folder, ca, responder):
        self.state, self.place = folder / "state", folder / "a.test"
        self.ca, self.responder = ca, responder
        self.counters = Counters()
        self.live = []
        self.issue()

    def issue(self):
        return self.ca.issue("a.test", directory=self.place, ocsp_url=self.responder.url)

    @asynccontextmanager
    async def running(self, *, is_stapling=True, clock: ManualClock | None = None):
        source = IdentitySource("a.test", pairs_in(self.place), ("a.test",), self.place)
        certificates = Certificates(
            [(source, load_identity(source.pairs, name="a.test"))],
            lambda live, _withheld: self.live.append(tuple(live)),
            folder=self.state,
            is_stapling=is_stapling,
            overlap_seconds=60.0,
            clock=clock or clock_of_today(),
            counters=self.counters,
        )
        try:
            await certificates.start()
            yield certificates
        finally:
            await certificates.aclose()

    @property
    def staple(self):
        return self.live[-1][0].credentials[0].staple


@pytest.fixture
async def bench(tmp_path):
    ca = LocalCa(tmp_path / "ca").intermediate()
    async with OcspResponder(OcspAnswers(ca, ca.ocsp_signer())) as responder:
        yield Bench(tmp_path, ca, responder)


async def test_it_begins_stapled_and_counts_what_came_of_it(bench):
    async with bench.running() as certificates:
        assert bench.staple is not None
        (facts,) = certificates.facts()
    assert facts.staple_this_update == bench.staple.this_update
    assert bench.counters.ocsp_fetches == {("a.test", "good"): 1}


async def test_staples_are_kept_in_the_folder_for_the_next_start(bench):
    async with bench.running():
        first = bench.staple
    await bench.responder.stop_listening()
    async with bench.running():
        assert bench.staple == first
    assert len(list((bench.state / STAPLES_FOLDER).iterdir())) == 1
    assert bench.counters.ocsp_fetches == {("a.test", "good"): 1}


async def test_staples_of_leaves_that_are_long_gone_are_removed(bench):
    async with bench.running():
        pass
    leaf = bench.issue()
    clock = ManualClock(leaf.certificate.not_valid_after_utc.timestamp() - 60)
    clock.advance(2 * 86_400)
    async with bench.running(clock=clock):
        assert list((bench.state / STAPLES_FOLDER).iterdir()) == []


async def test_switched_off_it_asks_nobody(bench):
    async with bench.running(is_stapling=False):
        assert bench.staple is None
    assert bench.responder.requests == []
    assert not bench.state.exists()


async def test_commands_change_what_is_live_and_tell_it(bench):
    async with bench.running() as certificates:
        (first,) = bench.live[-1]
        assert await certificates.revert("a.test") == NotReverted("nothing-kept")
        assert await certificates.revert("b.test") == NotReverted("unknown-name")
        bench.issue()
        document = await certificates.reload()
        (second,) = bench.live[-1]
        assert document == certificates.status()
        (described,) = document["identities"]
        assert described["credentials"][0]["sha256"] == second.fingerprints[0]
        outcome = await certificates.revert("a.test")
        assert isinstance(outcome, Reverted)
        assert outcome.live["credentials"][0]["sha256"] == first.fingerprints[0]
        assert bench.live[-1][0].fingerprints == first.fingerprints


async def test_an_end_during_the_start_leaves_nothing_behind(bench):
    bench.responder.mode = "slow"

    async def run():
        async with bench.running():
            pass

    task = asyncio.get_running_loop().create_task(run())
    await bench.responder.released.reached()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert bench.live == []
