import asyncio
import hashlib

import pytest

from edgeproxy.store.disk import inspection
from edgeproxy.store.disk.store import DiskStore
from tests.support.clock import ManualClock
from tests.support.privileges import without_privileges
from tests.support.stored import NOW, stored

BUDGET = 16 * 1024**2


@pytest.fixture
async def store(tmp_path):
    disk = DiskStore(tmp_path / "cache", BUDGET, clock=ManualClock())
    await disk.start()
    yield disk
    await disk.aclose()


def variant(language, body=b"body", at=NOW):
    line = (b"accept-language", language)
    fields = [(b"vary", b"Accept-Language")]
    return stored(b"k", body, fields=fields, request_fields=[line], response_time=at)


def bodies(responses):
    return [response.body for response in responses]


def body_file(folder, body=b"body"):
    name = hashlib.sha256(body).hexdigest()
    return folder / "cache" / "bodies" / name[0] / name[1] / name


async def test_what_was_put_is_loaded_newest_last(store):
    store.put(variant(b"de", b"eins"))
    store.put(variant(b"en", b"one"))
    store.put(variant(b"de", b"zwei"))
    assert bodies(await store.load(b"k")) == [b"one", b"zwei"]
    assert store.objects == 2


async def test_what_was_put_survives_a_restart(store, tmp_path):
    store.put(variant(b"de"))
    await store.aclose()
    again = DiskStore(tmp_path / "cache", BUDGET, clock=ManualClock())
    await again.start()
    assert bodies(await again.load(b"k")) == [b"body"]
    await again.aclose()


async def test_forget_takes_puts_along_that_were_asked_for_before(store):
    store.put(stored())
    store.forget(b"k")
    assert await store.load(b"k") == ()


async def test_a_freshened_response_has_the_same_body(store):
    old, new = stored(), stored(response_time=NOW + 5)
    store.put(old)
    store.replace(old, new)
    [found] = await store.load(b"k")
    assert found.response_time == NOW + 5
    store.replace(old, stored(response_time=NOW + 9))
    [found] = await store.load(b"k")
    assert found.response_time == NOW + 5


async def test_only_that_very_response_is_dropped(store):
    store.put(stored())
    store.drop(stored(response_time=NOW + 1))
    assert len(await store.load(b"k")) == 1
    store.drop(stored())
    assert await store.load(b"k") == ()


async def test_the_least_recently_used_goes(store):
    for number in range(20):
        store.put(stored(b"k%d" % number, bytes([number]) * 1024**2))
        store._clock.advance(6)
        await store.load(b"k0")
    assert await store.load(b"k0")
    assert await store.load(b"k1") == ()
    assert store.bytes <= BUDGET
    assert store.evictions > 0


async def test_a_flipped_byte_a_truncated_and_a_deleted_file_are_misses(store, tmp_path):
    file = body_file(tmp_path)
    for break_it in (
        lambda: file.write_bytes(b"bodY"),
        lambda: file.write_bytes(b"bo"),
        file.unlink,
    ):
        store.put(stored())
        assert await store.load(b"k")
        break_it()
        assert await store.load(b"k") == ()
    assert store.faults == {"digest": 2, "missing_file": 1}
    assert store.objects == 0


@pytest.mark.parametrize("content", [b"no database at all" * 400, b""])
async def test_a_broken_index_is_set_aside(tmp_path, content):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "index.sqlite").write_bytes(content)
    store = DiskStore(tmp_path / "cache", BUDGET, clock=ManualClock())
    await store.start()
    assert store.is_usable
    store.put(stored())
    assert len(await store.load(b"k")) == 1
    await store.aclose()


async def test_a_folder_that_may_not_be_written_is_a_tier_without_anything(tmp_path):
    tmp_path.chmod(0o555)
    with without_privileges():
        store = DiskStore(tmp_path / "cache", BUDGET, clock=ManualClock())
        await store.start()
        assert not store.is_usable
        store.put(stored())
        assert await store.load(b"k") == ()
        await store.aclose()
    assert store.faults["read_only"] == 1


async def test_two_stores_share_a_folder(store, tmp_path):
    other = DiskStore(tmp_path / "cache", BUDGET, clock=ManualClock())
    await other.start()
    for number in range(30):
        store.put(stored(b"a%d" % number, b"%d" % number * 1000))
        other.put(stored(b"b%d" % number, b"%d" % number * 1000))
    for number in range(30):
        assert await store.load(b"b%d" % number) or await other.load(b"b%d" % number)
        assert await other.load(b"a%d" % number) or await store.load(b"a%d" % number)
    await other.aclose()
    await store.aclose()
    report = inspection.verify(tmp_path / "cache", is_repair=False, progress=lambda *_: None)
    assert (report.findings, report.responses, report.bodies) == ([], 60, 30)


async def test_a_full_queue_drops_the_put_but_not_what_it_outdates(tmp_path):
    store = DiskStore(tmp_path / "cache", BUDGET, clock=ManualClock(), queued_bytes_max=100)
    await store.start()
    store.put(stored())
    await store.load(b"k")
    store.put(stored(body=b"." * 200))
    assert await store.load(b"k") == ()
    assert store.faults == {"queue_full": 1}
    await asyncio.wait_for(store.aclose(), 20)


async def test_an_index_that_breaks_while_it_is_used_is_begun_anew(store, tmp_path):
    store.put(stored())
    assert await store.load(b"k")
    for name in ("index.sqlite", "index.sqlite-wal"):
        path = tmp_path / "cache" / name
        path.write_bytes(b"nothing" * (path.stat().st_size // 7))
    for number in range(300):
        store.put(stored(b"k%d" % number, b"%d" % number))
    assert await store.load(b"other") == ()
    store._clock.advance(60)
    while not await store.load(b"new"):
        store._clock.advance(60)
        store.put(stored(b"new"))
    assert store.is_usable  # by a new index, or by one that was never read from the file again


async def test_what_nobody_remembers_to_forget_is_let_go_of(store, monkeypatch):
    store.put(stored())
    assert await store.load(b"k")
    monkeypatch.setattr("edgeproxy.store.disk.store.OPERATIONS_MAX", 0)
    store.forget(b"k")
    assert await store.load(b"k") == ()
    await store.aclose()
    assert store.objects == 0
