"""A thousand clients on real connections ask at once for one cold megabyte."""

import asyncio
import hashlib
import random
from contextlib import AsyncExitStack

from tests.support.barrier import Barrier
from tests.support.h2_crowd import h2_crowd
from tests.support.pop import ENTRY, running_pop

MEGABYTE = random.Random(1).randbytes(2**20)
DIGEST = hashlib.sha256(MEGABYTE).digest()
CHUNKS = [MEGABYTE[at : at + 2**14] for at in range(0, len(MEGABYTE), 2**14)]

CONNECTIONS, STREAMS, H1_CLIENTS = 20, 48, 40


async def test_one_slow_fetch_feeds_a_thousand_clients_while_it_arrives(tmp_path):
    async with running_pop(tmp_path, rules=ENTRY) as pop, AsyncExitStack() as stack:
        reply = pop.origin.on("GET", "/bundle.js").reply(200, CHUNKS)
        reply.hold(beginning := Barrier()).pause(len(CHUNKS) // 2, middle := Barrier())

        crowd = await stack.enter_async_context(
            h2_crowd(pop.port, pop.ca_file, "/bundle.js", connections=CONNECTIONS, streams=STREAMS)
        )
        older = [await stack.enter_async_context(pop.h1()) for _ in range(H1_CLIENTS)]
        for client in older:
            client.send("GET", "/bundle.js")
        await crowd.heard()
        await beginning.reached()
        beginning.open()

        # Everybody has content while the origin still holds back half of it.
        await crowd.first_bytes()
        replies = [await client.reply() for client in older]
        assert all([await reply.piece() for reply in replies])
        await middle.reached()
        middle.open()

        await crowd.ended()
        async with asyncio.TaskGroup() as group:
            for reply in replies:
                group.create_task(reply.whole())

        assert pop.origin.requests == 1
        assert {member.digest for member in crowd.members} == {DIGEST}
        assert all(member.is_whole for member in crowd.members)
        assert all(reply.body == MEGABYTE for reply in replies)
        statuses = [each["cache-status"] for each in (*crowd.members, *replies)]
        assert statuses.count("fra1; fwd=uri-miss; stored") == 1
        assert statuses.count("fra1; fwd=uri-miss; collapsed") == 999
        assert pop.counters.coalesced == 999
        assert pop.store.objects == 1
