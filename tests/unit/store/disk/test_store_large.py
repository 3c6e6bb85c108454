"""Large bodies through the store: in order with everything else, and gone where nobody waits."""

import asyncio
import threading

import pytest

from edgeproxy.cache.stored import LargeBody
from edgeproxy.store.disk import inspection
from edgeproxy.store.disk import store as store_module
from edgeproxy.store.disk.store import DiskStore
from tests.support.clock import ManualClock
from tests.support.lower import Octets
from tests.support.stored import NOW, stored

BUDGET = 16 * 1024**2
BODY = bytes(range(256)) * 4096


@pytest.fixture
async def store(tmp_path):
    disk = DiskStore(tmp_path, BUDGET, clock=ManualClock(), body_bytes_max=4 * 1024**2)
    await disk.start()
    await swept(disk)
    yield disk
    await disk.aclose()


async def swept(store):
    async with asyncio.timeout(20):
        # no event tells of it, and a loop that never rests keeps threads from their turns
        while store._queue.operations:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def large(key=b"k", body=BODY, **more):
    made = stored(key, body, **more)
    made.body = LargeBody(len(body))
    return made


async def spilled(store, body=BODY):
    spill = await store.begin(len(body))
    await spill.write([body])
    return spill


async def kept(store, response=None, body=BODY):
    spill = await spilled(store, body)
    assert await store.commit(spill, response or large(body=body))
    spill.close()


def left(store):
    stats = inspection.stats(store._tier.folder)
    files = [e for e in (store._tier.folder / "temporary").rglob("*") if e.is_file()]
    return stats["objects"], stats["reserved_bytes"], len(files)


async def test_what_was_committed_is_loaded_and_opened(store):
    await kept(store)
    [found] = await store.load(b"k", 1000)
    assert found.body == LargeBody(len(BODY))
    body = await store.open(found)
    assert store.open_files == 1
    assert await body.read(5, 10) == BODY[5:15]
    body.close()
    [found] = await store.load(b"k")
    assert found.body == BODY
    assert await store.open(found) is None  # it is at hand


async def test_bodies_have_the_bound_that_was_said_and_none_while_nothing_works(store):
    assert store.large_bytes_max == 4 * 1024**2
    store._must_clear = True
    assert store.large_bytes_max == 0
    assert await store.begin(1) is None
    store._must_clear = False


async def test_what_is_closed_before_its_end_leaves_nothing(store):
    spill = await spilled(store)
    assert left(store)[1:] != (0, 0)
    spill.close()
    await swept(store)
    assert left(store) == (0, 0, 0)


async def test_what_is_forgotten_behind_a_commit_is_gone(store):
    spill = await spilled(store)
    committing = asyncio.ensure_future(store.commit(spill, large()))
    await asyncio.sleep(0)
    store.forget(b"k")
    await committing
    assert await store.load(b"k") == ()
    spill.close()


async def test_what_could_not_be_committed_takes_the_older_one_along(store):
    store.put(stored())
    spill = await spilled(store)
    store._tier.discard(spill.temporary)
    assert not await store.commit(spill, large())
    spill.close()
    assert await store.load(b"k") == ()


async def test_a_freshened_response_and_one_of_another_selection_share_the_body(store):
    old = large()
    await kept(store, old)
    new = large(response_time=NOW + 5)
    store.replace(old, new)
    [found] = await store.load(b"k", 0)
    assert found.response_time == NOW + 5
    store.put(large(b"other"))
    assert len(await store.load(b"other", 0)) == 1
    assert store.queued_bytes == 0


async def test_nobody_who_waits_too_short_leaves_a_file(store, monkeypatch):
    begin, gate = store._tier.begin, threading.Event()

    def slow(size):
        assert gate.wait(20)
        return begin(size)

    monkeypatch.setattr(store._tier, "begin", slow)
    monkeypatch.setattr(store_module, "BEGIN_SECONDS", 0.0)
    assert await store.begin(len(BODY)) is None
    gate.set()
    await swept(store)
    assert left(store) == (0, 0, 0)


async def test_nobody_who_is_cancelled_leaves_a_file(store):
    beginning = asyncio.ensure_future(store.begin(len(BODY)))
    await asyncio.sleep(0)
    beginning.cancel()
    await asyncio.wait([beginning])
    await swept(store)
    assert left(store) == (0, 0, 0)


async def test_a_body_of_unknown_length_reserves_more_as_it_grows(store):
    spill = await store.begin(0)
    for _ in range(3):
        await spill.write([BODY])
    assert await store.commit(spill, large(body=BODY * 3))
    spill.close()
    await swept(store)
    assert left(store) == (1, 0, 0)


async def test_a_store_that_is_closed_has_no_large_bodies(store):
    spill = await spilled(store)
    await store.aclose()
    assert await store.begin(1) is None
    assert await store.open(large()) is None
    assert not await store.commit(spill, large())
    assert store.open_files == 0


async def test_a_spill_of_another_tier_is_a_mistake(store):
    with pytest.raises(TypeError):
        await store.commit(Octets(), large())
