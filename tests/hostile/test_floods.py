"""Floods over real sockets: the worker ends them by itself, and a good client is served meanwhile.

What each says is what `python -m bench.floods` measures; what a client beside them waits, in
milliseconds, is told there and not here.
"""

import asyncio
import ssl

import pytest

from bench.floods import frames
from bench.floods.attacks import ATTACKS, Attack
from edgeproxy.wire.limits import Limits
from tests.support.barrier import settle
from tests.support.h1_client import PATIENCE_SECONDS
from tests.support.pop import ENTRY, running_pop
from tests.support.transports import drop

# What such a flood is ended for; the rest of the table is slow and not much, and ended by time.
CALM = [
    "rapid reset of misses",
    "rapid reset of hits",
    "PING",
    "SETTINGS",
    "large SETTINGS",
    "PRIORITY",
    "PRIORITY_UPDATE",
    "WINDOW_UPDATE",
    "unknown frames",
    "large unknown frames",
    "empty DATA",
    "DATA of one octet",
    "empty CONTINUATION",
    "CONTINUATION",
    "too many fields (431)",
    "HPACK bomb",
    "names of no length",
    "too many streams",
    "made to reset: WINDOW_UPDATE 0",
    "made to reset: window overflow",
]


def named(name: str) -> Attack:
    return next(attack for attack in ATTACKS if attack.name == name)


async def flood(port: int, attack: Attack) -> bytes:
    """Say what the script says until the server ends it; return the last octets of its answer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost"
    )
    tail = b""

    async def listen() -> None:
        nonlocal tail
        while data := await reader.read(65536):
            tail = (tail + data)[-256:]

    listening = asyncio.ensure_future(listen())
    try:
        for step in attack.script():
            if listening.done() or not isinstance(step, bytes):
                break
            writer.write(step)
            drained = asyncio.ensure_future(writer.drain())
            await asyncio.wait({drained, listening}, return_when=asyncio.FIRST_COMPLETED)
            drained.cancel()
            await asyncio.wait({drained})
        await asyncio.wait({listening})
        if not listening.cancelled() and isinstance(listening.exception(), OSError):
            pass  # reset behind the GOAWAY, which has been read before
        return tail
    finally:
        listening.cancel()
        await asyncio.wait({listening})
        drop(writer)


@pytest.mark.parametrize("name", CALM)
async def test_the_worker_ends_a_flood_and_serves_who_is_beside_it(tmp_path, name: str):
    async with running_pop(tmp_path, rules=ENTRY) as pop, asyncio.timeout(PATIENCE_SECONDS):
        pop.origin.on("GET", "/good").reply(200, b"x", cache_control="max-age=60")
        async with pop.h2() as good:
            assert (await good.get("/good")).status == 200
            ending = asyncio.ensure_future(flood(pop.port, named(name)))
            served = 0
            while not ending.done():
                assert (await good.get("/good")).status == 200
                served += 1
            assert frames.goaway_code(await ending) == "ENHANCE_YOUR_CALM"
            assert served
            assert (await good.get("/good")).status == 200
            await pop.connected(1)
        pop.origin._unscripted.clear()  # what floods ask for has no answer


async def test_one_address_cannot_take_every_place(tmp_path):
    limits = "max_connections = 8\nmax_connections_per_client = 3"
    async with running_pop(tmp_path, limits=limits) as pop:
        listener = pop.worker._listeners[0]
        writers = []
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                for _ in range(6):
                    _, writer = await asyncio.open_connection("127.0.0.1", pop.port)
                    writers.append(writer)
                while listener.refusals["connections_per_client_max"] < 3:
                    await settle()
            assert pop.worker.connections == 3
        finally:
            for writer in writers:
                drop(writer)


def test_the_share_of_one_address_is_a_quarter_if_nothing_is_said():
    assert Limits().connections_per_client_max * 4 == Limits().connections_max
