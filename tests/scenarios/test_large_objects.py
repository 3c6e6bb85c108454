"""What is too large for memory: written to disk while it arrives, and served from there."""

import asyncio
import hashlib
import random

import pytest

from edgeproxy.store.disk import inspection
from tests.support.barrier import Barrier, settle
from tests.support.h2_crowd import h2_crowd
from tests.support.operators import scrape
from tests.support.pop import ENTRY, clock_of_today, running_pop

HUGE = random.Random(2).randbytes(20 * 2**20)
LARGE = HUGE[: 5 * 2**20]

TIERS = """[cache.memory]
size = "16MiB"
max_object = "1MiB"
[cache.disk]
path = "cache"
size = "{size}"
"""
MISS, HIT = "fra1; fwd=uri-miss; stored", "fra1; hit"


def pop_on_disk(folder, *, size="96MiB", **more):
    return running_pop(
        folder,
        rules=ENTRY,
        limits=TIERS.format(size=size),
        listen='metrics = "127.0.0.1:0"',
        **more,
    )


def begin(pop, content=LARGE, **fields):
    """Let the origin have a large object; in the middle a test may hold it."""
    chunks = [content[at : at + 2**16] for at in range(0, len(content), 2**16)]
    reply = pop.origin.on("GET", "/big").reply(200, chunks, cache_control="max-age=60", **fields)
    return reply, len(chunks) // 2


def bodies(folder):
    return [each for each in (folder / "cache" / "bodies").rglob("*") if each.is_file()]


def temporary(folder):
    return [each for each in (folder / "cache" / "temporary").rglob("*") if each.is_file()]


async def nothing_left(pop, folder):
    """Wait until the disk has done what it was told, and see that nothing is reserved."""
    await pop.fills_ended()
    await pop.worker.disk.load(b"another key")
    async with asyncio.timeout(20):
        while pop.worker.disk._queue.operations:
            await settle()
    assert not temporary(folder)
    assert inspection.stats(folder / "cache")["reserved_bytes"] == 0


async def test_a_large_object_is_streamed_while_it_is_stored_and_then_served_from_disk(tmp_path):
    async with pop_on_disk(tmp_path) as pop:
        reply, half = begin(pop, HUGE, etag='"1"')
        reply.pause(half, middle := Barrier())
        async with pop.h2() as client:
            reply = client.send("GET", "/big")
            await reply.first_byte.wait()
            await middle.reached()
            late = client.send("GET", "/big", [("range", "bytes=1000000-1000099")])
            assert bytes((await late.whole()).body) == HUGE[1_000_000:1_000_100]
            assert late.status == 206
            middle.open()
            assert bytes((await reply.whole()).body) == HUGE
            assert reply["cache-status"] == MISS
        await pop.fills_ended()

        again = await pop.curl("/big", "--http2")
        assert again.body == HUGE
        assert again.fields["cache-status"].startswith(HIT)
        assert pop.store.bytes < 10_000
        seen = await scrape(pop.metrics_port)
        assert seen["edge_cache_objects{tier=disk}"] == 1
        await nothing_left(pop, tmp_path)

        part = await pop.curl("/big", "--http1.1", "-r", "10000000-10000999")
        assert (part.status, part.body) == (206, HUGE[10_000_000:10_001_000])
        assert part.fields["content-range"] == f"bytes 10000000-10000999/{len(HUGE)}"
        last = await pop.curl("/big", "--http2", "-r", "-5", "-H", 'if-range: "1"')
        assert (last.status, last.body) == (206, HUGE[-5:])
        other = await pop.curl("/big", "--http1.1", "-r", "-5", "-H", 'if-range: "2"')
        assert (other.status, other.body) == (200, HUGE)
        head = await pop.curl("/big", "--http2", "-I")
        assert (head.status, head.fields["content-length"]) == (200, str(len(HUGE)))
        unchanged = await pop.curl("/big", "--http2", "-H", 'if-none-match: "1"')
        assert (unchanged.status, unchanged.body) == (304, b"")
        beyond = await pop.curl("/big", "--http2", "-r", "30000000-")
        assert beyond.status == 416
        assert pop.origin.requests == 1
        assert pop.worker.disk.open_files == 0
    report = inspection.verify(tmp_path / "cache", is_repair=False, progress=lambda *_: None)
    assert (report.bodies, report.findings, report.leftovers) == (1, [], 0)

    async with pop_on_disk(tmp_path) as pop:  # another process, as far as memory goes
        again = await pop.curl("/big", "--http1.1")
        assert (again.status, again.body) == (200, HUGE)
        assert again.fields["cache-status"].startswith(HIT)
        assert pop.origin.requests == 0
        assert pop.store.bytes < 10_000


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_cold_crowd_is_one_request_to_the_origin(tmp_path, is_chunked):
    async with pop_on_disk(tmp_path) as pop:
        reply, half = begin(pop, LARGE)
        reply.pause(half, middle := Barrier())
        if is_chunked:
            reply.chunked()
        async with h2_crowd(pop.port, pop.ca_file, "/big", connections=5, streams=10) as crowd:
            await crowd.first_bytes()
            await middle.reached()
            # who comes late reads from disk what is not in memory any more
            async with h2_crowd(pop.port, pop.ca_file, "/big", connections=5, streams=10) as late:
                await late.first_bytes()
                middle.open()
                await crowd.ended()
                await late.ended()
                members = [*crowd.members, *late.members]
        assert {member.digest for member in members} == {hashlib.sha256(LARGE).digest()}
        assert all(member.is_whole for member in members)
        assert pop.origin.requests == 1
        await nothing_left(pop, tmp_path)
        assert len(bodies(tmp_path)) == 1
        assert pop.edge._forwarder.filler.room.used == 0


async def test_content_that_breaks_off_leaves_nothing(tmp_path):
    async with pop_on_disk(tmp_path) as pop:
        reply, half = begin(pop)
        reply.cut(half)
        code, content = await pop.curl_exit("/big", "--http2")
        assert code != 0
        assert LARGE.startswith(content)
        await nothing_left(pop, tmp_path)
        assert not bodies(tmp_path)
        assert pop.store.objects == 0


async def test_what_the_budget_has_no_room_for_is_passed_on(tmp_path):
    async with pop_on_disk(tmp_path, size="16MiB") as pop:
        begin(pop, HUGE)
        answer = await pop.curl("/big", "--http2")
        assert answer.body == HUGE
        assert "detail=too-large" in answer.fields["cache-status"]
        await nothing_left(pop, tmp_path)


async def test_content_that_grows_beyond_the_budget_is_passed_on(tmp_path):
    async with pop_on_disk(tmp_path, size="16MiB") as pop:
        begin(pop, HUGE)[0].chunked()
        assert (await pop.curl("/big", "--http2")).body == HUGE
        await nothing_left(pop, tmp_path)
        assert not bodies(tmp_path)


async def test_what_is_stale_is_validated_without_being_read(tmp_path):
    clock = clock_of_today()
    async with pop_on_disk(tmp_path, clock=clock) as pop:
        begin(pop, etag='"1"')
        await pop.curl("/big", "--http2")
        await pop.fills_ended()
        clock.advance(2 * 86_400)
        route = pop.origin.on("GET", "/big")
        route.replies.clear()
        route.reply(304, etag='"1"', cache_control="max-age=60")
        again = await pop.curl("/big", "--http2")
        assert (again.status, again.body) == (200, LARGE)
        assert "fwd-status=304" in again.fields["cache-status"]
        assert (await pop.curl("/big", "--http2", "-I")).fields["cache-status"].startswith(HIT)
        assert pop.origin.requests == 2
    async with pop_on_disk(tmp_path, clock=clock) as pop:  # freshened on disk, too
        assert (await pop.curl("/big", "--http2")).body == LARGE
        assert pop.origin.requests == 0


async def test_another_body_takes_the_place_of_the_one_before(tmp_path):
    clock = clock_of_today()
    async with pop_on_disk(tmp_path, clock=clock) as pop:
        begin(pop, etag='"1"')
        await pop.curl("/big", "--http2")
        await pop.fills_ended()
        clock.advance(2 * 86_400)
        other = LARGE[::-1]
        route = pop.origin.on("GET", "/big")
        route.replies.clear()
        route.reply(200, other, etag='"2"', cache_control="max-age=60")
        for _ in range(2):
            assert (await pop.curl("/big", "--http2")).body == other
            await pop.fills_ended()
        await nothing_left(pop, tmp_path)
        assert len(bodies(tmp_path)) == 1


@pytest.mark.parametrize(("damage", "reason"), [("flip", "digest"), ("remove", "missing_file")])
async def test_a_body_that_was_damaged_is_fetched_again(tmp_path, damage, reason):
    async with pop_on_disk(tmp_path) as pop:
        begin(pop)
        await pop.curl("/big", "--http2")
        await pop.fills_ended()
        [body] = bodies(tmp_path)
        if damage == "flip":
            body.write_bytes(LARGE[:-1] + bytes([LARGE[-1] ^ 1]))
        else:
            body.unlink()
        again = await pop.curl("/big", "--http2")
        assert again.body == LARGE
        assert again.fields["cache-status"] == MISS
        await pop.fills_ended()
        third = await pop.curl("/big", "--http2")
        assert third.body == LARGE
        assert third.fields["cache-status"].startswith(HIT)
        assert pop.origin.requests == 2
        seen = await scrape(pop.metrics_port)
        assert seen[f"edge_disk_faults_total{{reason={reason}}}"] == 1
        await nothing_left(pop, tmp_path)


async def test_what_is_forgotten_while_it_arrives_is_not_stored(tmp_path):
    async with pop_on_disk(tmp_path) as pop:
        reply, half = begin(pop)
        reply.pause(half, middle := Barrier())
        pop.origin.on("POST", "/big").reply(200, b"done")
        async with pop.h2() as client:
            reply = client.send("GET", "/big")
            await middle.reached()
            await pop.curl("/big", "--http2", "-d", "x")
            middle.open()
            assert bytes((await reply.whole()).body) == LARGE
        await nothing_left(pop, tmp_path)
        assert not bodies(tmp_path)
        assert pop.counters.discarded_fills["invalidated"] == 1


async def test_what_is_read_while_it_is_let_go_of_is_read_to_its_end(tmp_path):
    async with pop_on_disk(tmp_path) as pop:
        begin(pop)
        await pop.curl("/big", "--http2")
        await pop.fills_ended()
        async with pop.h2() as client:
            client.grants_windows = False
            reply = client.send("GET", "/big")
            await reply.first_byte.wait()
            pop.edge.forget(list(pop.store._index))
            await nothing_left(pop, tmp_path)
            assert not bodies(tmp_path)
            client.grant(reply)
            assert bytes((await reply.whole()).body) == LARGE


async def test_a_client_that_does_not_take_the_coding_gets_the_origins_answer(tmp_path):
    async with pop_on_disk(tmp_path) as pop:
        begin(pop, content_encoding="gzip", content_type="text/plain")
        coded = await pop.curl("/big", "--http2", "-H", "accept-encoding: gzip")
        assert coded.body == LARGE
        await pop.fills_ended()
        again = await pop.curl("/big", "--http2", "-H", "accept-encoding: gzip")
        assert again.fields["cache-status"].startswith(HIT)
        pop.origin.on("GET", "/big").replies.clear()
        pop.origin.on("GET", "/big").reply(200, b"plain", content_type="text/plain")
        plain = await pop.curl("/big", "--http2")
        assert plain.body == b"plain"
        assert "fwd=vary-miss; detail=coding" in plain.fields["cache-status"]
