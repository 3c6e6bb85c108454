import asyncio
import dataclasses

import pytest

from edgeproxy.store import tiered
from edgeproxy.store.tiered import TieredStore
from tests.support.barrier import Barrier, settle
from tests.support.lower import DictLower
from tests.support.stored import NOW, stored

LARGE = 1 << 20


@pytest.fixture
def lower():
    return DictLower()


@pytest.fixture
async def store(lower):
    made = TieredStore(LARGE, LARGE, lower)
    yield made
    await made.aclose()


async def read(store: TieredStore, key: bytes = b"k"):
    reading = store.reading(key)
    if reading is not None:
        await reading
    return list(store.candidates(key, NOW))


async def test_what_memory_lacks_is_read_back_and_answered_from_memory(store, lower):
    one = stored()
    lower.put(one)
    assert await read(store) == [one]
    assert store.promotions == 1
    assert store.reading(b"k") is None
    assert lower.loads == {b"k": 1}


async def test_what_nobody_has_is_a_miss(store):
    assert await read(store) == []
    assert store.promotions == 0


async def test_all_who_want_it_wait_for_one_reading(store, lower):
    lower.put(stored())
    lower.gate = Barrier()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(read(store)) for _ in range(5)]
        await lower.gate.reached()
        lower.gate.open()
    assert lower.loads == {b"k": 1}
    assert all(len(task.result()) == 1 for task in tasks)


async def test_who_leaves_takes_nobody_s_reading_away(store, lower):
    lower.put(stored())
    lower.gate = Barrier()
    leaver = asyncio.ensure_future(read(store))
    other = asyncio.ensure_future(read(store))
    await lower.gate.reached()
    leaver.cancel()
    await settle()
    lower.gate.open()
    assert len(await other) == 1


async def test_what_is_kept_goes_down_and_outlives_memory(lower):
    first, second = stored(b"a"), stored(b"b")
    store = TieredStore(first.weight, first.weight, lower)
    for each in (first, second):
        assert store.put(each)
    assert store.candidates(b"a", NOW) == ()
    assert await read(store, b"a") == [first]


async def test_what_somebody_else_keeps_below_stays_above(store, lower):
    lower.put(stored(body=b"before"))
    lower.gate = Barrier()
    reading = asyncio.ensure_future(read(store))
    await lower.gate.reached()
    assert store.put_above(new := stored(body=b"new"))
    lower.gate.open()
    assert await reading == [new]
    assert [each.body for each in lower.kept[b"k"]] == [b"before"]


async def test_what_is_too_large_for_memory_is_not_kept_below_either(lower):
    one = stored()
    store = TieredStore(LARGE, one.weight, lower)
    store.put(one)
    assert not store.put(stored(body=b"x" * 10_000))
    assert not lower.kept[b"k"] or lower.kept[b"k"] == [one]
    assert store.candidates(b"k", NOW) == ()


async def test_freshened_dropped_and_forgotten_below_as_in_memory(store, lower):
    old = stored()
    store.put(old)
    new = dataclasses.replace(old, response_time=NOW + 10)
    assert store.replace(old, new)
    assert lower.kept[b"k"] == [new]
    assert store.drop(new)
    assert lower.kept[b"k"] == []
    store.put(stored())
    assert store.forget(b"k") == 1
    assert lower.kept == {}


async def test_what_memory_has_evicted_is_forgotten_below_too(store, lower):
    lower.put(stored())
    assert store.forget(b"k") == 0
    assert lower.kept == {}


@pytest.mark.parametrize("change", ["put", "forget", "replace", "drop"])
async def test_what_happens_while_it_is_read_is_not_undone(store, lower, change):
    old, new = stored(), stored(body=b"newer")
    lower.put(old)
    lower.gate = Barrier()
    reading = asyncio.ensure_future(read(store))
    await lower.gate.reached()
    if change == "replace":
        store.replace(old, new)
    elif change == "forget":
        store.forget(b"k")
    else:
        getattr(store, change)(new if change == "put" else old)
    lower.gate.open()
    assert await reading == ([new] if change == "put" else [])
    lower.gate = Barrier()
    lower.gate.open()
    assert old not in await read(store)


async def test_use_of_what_memory_has_is_told_below_once_a_second(store, lower):
    store.put(stored())
    for seconds in (0.5, 1.5, 1.7):
        store.candidates(b"k", NOW + seconds)
    assert lower.touched == [b"k"]


async def test_a_tier_that_fails_is_a_miss(store, lower, caplog):
    lower.put(stored())
    lower.fault = RuntimeError("out of order")
    assert await read(store) == []
    assert "reading the disk tier failed" in caplog.text
    lower.fault = None
    assert len(await read(store)) == 1


async def test_a_tier_that_hangs_is_a_miss(store, lower, caplog, monkeypatch):
    monkeypatch.setattr(tiered, "LOAD_SECONDS", 0.0)
    lower.put(stored())
    lower.gate = Barrier()
    assert await read(store) == []
    assert "did not answer" in caplog.text


async def test_closing_ends_what_is_being_read(store, lower):
    lower.gate = Barrier()
    reading = asyncio.ensure_future(read(store))
    await lower.gate.reached()
    await store.aclose()
    with pytest.raises(asyncio.CancelledError):
        await reading
