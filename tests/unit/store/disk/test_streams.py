"""Bodies as the loop sees them: opened once for all, read in threads, closed in time."""

import asyncio
import hashlib
import threading

import pytest

from edgeproxy.cache.stored import LargeBody
from edgeproxy.store.disk import streams as streams_module
from edgeproxy.store.disk.faults import DiskError, Health
from edgeproxy.store.disk.streams import DiskSpill, Streams
from edgeproxy.store.disk.tier import DiskTier
from tests.support.barrier import settle
from tests.support.clock import ManualClock
from tests.support.stored import NOW, stored

BODY = bytes(range(256)) * 1000
BUDGET = 16 * 1024**2


class Bench:
    """A tier, its streams, and one stored body."""

    def __init__(self, folder) -> None:
        clock = ManualClock()
        self.health = Health(clock, "x")
        self.tier = DiskTier(folder, BUDGET, clock=clock, fsync=False, health=self.health)
        self.tier.open()
        self.streams = Streams(self.tier, self.health)
        self.discarded = []

    def keep(self, key=b"k", body=BODY):
        made = stored(key, body)
        made.body = LargeBody(len(body))
        temporary = self.tier.begin(len(body))
        temporary.file.write(0, [body])
        assert self.tier.keep(temporary, made, NOW)
        temporary.file.let_go()
        return made

    def spill(self, size=0, may_extend=True):
        async def extend(temporary, more):
            return may_extend and self.tier.extend(temporary, more)

        return DiskSpill(
            self.streams,
            self.tier.begin(size),
            extend=extend,
            discard=self.discarded.append,
            health=self.health,
        )

    async def idle(self):
        """Wait until the threads have done what they were told."""
        async with asyncio.timeout(20):
            while self.streams.operations:
                await settle()


@pytest.fixture
async def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    for ended in made.streams.close():
        await asyncio.wrap_future(ended)
    made.tier.close()


async def test_a_body_is_opened_once_however_many_read_it(bench, monkeypatch):
    made, opened = bench.keep(), []
    open_body = bench.tier.open_body
    monkeypatch.setattr(
        bench.tier, "open_body", lambda *asked: (opened.append(asked), open_body(*asked))[1]
    )
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(bench.streams.open(made)) for _ in range(20)]
    readers = [task.result() for task in tasks]
    assert opened == [(made.digest, len(BODY))]
    assert bench.streams.open_files == 1
    for number, reader in enumerate(readers):
        assert await reader.read(number, 10) == BODY[number : number + 10]
        reader.close()
        reader.close()
    assert bench.streams.open_files == 0
    await bench.idle()
    with pytest.raises(DiskError, match="closed"):
        await readers[0].read(0, 1)


async def test_what_is_not_there_is_not_opened(bench):
    missing = stored(body=b"nobody has this")
    missing.body = LargeBody(15)
    assert await bench.streams.open(missing) is None
    assert bench.streams.open_files == 0
    assert not bench.health.is_down("bodies")


async def test_open_files_are_bounded(bench, monkeypatch):
    monkeypatch.setattr(streams_module, "FILES_MAX", 1)
    one, other = bench.keep(b"a"), bench.keep(b"b", b"other")
    held = await bench.streams.open(one)
    assert await bench.streams.open(other) is None
    assert bench.health.faults == {"queue_full": 1}
    held.close()
    (await bench.streams.open(other)).close()


class Gate:
    """Holds a thread until a test lets it go on."""

    def __init__(self, work) -> None:
        self._work = work
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, *asked):
        self.reached.set()
        assert self.opened.wait(20)
        return self._work(*asked)


async def test_who_leaves_while_it_is_opened_leaves_no_file_open(bench, monkeypatch):
    made, gate = bench.keep(), Gate(bench.tier.open_body)
    monkeypatch.setattr(bench.tier, "open_body", gate)
    leaver = asyncio.ensure_future(bench.streams.open(made))
    await asyncio.to_thread(gate.reached.wait, 20)
    leaver.cancel()
    await asyncio.wait([leaver])
    assert bench.streams.open_files == 1
    gate.opened.set()
    await bench.idle()
    await settle()
    await bench.idle()
    assert bench.streams.open_files == 0


async def test_a_disk_that_takes_too_long_to_open_it_has_not_got_it(bench, monkeypatch):
    made, gate = bench.keep(), Gate(bench.tier.open_body)
    monkeypatch.setattr(bench.tier, "open_body", gate)
    monkeypatch.setattr(streams_module, "OPEN_SECONDS", -1.0)
    assert await bench.streams.open(made) is None
    assert bench.health.faults == {"slow": 1}
    gate.opened.set()


async def test_a_file_that_has_become_shorter_is_an_error(bench):
    made = bench.keep()
    body = await bench.streams.open(made)
    with pytest.raises(DiskError, match="shorter"):
        await body.read(len(BODY) - 1, 2)
    body.close()


async def test_what_is_written_can_be_read_at_once_and_reserves_as_it_grows(bench):
    spill = bench.spill()
    before = spill.temporary.reserved
    await spill.write([BODY[:1000], BODY[1000:]])
    assert spill.temporary.reserved > before
    assert await spill.read(900, 200) == BODY[900:1100]
    await spill.write([b"more"])
    assert await spill.read(len(BODY), 4) == b"more"
    assert spill.length == len(BODY) + 4
    spill.close()
    spill.close()
    assert bench.discarded == [spill.temporary]
    with pytest.raises(DiskError, match="closed"):
        await spill.read(0, 1)


async def test_a_budget_that_is_used_up_is_an_error_and_no_fault(bench):
    spill = bench.spill(may_extend=False)
    with pytest.raises(DiskError, match="no room"):
        await spill.write([BODY])
    assert not bench.health.is_down("bodies")
    spill.close()


@pytest.mark.parametrize("operation", ["read", "write"])
async def test_a_disk_that_fails_is_an_error_and_left_alone(bench, monkeypatch, operation):
    spill = bench.spill(len(BODY))
    await spill.write([b"12345"])

    def fails(*_):
        raise OSError(28, "no space")

    monkeypatch.setattr(spill.temporary.file, operation, fails)
    with pytest.raises(DiskError) as caught:
        await (spill.read(0, 5) if operation == "read" else spill.write([b"x"]))
    assert caught.value.reason == "no_space"
    assert bench.health.is_down("bodies")
    monkeypatch.undo()
    await spill.write([b"x"])
    assert not bench.health.is_down("bodies")
    spill.close()


async def test_a_disk_that_is_too_slow_is_an_error_and_keeps_its_file(bench, monkeypatch):
    spill = bench.spill(len(BODY))
    gate = Gate(spill.temporary.file.write)
    monkeypatch.setattr(spill.temporary.file, "write", gate)
    monkeypatch.setattr(streams_module, "PIECE_SECONDS", 0.0)
    writing = asyncio.ensure_future(spill.write([BODY]))
    with pytest.raises(DiskError, match="nothing within"):
        await writing
    spill.close()
    gate.opened.set()
    await bench.idle()


async def test_a_fault_of_ours_ends_no_thread(bench, caplog):
    def wrong():
        raise RuntimeError("ours")

    for _ in range(streams_module.THREADS + 1):
        with pytest.raises(DiskError, match="ours"):
            await bench.streams.run(wrong, 20.0)
    assert "an operation on a large body failed" in caplog.text
    assert await bench.streams.run(lambda: 1, 20.0) == 1


def test_a_digest_is_what_a_body_is_found_by():
    assert stored(body=BODY).digest == hashlib.sha256(BODY).digest()
