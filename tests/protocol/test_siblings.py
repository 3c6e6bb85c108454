"""One fill per object over the workers of `edgeproxy serve`, whatever happens to its owner."""

import hashlib
import os
import random
import signal
from contextlib import AsyncExitStack, asynccontextmanager

from edgeproxy.cache.key import cache_key
from edgeproxy.siblings.rendezvous import owner_of
from tests.protocol.test_workers import two_workers
from tests.support.barrier import Barrier
from tests.support.h1_client import h1_client
from tests.support.h2_crowd import h2_crowd
from tests.support.pop import ENTRY

CONTENT = random.Random(5).randbytes(2 * 2**20)
DIGEST = hashlib.sha256(CONTENT).digest()
CHUNKS = [CONTENT[at : at + 2**15] for at in range(0, len(CONTENT), 2**15)]
MINUTE = "max-age=60"
ANSWERED = 'edge_sibling_requests_total{result="answered"}'


def target_of(worker: int, prefix: str = "/o") -> str:
    """A target whose key that worker owns."""
    targets = (f"{prefix}{number}" for number in range(1000))
    return next(
        target
        for target in targets
        if owner_of(cache_key(b"localhost", b"https", target.encode()), 2) == worker
    )


@asynccontextmanager
async def asking(stage, target: str, *, connections: int, streams: int, h1_clients: int):
    """Ask over many connections of both protocols; both workers have some of each."""
    async with AsyncExitStack() as stack:
        crowd = await stack.enter_async_context(
            h2_crowd(
                stage.edge.port,
                stage.place.ca.path,
                target,
                connections=connections,
                streams=streams,
            )
        )
        older = [
            await stack.enter_async_context(h1_client(stage.edge.port, stage.place.ca.path))
            for _ in range(h1_clients)
        ]
        for client in older:
            client.send("GET", target)
        await crowd.heard()
        yield crowd, older


async def test_a_thousand_cold_requests_over_two_workers_are_one_for_the_origin(tmp_path):
    async with two_workers(tmp_path) as stage:
        reply = stage.origin.on("GET", "/cold").reply(200, CHUNKS[0], cache_control=MINUTE)
        reply.hold(held := Barrier())
        size = {"connections": 20, "streams": 48, "h1_clients": 40}
        async with asking(stage, "/cold", **size) as (crowd, older):
            served = await stage.served_by()
            assert min(served.values()) > 0
            await held.reached()
            held.open()
            await crowd.ended()
            replies = [await (await client.reply()).whole() for client in older]
        assert all(member.is_whole for member in crowd.members)
        digest = hashlib.sha256(CHUNKS[0]).digest()
        assert {member.digest for member in crowd.members} == {digest}
        assert {bytes(reply.body) for reply in replies} == {CHUNKS[0]}
        assert stage.origin.requests == 1
        shown = await stage.metrics()
        requests = [n for name, n in shown.items() if name.startswith("edge_requests_total")]
        assert (sum(requests), shown["edge_origin_requests_total"]) == (1000, 1)
        assert shown[ANSWERED] == 1
        assert (await stage.status())["cache"]["memory"]["objects"] == 2


async def test_everybody_has_content_while_the_origin_still_holds_half_of_it(tmp_path):
    async with two_workers(tmp_path) as stage:
        reply = stage.origin.on("GET", "/large").reply(200, CHUNKS, cache_control=MINUTE)
        reply.pause(len(CHUNKS) // 2, middle := Barrier())
        async with asking(stage, "/large", connections=12, streams=8, h1_clients=8) as (
            crowd,
            older,
        ):
            await crowd.first_bytes()
            replies = [await client.reply() for client in older]
            assert all([await reply.piece() for reply in replies])
            assert all(size for size in (await stage.served_by()).values())
            await middle.reached()
            middle.open()
            await crowd.ended()
            assert {member.digest for member in crowd.members} == {DIGEST}
            assert {bytes((await reply.whole()).body) for reply in replies} == {CONTENT}
        assert stage.origin.requests == 1


async def test_what_is_stale_is_validated_once_for_both(tmp_path):
    async with two_workers(tmp_path, rules="") as stage, AsyncExitStack() as stack:
        origin = stage.origin.on("GET", "/stale")
        origin.reply(200, b"x", cache_control="max-age=1", etag='"1"')
        origin.reply(304, cache_control="max-age=600", etag='"1"').hold(held := Barrier())
        clients = [await stage.client_of(stack, worker) for worker in (0, 1)]
        for client in clients:
            assert (await client.get("/stale")).body == b"x"
        for client in clients:  # what is stale may not be said to who wants nothing else
            while (await client.get("/stale", [("cache-control", "only-if-cached")])).status != 504:
                pass
        for client in clients:
            client.send("GET", "/stale")
        await held.reached()
        held.open()
        for client in clients:
            assert (await (await client.reply()).whole()).body == b"x"
        assert stage.origin.requests == 2
        assert stage.origin.received[1].values(b"if-none-match") == [b'"1"']


async def test_an_owner_that_is_killed_breaks_only_its_own_clients(tmp_path):
    target = target_of(1)
    async with two_workers(tmp_path) as stage, AsyncExitStack() as stack:
        reply = stage.origin.on("GET", target).reply(200, CHUNKS, cache_control=MINUTE, etag='"1"')
        reply.pause(len(CHUNKS) // 2, middle := Barrier())
        clients = [await stage.client_of(stack, 0) for _ in range(4)]
        for client in clients:
            client.send("GET", target)
        replies = [await client.reply() for client in clients]
        assert all([await reply.piece() for reply in replies])
        await middle.reached()
        await stage.reborn("worker 1", stage.pids["worker 1"])
        await stage.origin.asked_for(2)  # by whoever waits
        middle.open()
        for reply in replies:
            assert hashlib.sha256((await reply.whole()).body).digest() == DIGEST
        shown = await stage.metrics()
        assert shown['edge_sibling_requests_total{result="resumed"}'] == 1
        assert stage.origin.requests == 2


async def test_an_owner_that_hangs_is_done_without(tmp_path):
    target, other = target_of(1), target_of(1, "/other")
    async with two_workers(tmp_path) as stage, AsyncExitStack() as stack:
        for each in (target, other):
            stage.origin.on("GET", each).reply(200, b"x", cache_control=MINUTE)
        stage.origin.on("POST", target).reply(204, b"")
        client = await stage.client_of(stack, 0)
        os.kill(stage.pids["worker 1"], signal.SIGSTOP)
        assert (await client.get(target)).body == b"x"
        assert (await client.get(other)).body == b"x"
        client.send("POST", target)
        assert (await client.reply()).status == 204
        os.kill(stage.pids["worker 1"], signal.SIGCONT)
        shown = await stage.metrics()
        assert shown['edge_sibling_requests_total{result="gone"}'] == 1
        assert stage.origin.requests == 3


async def test_what_is_one_clients_stays_that_clients(tmp_path):
    target = target_of(1)
    async with two_workers(tmp_path, rules="") as stage, AsyncExitStack() as stack:
        origin = stage.origin.on("GET", target)
        for number in range(3):
            origin.reply(200, b"%d" % number, cache_control="private", set_cookie=f"n={number}")
        for worker, number in ((0, 0), (1, 1), (0, 2)):
            client = await stage.client_of(stack, worker)
            reply = await client.get(target)
            assert (reply.body, reply["set-cookie"]) == (b"%d" % number, f"n={number}")


async def test_variants_are_told_apart_by_both(tmp_path):
    async with two_workers(tmp_path, rules="") as stage, AsyncExitStack() as stack:
        origin = stage.origin.on("GET", "/v")
        for language in (b"de", b"en"):
            origin.reply(200, language, cache_control=MINUTE, vary="accept-language")
        clients = [await stage.client_of(stack, worker) for worker in (0, 1)]
        for language in ("de", "en"):
            for client in clients:
                reply = await client.get("/v", [("accept-language", language)])
                assert reply.body == language.encode()
        assert stage.origin.requests == 2


async def test_a_write_to_one_worker_is_seen_through_the_other_at_once(tmp_path):
    async with two_workers(tmp_path) as stage, AsyncExitStack() as stack:
        clients = [await stage.client_of(stack, worker) for worker in (0, 1)]
        stage.origin.on("POST", "/w").reply(204, b"")
        for number in range(6):
            stage.origin.on("GET", "/w").replies.clear()
            stage.origin.on("GET", "/w").reply(200, b"%d" % number, cache_control=MINUTE)
            one, other = clients[number % 2], clients[1 - number % 2]
            one.send("POST", "/w")
            assert (await one.reply()).status == 204
            assert (await other.get("/w")).body == b"%d" % number
            assert (await one.get("/w")).body == b"%d" % number
        assert stage.origin.requests == 12


async def test_requests_go_on_while_both_take_another_configuration(tmp_path):
    """For a moment a key may mean one thing to its asker and another to its owner."""
    async with two_workers(tmp_path) as stage, AsyncExitStack() as stack:
        path = tmp_path / "edge.toml"
        before = path.read_text()
        after = before.replace(ENTRY, ENTRY.replace('"entry"', '"pass"').replace("/**", "/r0/**"))
        clients = [await stage.client_of(stack, worker) for worker in (0, 1)]
        for number, text in enumerate((after, before)):
            path.write_text(text)
            stage.edge.hang_up()
            for each in range(30):
                target = f"/r{each % 2}/{number}.{each}"
                stage.origin.on("GET", target).reply(200, b"x", cache_control=MINUTE)
                for client in clients:
                    client.send("GET", target)
                for client in clients:
                    assert (await (await client.reply()).whole()).body == b"x"
            await stage.edge.says("configuration reloaded")
        assert 60 <= stage.origin.requests <= 120
