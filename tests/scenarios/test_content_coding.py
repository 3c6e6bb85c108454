"""Codings where somebody is hostile or in a hurry: bombs, broken content, refusals, a crowd.

Over HTTP/1.1 and HTTP/2 with real sockets. What everyday clients get is in `test_codings.py`.
"""

import asyncio
import hashlib
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from edgeproxy.cache.codings import COMPRESSED_BYTES_MIN
from edgeproxy.coding.encoders import encoder
from tests.support.barrier import Barrier
from tests.support.coded import CODE, DECODE
from tests.support.h1_client import CutError
from tests.support.h2_client import StreamBrokenError
from tests.support.h2_crowd import h2_crowd
from tests.support.pop import ENTRY, running_pop
from tests.support.rows import PROTOCOLS

OURS = ("br", "zstd", "gzip")
TEXT = b"".join(b"function f%d() { return %d; }\n" % (n, n * n) for n in range(70_000))[: 2 << 20]
SMALL = TEXT[:20_000]
MIB = 1 << 20
SCRIPT = {"content_type": "text/javascript", "cache_control": "max-age=60", "etag": '"v1"'}
BROKEN = (CutError, StreamBrokenError)


def bomb(coding: str, mebibytes: int) -> bytes:
    one, blank = encoder(coding.encode(), level="fast"), bytes(MIB)
    return b"".join(one.feed(blank) for _ in range(mebibytes)) + one.finish()


async def ask(pop, protocol: str, path: str, accepted: str | None, *, method: str = "GET"):
    """Ask on a connection of its own."""
    fields = [] if accepted is None else [("accept-encoding", accepted)]
    async with getattr(pop, protocol)() as client:
        sent = client.send(method, path, fields)
        reply = await client.reply() if protocol == "h1" else sent
        return await reply.whole()


def decoded(reply) -> bytes:
    return DECODE[reply["content-encoding"] or "identity"](bytes(reply.body))


@pytest.fixture(params=PROTOCOLS)
def protocol(request) -> str:
    return request.param


@pytest.mark.parametrize("coding", OURS)
async def test_a_bomb_is_passed_on_as_it_is_but_never_unfolds_here(tmp_path, protocol, coding):
    folded = bomb(coding, 200)
    async with running_pop(tmp_path, rules=ENTRY) as pop:
        pop.origin.on("GET", "/bomb").reply(200, folded, content_encoding=coding, **SCRIPT)
        whole = await ask(pop, protocol, "/bomb", coding)
        assert bytes(whole.body) == folded
        other = "gzip" if coding != "gzip" else "br"
        for accepted in (None, other, None, other):
            # The origin has nothing else, and what it has is no worse for being asked again.
            reply = await ask(pop, protocol, "/bomb", accepted)
            assert (bytes(reply.body), reply["content-encoding"]) == (folded, coding)
        # Each coding is tried once; what is short is not worth any but identity.
        assert pop.counters.coding_failures == (1 if len(folded) < COMPRESSED_BYTES_MIN else 2)
        assert pop.store.bytes < MIB
        again = await ask(pop, protocol, "/bomb", coding)
        assert again["cache-status"].startswith("fra1; hit")


@pytest.mark.parametrize("coding", OURS)
async def test_a_bomb_that_arrives_is_broken_off(tmp_path, protocol, coding):
    folded = bomb(coding, 200)
    async with running_pop(tmp_path, rules=ENTRY) as pop:
        reply = pop.origin.on("GET", "/bomb").reply(
            200, [folded[:50], folded[50:]], content_encoding=coding, **SCRIPT
        )
        reply.pause(1, barrier := Barrier())
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(broken(pop, protocol, "/bomb", None))
            await barrier.reached()
            barrier.open()
        assert asking.result() <= 2 * MIB
        assert pop.counters.coding_failures == 1
        assert bytes((await ask(pop, protocol, "/bomb", coding)).body) == folded


async def broken(pop, protocol: str, path: str, accepted: str | None) -> int:
    """Ask for what breaks off; return how much came before it did."""
    fields = [] if accepted is None else [("accept-encoding", accepted)]
    async with getattr(pop, protocol)() as client:
        sent = client.send("GET", path, fields)
        reply = await client.reply() if protocol == "h1" else sent
        with pytest.raises(BROKEN):
            await reply.whole()
        return len(reply.body)


@pytest.mark.parametrize("coding", OURS)
async def test_what_is_not_in_its_coding_reaches_only_who_asked_for_it_so(
    tmp_path, protocol, coding
):
    corrupt = CODE[coding](SMALL)[:-9]
    async with running_pop(tmp_path, rules=ENTRY) as pop:
        route = pop.origin.on("GET", "/corrupt")
        route.reply(200, corrupt, content_encoding=coding, **SCRIPT)
        route.reply(200, SMALL, **SCRIPT)
        assert bytes((await ask(pop, protocol, "/corrupt", coding)).body) == corrupt
        for _ in range(2):
            plain = await ask(pop, protocol, "/corrupt", None)
            assert (bytes(plain.body), plain["content-encoding"]) == (SMALL, "")
        assert pop.counters.coding_failures == 1  # it is tried once, not for every client


@pytest.mark.parametrize(
    ("accepted", "status", "coding"),
    [
        ("identity;q=0", 200, "gzip"),
        ("identity;q=0, zstd;q=0.1", 200, "zstd"),
        ("identity;q=0, gzip;q=0", 200, "br"),
        ("*", 200, "br"),
        ("*;q=0, identity", 200, ""),
        ("*;q=0", 406, ""),
        ("identity;q=0, *;q=0", 406, ""),
        ("deflate, compress", 200, ""),
        ("br;q=1.5, gzip;q=00, zstd;q=-1", 200, ""),
        ("x" * 2000 + ", br", 200, ""),
        (", ".join(f"c{n}" for n in range(64)) + ", br", 200, ""),
    ],
)
async def test_refusals_and_nonsense(tmp_path, protocol, accepted, status, coding):
    async with running_pop(tmp_path, rules=ENTRY) as pop:
        pop.origin.on("GET", "/a").reply(200, SMALL, **SCRIPT)
        for _ in range(2):
            reply = await ask(pop, protocol, "/a", accepted)
            assert (reply.status, reply["content-encoding"]) == (status, coding)
            assert status == 406 or decoded(reply) == SMALL
        assert pop.origin.requests == 1


async def test_what_is_too_large_to_keep_is_coded_while_it_passes(tmp_path, protocol):
    memory = '[cache.memory]\nsize = "4MiB"\nmax_object = "1MiB"\n'
    async with running_pop(tmp_path, rules=ENTRY + memory) as pop:
        pop.origin.on("GET", "/large").reply(200, TEXT, **SCRIPT)
        for accepted in ("gzip", None):
            reply = await ask(pop, protocol, "/large", accepted)
            assert decoded(reply) == TEXT
        assert pop.store.objects == 0


@asynccontextmanager
async def crowd_of(pop, path: str, clients: int):
    """Let that many HTTP/2 clients ask at once, a quarter of them for each coding."""
    async with AsyncExitStack() as stack:
        size = {"connections": 4, "streams": clients // 16}
        yield {
            coding: await stack.enter_async_context(
                h2_crowd(pop.port, pop.ca_file, path, accepting=coding, **size)
            )
            for coding in (*OURS, "")
        }


async def test_500_clients_of_a_cold_text_cost_one_fetch_and_one_coding_each(tmp_path):
    assert len(TEXT) == 2 * MIB
    async with running_pop(tmp_path, rules=ENTRY) as pop:
        pop.origin.on("GET", "/a.js").reply(200, TEXT, **SCRIPT).hold(barrier := Barrier())
        async with crowd_of(pop, "/a.js", 512) as crowds, AsyncExitStack() as stack:
            older = [await stack.enter_async_context(pop.h1()) for _ in OURS]
            for client, coding in zip(older, OURS, strict=True):
                client.send("GET", "/a.js", [("accept-encoding", coding)])
            for crowd in crowds.values():
                await crowd.heard()
            await barrier.reached()
            barrier.open()
            replies = [await (await client.reply()).whole() for client in older]
            for crowd in crowds.values():
                await crowd.ended()
        assert pop.origin.requests == 1
        made = {step: n for step, n in pop.counters.codings.items() if step.endswith("fast")}
        assert made == {f"identity {coding} fast": 1 for coding in OURS}
        for coding, reply in zip(OURS, replies, strict=True):
            assert (reply["content-encoding"], decoded(reply)) == (coding, TEXT)
            digest = hashlib.sha256(reply.body).digest()
            members = crowds[coding].members
            assert {member.digest for member in members} == {digest}
        assert {m.digest for m in crowds[""].members} == {hashlib.sha256(TEXT).digest()}
        everybody = [member for crowd in crowds.values() for member in crowd.members]
        assert len(everybody) == 512
        assert all(member.is_whole for member in everybody)
        assert {member["vary"] for member in everybody} == {"Accept-Encoding"}
