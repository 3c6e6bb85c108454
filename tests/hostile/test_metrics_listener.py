"""Clients that hold on to the metrics listener: it stays bounded, and the PoP serves."""

import asyncio
import contextlib

import pytest

from edgeproxy.control.metrics import CONNECTIONS_MAX
from tests.support.operators import ask, curl
from tests.support.pop import ENTRY, running_pop


@pytest.fixture
async def pop(tmp_path):
    async with running_pop(tmp_path, rules=ENTRY, listen='metrics = "127.0.0.1:0"') as pop:
        pop.origin.on("GET", "/a").reply(200, b"hello")
        yield pop


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /metrics HTTP/1.1\r\nhost: ", b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n" * 50],
    ids=["nothing", "half a head", "many requests"],
)
async def test_two_hundred_connections(pop, sent):
    held = []
    for _ in range(200):
        held.append(await asyncio.open_connection("127.0.0.1", pop.metrics_port))
        held[-1][1].write(sent)
    # those beyond the limit are closed at once, and requests end their connections
    ended = [asyncio.ensure_future(_until_closed(reader)) for reader, _ in held]
    async with asyncio.timeout(30):
        while sum(task.done() for task in ended) < len(held) - CONNECTIONS_MAX:
            await asyncio.wait(
                [task for task in ended if not task.done()],
                return_when=asyncio.FIRST_COMPLETED,
            )
    assert (await pop.curl("/a", "--http2")).body == b"hello"
    for _, writer in held:
        writer.close()
    await asyncio.wait(ended)
    async with asyncio.timeout(30):
        while (await _status(pop.metrics_port)) != 200:
            pass


@pytest.mark.parametrize(
    "head",
    [
        b"GET /metrics HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + b"x: y\r\n" * 20_000 + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\x00" * 100_000,
    ],
    ids=["field", "fields", "target", "zeros"],
)
async def test_heads_of_any_size(pop, head, caplog):
    assert b" 200 " not in (await ask(pop.metrics_port, head))[:20]
    assert (await curl(f"http://127.0.0.1:{pop.metrics_port}/metrics")).status == 200
    assert caplog.records == []


async def test_content_that_nobody_asked_for(pop):
    head = b"GET /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n"
    answer = await ask(pop.metrics_port, head + bytes(100_000))
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413 ")
    assert (await curl(f"http://127.0.0.1:{pop.metrics_port}/healthz")).status == 200


async def _until_closed(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionResetError):
        await reader.read()


async def _status(port: int) -> int:
    answer = await ask(port, b"GET /healthz HTTP/1.0\r\n\r\n")
    return int(answer[9:12] or 0)
