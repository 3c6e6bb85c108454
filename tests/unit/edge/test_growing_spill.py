"""A growing body that is kept in a spill: read by all, however late, from memory or from there."""

import asyncio
import random

import pytest

from edgeproxy.edge import growing
from edgeproxy.edge.growing import GrowingBody, Reader
from edgeproxy.errors import StoreError, UpstreamError
from tests.support.barrier import Barrier, settle
from tests.support.lower import Octets

CONTENT = random.Random(3).randbytes(4000)
PIECES = [CONTENT[at : at + 10] for at in range(0, len(CONTENT), 10)]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(growing, "SPILL_BYTES", 50)
    monkeypatch.setattr(growing, "READ_BYTES", 50)
    monkeypatch.setattr(growing, "_WRITTEN_BYTES_MAX", 200)


def spilling(window: int = 100, keep: int = 10_000) -> tuple[GrowingBody, Octets]:
    body = GrowingBody(keep_bytes_max=1, window_bytes=window, on_abandoned=lambda: None)
    spill = Octets()
    body.spill(spill, keep)
    return body, spill


async def grow(body: GrowingBody, pieces=PIECES) -> None:
    for piece in pieces:
        assert await body.append(piece)


async def whole(reader: Reader) -> bytes:
    return b"".join([chunk async for chunk in reader])


def held(body: GrowingBody) -> int:
    return sum(map(len, body._chunks))


async def test_only_a_window_stays_in_memory_and_everything_is_in_the_spill():
    body, spill = spilling()
    for piece in PIECES:
        assert await body.append(piece)
        assert held(body) <= 100 + 50 + 10
    body.finish()
    assert await body.written() is spill
    assert bytes(spill.content) == CONTENT
    assert body.is_spilling
    assert held(body) <= 110


async def test_who_comes_late_reads_what_is_not_in_memory_any_more():
    body, spill = spilling()
    early = body.read()
    await grow(body, PIECES[:200])
    middle = body.read()
    first = [await anext(middle) for _ in range(3)]
    assert spill.reads[0] == (0, 50)
    await grow(body, PIECES[200:])
    body.finish()
    late = body.read()
    assert await whole(early) == CONTENT
    assert b"".join(first) + await whole(middle) == CONTENT
    assert await whole(late) == CONTENT


async def test_readers_go_along_with_the_writer_without_the_spill():
    body, spill = spilling()
    reading = asyncio.ensure_future(whole(body.read()))
    for piece in PIECES:
        await body.append(piece)
        await settle(2)
    body.finish()
    assert await reading == CONTENT
    assert not spill.reads


@pytest.mark.parametrize(
    ("first", "last"), [(0, 0), (5, 77), (1000, 1049), (3985, 3999), (0, 3999)]
)
async def test_a_range_reads_only_what_it_wants(first: int, last: int):
    body, spill = spilling()
    await grow(body)
    body.finish()
    assert await whole(body.read().only(first, last)) == CONTENT[first : last + 1]
    start = body._start
    assert all(first <= at and at + size <= min(last + 1, start) for at, size in spill.reads)


async def test_a_range_that_is_still_to_come_is_waited_for():
    body, _ = spilling()
    waiting = asyncio.ensure_future(whole(body.read().only(3000, 3009)))
    await grow(body)
    assert await waiting == CONTENT[3000:3010]


async def test_the_writer_waits_for_the_disk_and_for_no_reader():
    body, spill = spilling()
    body.read()
    spill.gate = Barrier()
    writing = asyncio.ensure_future(grow(body))
    await spill.gate.reached()
    assert body.length == 50
    assert not writing.done()
    spill.gate.open()
    await writing


async def test_what_was_kept_before_is_written_bit_by_bit():
    body = GrowingBody(keep_bytes_max=1000, window_bytes=100, on_abandoned=lambda: None)
    early = body.read()
    await grow(body, PIECES[:100])
    spill = Octets()
    body.spill(spill, 10_000)
    await grow(body, PIECES[100:])
    body.finish()
    await body.written()
    assert bytes(spill.content) == CONTENT
    assert await whole(early) == CONTENT


async def test_a_disk_that_fails_turns_it_to_passing_and_costs_no_reader():
    body, spill = spilling()
    early, behind = body.read(), body.read()
    await grow(body, PIECES[:200])
    assert await anext(behind) == CONTENT[:50]
    reading = asyncio.ensure_future(whole(early))
    await settle()
    failing, fine = Octets(), spill
    failing.fault = StoreError("no space")
    spill.write = failing.write  # the writes fail, what was written can be read
    rest = asyncio.ensure_future(whole(behind))
    writing = asyncio.ensure_future(grow(body, PIECES[200:]))
    await writing
    assert not body.is_keeping
    body.finish()
    assert await reading == CONTENT
    assert await rest == CONTENT[50:]
    assert fine.is_closed
    assert await body.written() is None


async def test_when_the_disk_fails_the_writer_waits_for_who_is_behind():
    body, spill = spilling()
    behind = body.read()
    await grow(body, PIECES[:200])
    spill.fault = StoreError("no space")
    writing = asyncio.ensure_future(grow(body, PIECES[200:]))
    await settle(200)
    assert not writing.done()
    assert held(body) < 500
    assert not spill.is_closed
    behind.close()
    await settle()
    assert spill.is_closed
    assert body.is_abandoned
    writing.cancel()


async def test_what_cannot_be_read_back_is_an_error_for_who_needs_it():
    body, spill = spilling()
    behind = body.read()
    await grow(body)
    spill.fault = StoreError("gone")
    with pytest.raises(UpstreamError) as caught:
        await anext(behind)
    assert caught.value.word == "proxy_internal_error"
    body._spill = None
    with pytest.raises(UpstreamError):
        await anext(behind)


async def test_content_that_outgrows_the_spill_too_passes():
    body, spill = spilling(keep=100)
    reader = body.read()
    reading = asyncio.ensure_future(whole(reader))
    await grow(body)
    body.finish()
    assert await reading == CONTENT
    assert not body.is_keeping
    assert spill.is_closed


async def test_the_spill_is_open_until_the_writer_and_all_who_are_behind_let_go():
    body, spill = spilling()
    behind = body.read()
    await grow(body)
    body.finish()
    assert not spill.is_closed
    body.let_go()
    assert not spill.is_closed
    assert await whole(behind) == CONTENT
    assert spill.is_closed
    assert not body.is_keeping
    body.let_go()


async def test_a_failure_comes_behind_what_was_written():
    body, spill = spilling()
    behind = body.read()
    await grow(body)
    body.fail(UpstreamError("http_response_incomplete", 502))
    body.let_go()
    got = b""
    while len(got) < len(CONTENT):
        got += await anext(behind)
    with pytest.raises(UpstreamError):
        await anext(behind)
    assert got == CONTENT
    behind.close()
    assert spill.is_closed


async def test_a_window_of_nothing_leaves_all_to_the_spill():
    body, _ = spilling(window=0)
    reader = body.read().only(2000, 3000)
    await grow(body)
    body.finish()
    assert await whole(reader) == CONTENT[2000:3001]
    last = body.read().only(3999, 3999)
    assert await whole(last) == CONTENT[-1:]
