"""Large bodies over two tiers: the response above, the body below, and which word is the later."""

import asyncio
import dataclasses

import pytest

from edgeproxy.cache.stored import LargeBody
from edgeproxy.store.memory import MemoryStore
from edgeproxy.store.tiered import TieredStore
from tests.support.barrier import Barrier
from tests.support.lower import DictLower, Octets
from tests.support.stored import NOW, stored

LARGE = 1 << 20
BODY = b"x" * 10_000


def large(body=BODY, **more):
    return dataclasses.replace(stored(body=body, **more), body=LargeBody(len(body)))


@pytest.fixture
def lower():
    made = DictLower()
    made.large_bytes_max = LARGE
    return made


@pytest.fixture
async def store(lower):
    made = TieredStore(LARGE, 4096, lower)
    yield made
    await made.aclose()


async def commit(store, response):
    spill = await store.begin(len(response.body))
    await spill.write([BODY])
    return await store.commit(spill, response)


async def test_memory_alone_has_no_large_bodies():
    store = MemoryStore(LARGE, 4096)
    assert store.large_bytes_max == 0
    assert await store.begin(1) is None
    assert not await store.commit(Octets(), large())
    assert await store.open(large()) is None


async def test_what_is_committed_is_kept_above_and_its_body_below(store, lower):
    made = large()
    assert store.large_bytes_max == LARGE
    assert await commit(store, made)
    assert store.candidates(b"k", NOW) == (made,)
    assert store.bytes < 4096
    body = await store.open(made)
    assert await body.read(0, 5) == b"xxxxx"


async def test_what_could_not_be_committed_takes_the_older_one_along(store, lower):
    store.put(stored())
    other = stored(
        fields=[(b"vary", b"accept")], request_fields=[(b"accept", b"text/html")], body=b"other"
    )
    store.put(other)
    lower.refuses.add("commit")
    assert not await commit(store, large())
    assert store.candidates(b"k", NOW) == (other,)


async def test_what_is_read_back_stays_below(store, lower):
    lower.put(stored(body=BODY))
    reading = store.reading(b"k")
    assert reading is not None
    await reading
    [found] = store.candidates(b"k", NOW)
    assert found.body == LargeBody(len(BODY))


async def test_what_just_fits_by_itself_but_not_with_its_fields_stays_below(store, lower):
    lower.put(stored(body=b"x" * 4000))
    await store.reading(b"k")
    [found] = store.candidates(b"k", NOW)
    assert found.body == LargeBody(4000)


async def test_what_is_not_to_be_had_any_more_is_not_kept_above_either(store, lower):
    made = large()
    await commit(store, made)
    lower.large.clear()
    assert await store.open(made) is None
    assert store.candidates(b"k", NOW) == ()


@pytest.mark.parametrize("change", ["forget", "put"])
async def test_the_later_word_counts_while_it_is_committed(store, lower, change):
    lower.commits = Barrier()
    committing = [asyncio.ensure_future(commit(store, large())) for _ in range(2)]
    await lower.commits.reached(2)
    newer = stored(response_time=NOW + 1)
    if change == "forget":
        store.forget(b"k")
    else:
        store.put(newer)
    lower.commits.open()
    assert await asyncio.gather(*committing) == [False, False]
    assert store.candidates(b"k", NOW) == (() if change == "forget" else (newer,))
    assert await commit(store, large())  # only what was under way was overtaken


async def test_what_is_freshened_or_dropped_meanwhile_gives_way(store, lower):
    old = stored()
    store.put(old)
    lower.commits = Barrier()
    made = large(response_time=NOW + 2)
    committing = asyncio.ensure_future(commit(store, made))
    await lower.commits.reached()
    store.replace(old, dataclasses.replace(old, response_time=NOW + 1))
    store.drop(old)
    lower.commits.open()
    assert await committing
    assert store.candidates(b"k", NOW) == (made,)


async def test_what_is_read_while_another_is_committed_is_not_the_latest(store, lower):
    lower.put(stored())
    lower.gate = Barrier()
    reading = asyncio.ensure_future(store.reading(b"k"))
    await lower.gate.reached()
    made = large()
    assert await commit(store, made)
    lower.gate.open()
    await reading
    assert store.candidates(b"k", NOW) == (made,)
