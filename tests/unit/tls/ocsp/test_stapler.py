import asyncio
import logging
from dataclasses import replace

import pytest

from edgeproxy.clock import SystemClock
from edgeproxy.tls.ocsp.refusal import Refusal, Refused
from edgeproxy.tls.ocsp.responder import Responder
from edgeproxy.tls.ocsp.shelf import Shelf
from edgeproxy.tls.ocsp.staple import Staple
from edgeproxy.tls.ocsp.stapler import Stapler
from tests.support.barrier import Barrier
from tests.support.ca import LocalCa
from tests.support.clock import ManualClock
from tests.support.ocsp_answers import OcspAnswers
from tests.support.ocsp_responder import OcspResponder

URL = "http://ocsp.test/"
HOUR, DAY = 3600.0, 86_400.0
REFUSED = Refused(Refusal.TRY_LATER, "come back")


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return LocalCa(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def leaf(ca):
    return ca.issue("a.test", ocsp_url=URL).certificate


@pytest.fixture(scope="module")
def demanding(ca):
    return ca.issue("a.test", ocsp_url=URL, must_staple=True).certificate


class Script:
    """A responder at the network's place: answers in order, the last one for ever."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.gate = Barrier()
        self.gate.open()

    async def fetch(self, leaf, issuer, now):
        self.asked.append(now)
        await self.gate.passed()
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Bench:
    """A stapler with everything around it in a test's hands."""

    def __init__(self, leaf, issuer, *answers, shelf=None, clock=None):
        self.clock = clock or ManualClock()
        self.script = Script(*answers)
        self.results = []
        self.published = []
        self.until = None
        self.longest_sleep = 0.0
        self.stapler = Stapler(
            "widgets",
            leaf,
            issuer,
            responder=self.script,
            shelf=shelf,
            clock=self.clock,
            random=lambda: 0.5,
            on_result=self.results.append,
            sleep=self._sleep,
        )

    @property
    def progress(self):
        return self.stapler.progress

    def good(self, age=0.0, days=4.0):
        this_update = self.clock.now() - age
        next_update = this_update + days * DAY
        return Staple(b"%d" % this_update, this_update, next_update, next_update - 300)

    async def run(self, staple, until):
        """Keep fresh while the clock goes on to `until`."""
        self.until = until
        try:
            await self.stapler.keep_fresh(staple, self._publish)
        except TimeIsUpError:
            return

    async def _sleep(self, seconds):
        self.longest_sleep = max(self.longest_sleep, seconds)
        if self.clock.now() + seconds > self.until:
            raise TimeIsUpError
        self.clock.advance(seconds)

    def _publish(self, staple):
        self.published.append((self.clock.now(), staple))


class TimeIsUpError(Exception):
    """The test has seen enough."""


@pytest.fixture
def at(ca, leaf):
    def make(*answers, on=leaf, **more):
        return Bench(on, ca.certificate, *answers, **more)

    return make


def said(caplog, level=logging.WARNING):
    return [record.getMessage() for record in caplog.records if record.levelno >= level]


async def test_the_network_is_asked_when_the_disk_has_nothing(at):
    bench = at(None)
    bench.script.answers = [staple := bench.good()]
    assert await bench.stapler.obtain(5.0) == staple
    assert bench.results == ["good"]
    progress = bench.progress
    assert (progress.responder, progress.must_staple, progress.last_result) == (URL, False, "good")
    assert progress.last_attempt == bench.clock.now()
    assert progress.next_attempt == bench.clock.now() + 2 * DAY


async def test_without_an_answer_there_is_nothing_to_staple(at, caplog):
    bench = at(REFUSED)
    assert await bench.stapler.obtain(5.0) is None
    assert bench.results == ["try_later"]
    assert bench.progress.next_attempt == bench.clock.now() + 60
    (line,) = said(caplog)
    assert line == f"widgets: {URL}: try_later: come back; nothing is stapled"


async def test_who_does_not_answer_in_time_is_not_waited_for(at):
    bench = at(REFUSED)
    bench.script.gate = Barrier()
    assert await bench.stapler.obtain(0.0) is None
    assert bench.results == ["timeout"]


@pytest.mark.parametrize("age_days", [1, 3])
async def test_what_is_on_disk_is_taken_without_the_network(ca, leaf, tmp_path, age_days):
    clock = ManualClock(ca.certificate.not_valid_before_utc.timestamp() + 2 * DAY)
    shelf = Shelf(tmp_path)
    shelf.save(leaf, Staple(OcspAnswers(ca).about(leaf), 0, 0, 0))
    loaded = shelf.load(leaf, ca.certificate, clock.now() + 2 * DAY)
    assert loaded is not None
    clock.advance(loaded.this_update + age_days * DAY - clock.now())
    bench = Bench(leaf, ca.certificate, REFUSED, shelf=shelf, clock=clock)
    assert await bench.stapler.obtain(5.0) == loaded
    assert (bench.results, bench.script.asked) == ([], [])
    due = loaded.this_update + 2 * DAY
    assert bench.progress.next_attempt == max(due, clock.now())


async def test_what_was_old_on_disk_is_renewed_at_once_and_used_meanwhile(ca, leaf, tmp_path):
    clock = ManualClock(ca.certificate.not_valid_before_utc.timestamp() + 2 * DAY)
    shelf = Shelf(tmp_path)
    shelf.save(leaf, Staple(OcspAnswers(ca).about(leaf), 0, 0, 0))
    clock.advance(2 * DAY)  # three days old, of four
    bench = Bench(leaf, ca.certificate, None, shelf=shelf, clock=clock)
    bench.script.answers = [newer := bench.good()]
    staple = await bench.stapler.obtain(5.0)
    assert staple is not None
    await bench.run(staple, until=clock.now() + HOUR)
    assert bench.published == [(newer.this_update, newer)]


async def test_what_was_obtained_is_there_after_a_restart(ca, leaf, tmp_path):
    shelf = Shelf(tmp_path)
    clock = ManualClock(ca.certificate.not_valid_before_utc.timestamp() + DAY + HOUR)
    script_staple = OcspAnswers(ca).about(leaf)
    staple = Staple(script_staple, clock.now(), clock.now() + DAY, clock.now() + DAY)
    bench = Bench(leaf, ca.certificate, staple, shelf=shelf, clock=clock)
    assert await bench.stapler.obtain(5.0) == staple
    again = shelf.load(leaf, ca.certificate, clock.now() + HOUR)
    assert again is not None
    assert again.der == script_staple


async def test_over_real_sockets_a_restart_needs_no_responder(ca, tmp_path):
    shelf, network, results = Shelf(tmp_path / "ocsp"), Responder(), []

    def stapler(leaf):
        return Stapler(
            "widgets",
            leaf,
            ca.certificate,
            responder=network,
            shelf=shelf,
            clock=SystemClock(),
            random=lambda: 0.5,
            on_result=results.append,
        )

    async with OcspResponder(OcspAnswers(ca, ca.ocsp_signer())) as server:
        leaf = ca.issue("a.test", ocsp_url=server.url).certificate
        staple = await stapler(leaf).obtain(10.0)
    assert staple is not None
    assert await stapler(leaf).obtain(10.0) == staple
    assert len(server.requests) == 1
    assert await stapler(ca.issue("b.test", ocsp_url=server.url).certificate).obtain(10.0) is None
    assert results == ["good", "unreachable"]
    await network.aclose()


async def test_a_leaf_without_a_responder_is_left_alone_in_silence(ca, caplog):
    bench = Bench(ca.issue("a.test").certificate, ca.certificate, REFUSED)
    assert await bench.stapler.obtain(5.0) is None
    await bench.stapler.keep_fresh(None, bench._publish)
    assert (bench.script.asked, bench.results, bench.published) == ([], [], [])
    assert not caplog.records
    assert bench.progress.responder is None


@pytest.mark.parametrize(
    ("has_url", "word"), [(True, Refusal.NO_ISSUER), (False, Refusal.NO_RESPONDER)]
)
async def test_nobody_to_ask_is_a_misfortune_once(ca, caplog, has_url, word):
    leaf = ca.issue("a.test", ocsp_url=URL if has_url else None, must_staple=True).certificate
    bench = Bench(leaf, None, REFUSED)
    assert await bench.stapler.obtain(5.0) is None
    await bench.stapler.keep_fresh(None, bench._publish)
    assert bench.results == [word] == [bench.progress.last_result]
    assert len(said(caplog, logging.ERROR)) == 1


async def test_staples_are_renewed_at_half_of_their_time(at):
    bench = at(None)
    first, began = bench.good(), bench.clock.now()
    second = replace(first, der=b"2", this_update=began + 2 * DAY, next_update=began + 6 * DAY)
    bench.script.answers = [second]
    await bench.run(first, until=began + 2 * DAY + HOUR)
    assert bench.script.asked == [began + 2 * DAY]
    assert bench.published == [(began + 2 * DAY, second)]
    assert bench.longest_sleep <= 300


async def test_a_failing_responder_is_asked_with_back_off_and_logged_once(at, caplog):
    bench = at(REFUSED)
    first, began = bench.good(), bench.clock.now()
    await bench.run(first, until=began + 2 * DAY + 4 * HOUR)
    waits = [round((later - began - 2 * DAY) / 60) for later in bench.script.asked]
    assert waits == [0, 1, 3, 7, 15, 31, 63, 123, 183]
    assert bench.published == []
    (line,) = said(caplog)
    assert "try_later: come back; stapled until" in line


async def test_a_staple_is_taken_back_when_its_time_has_come(at, caplog):
    bench = at(REFUSED)
    first, began = bench.good(), bench.clock.now()
    await bench.run(first, until=began + 5 * DAY)
    assert bench.published == [(first.usable_until, None)]
    assert len(said(caplog)) == 2
    assert not said(caplog, logging.ERROR)
    assert max(bench.script.asked) > first.usable_until + DAY / 2  # and it goes on asking


async def test_a_leaf_that_must_be_stapled_raises_the_alarm_before_and_after(at, demanding, caplog):
    bench = at(REFUSED, on=demanding)
    first, began = bench.good(), bench.clock.now()
    await bench.run(first, until=first.usable_until - DAY / 2)
    assert len(said(caplog, logging.ERROR)) == 1
    assert "must be stapled" in said(caplog)[-1]
    await bench.run(first, until=began + 5 * DAY)
    assert len(said(caplog, logging.ERROR)) == 2
    assert "has expired" in said(caplog)[-1]


@pytest.mark.parametrize(
    ("answer", "minutes"),
    [(REFUSED, [0, 1, 2, 3, 4, 5, 6, 7]), (Refused(Refusal.REVOKED), [0, 1, 3, 7])],
)
async def test_a_leaf_that_is_not_served_without_is_asked_for_every_minute(
    at, demanding, answer, minutes
):
    bench = at(answer, on=demanding)
    began = bench.clock.now()
    await bench.run(None, until=began + 7.5 * 60)
    assert [round((later - began) / 60) for later in bench.script.asked] == minutes


async def test_a_recovered_responder_is_said_and_stapled_again(at, caplog):
    caplog.set_level(logging.INFO)
    bench = at(None)
    began = bench.clock.now()
    first = bench.good()
    second = replace(bench.good(), der=b"2", this_update=began + 2 * DAY)
    bench.script.answers = [REFUSED, REFUSED, second]
    await bench.run(first, until=began + 2 * DAY + 10 * 60)
    assert [staple for _, staple in bench.published] == [second]
    assert bench.results == ["try_later", "try_later", "good"]
    assert said(caplog, logging.INFO)[-1].startswith(f"widgets: stapled from {URL} until")


async def test_revocation_takes_the_staple_back_at_once_and_off_the_disk(
    ca, leaf, tmp_path, caplog
):
    shelf = Shelf(tmp_path)
    bench = Bench(leaf, ca.certificate, Refused(Refusal.REVOKED, "since then"), shelf=shelf)
    first, began = bench.good(), bench.clock.now()
    shelf.save(leaf, first)
    await bench.run(first, until=began + 2 * DAY + 1)
    assert bench.published == [(began + 2 * DAY, None)]
    assert said(caplog, logging.ERROR) == [
        f"widgets: {URL} says REVOKED since then; nothing is stapled"
    ]
    assert list(tmp_path.iterdir()) == []


async def test_a_cache_that_has_not_heard_of_the_revocation_does_not_undo_it(at):
    bench = at(None)
    began = bench.clock.now()
    first = bench.good()
    older = replace(first, der=b"older", this_update=began + DAY)
    newer = replace(first, der=b"newer", this_update=began + 2 * DAY + 61)
    bench.script.answers = [Refused(Refusal.REVOKED), older, newer]
    await bench.run(first, until=began + 2 * DAY + 10 * 60)
    assert [staple for _, staple in bench.published] == [None, newer]
    assert bench.results == ["revoked", "revoked", "good"]


async def test_the_same_response_again_is_no_reason_to_ask_every_minute(at):
    bench = at(None)
    first, began = bench.good(), bench.clock.now()
    bench.script.answers = [replace(first)]  # a cache in front of the responder
    await bench.run(first, until=began + 3 * DAY)
    assert len(bench.script.asked) < 32
    assert bench.published == []
    assert set(bench.results) == {"good"}


async def test_an_older_response_does_not_replace_a_newer_one(at):
    bench = at(None)
    first, began = bench.good(), bench.clock.now()
    bench.script.answers = [replace(first, der=b"older", this_update=began - DAY)]
    await bench.run(first, until=began + 2 * DAY + HOUR)
    assert bench.published == []


async def test_what_was_obtained_is_not_asked_for_again(at):
    bench = at(REFUSED)
    assert await bench.stapler.obtain(5.0) is None
    began = bench.clock.now()
    await bench.run(None, until=began + 59)
    assert len(bench.script.asked) == 1
    await bench.run(None, until=began + 61)
    assert len(bench.script.asked) == 2


async def test_without_obtaining_first_the_responder_is_asked_at_once(at):
    bench = at(None)
    bench.script.answers = [staple := bench.good()]
    await bench.run(None, until=bench.clock.now() + 1)
    assert [published for _, published in bench.published] == [staple]


async def test_a_clock_that_is_set_back_does_not_put_the_next_attempt_off(at):
    bench = at(REFUSED)
    bench.clock.advance(365 * DAY)
    await bench.stapler.obtain(5.0)
    bench.clock.advance(-365 * DAY)
    await bench.run(None, until=bench.clock.now() + 90)
    assert len(bench.script.asked) == 2
    assert bench.progress.next_attempt < bench.clock.now() + HOUR


async def test_it_ends_when_it_is_cancelled(at):
    bench = at(REFUSED)
    bench.script.gate = Barrier()
    bench.until = bench.clock.now() + DAY
    async with asyncio.TaskGroup() as group:
        task = group.create_task(bench.stapler.keep_fresh(None, bench._publish))
        await bench.script.gate.reached()
        task.cancel()
    assert task.cancelled()
