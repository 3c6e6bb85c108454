"""Whose content comes first, over real connections: RFC 9218 section 10, as a client sees it."""

import asyncio

import pytest

from tests.support.barrier import settle
from tests.support.pop import ENTRY, running_pop

SIZE = 8 * 2**20  # more than buffers on the way hold


@pytest.fixture
async def pop(tmp_path):
    async with running_pop(tmp_path, rules=ENTRY) as pop:
        pop.origin.on("GET", "/large").reply(200, bytes(SIZE), etag='"1"')
        async with pop.h2() as client:
            await client.get("/large")
        yield pop


def ask(client, *priorities: str):
    return [client.send("GET", "/large", [("priority", each)]) for each in priorities]


async def arrived(replies, size: int) -> None:
    async with asyncio.timeout(20):
        while sum(len(reply.body) for reply in replies) < size:
            await settle()


def reprioritise(client, reply, value: bytes) -> None:
    payload = reply.stream_id.to_bytes(4, "big") + value
    client._writer.write(len(payload).to_bytes(3, "big") + b"\x10\0\0\0\0\0" + payload)


async def test_one_after_the_other_unless_asked_otherwise(pop):
    async with pop.h2(window=2**30) as client:
        first, second = ask(client, "u=3", "u=3")
        await arrived([second], 1)
        assert len(first.body) == SIZE


async def test_what_is_urgent_overtakes(pop):
    async with pop.h2(window=2**30) as client:
        early = ask(client, "u=5", "u=5")
        await arrived(early, 1)
        (late,) = ask(client, "u=1")
        await late.whole()
        assert sum(len(reply.body) for reply in early) < SIZE


async def test_incremental_responses_share(pop):
    async with pop.h2(window=2**30) as client:
        replies = ask(client, "u=3, i", "u=3, i", "u=3, i")
        await arrived(replies, SIZE)
        sizes = [len(reply.body) for reply in replies]
        assert max(sizes) - min(sizes) < SIZE // 8


@pytest.mark.parametrize("priority", ["u=4", "u=4, i"])
async def test_a_client_may_change_its_mind(pop, priority):
    async with pop.h2(window=2**30) as client:
        *others, chosen = ask(client, priority, priority, priority)
        await arrived(others, 2**20)
        reprioritise(client, chosen, b"u=0")
        await chosen.whole()
        assert all(not other.is_whole for other in others)
        assert sum(len(other.body) for other in others) < SIZE


async def test_a_priority_may_come_before_its_request(pop):
    async with pop.h2(window=2**30) as client:
        others = ask(client, "u=2", "u=2")
        client._writer.write(b"\0\0\x07\x10\0\0\0\0\0" + (5).to_bytes(4, "big") + b"u=0")
        (chosen,) = ask(client, "u=7")
        await chosen.whole()
        assert all(not other.is_whole for other in others)
