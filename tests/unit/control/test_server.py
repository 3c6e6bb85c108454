import asyncio
import socket

import pytest
from aiohttp import web

from edgeproxy.control.server import LINE_BYTES_MAX, SmallServer
from tests.support.barrier import settle
from tests.support.operators import ask, small_server

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
LARGE = b"x" * 16 * 2**20


def app(handler=None) -> web.Application:
    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    made = web.Application()
    made.router.add_get("/", handler or hello)
    return made


async def connections(server: SmallServer, count: int) -> None:
    async with asyncio.timeout(20):
        while server.connections != count:
            await settle()


async def test_it_answers():
    async with small_server(app()) as (_, port):
        answer = await ask(port, GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HTTP/1.1\r\nx: y", b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nab"],
    ids=["nothing", "half a head", "half a body"],
)
async def test_a_slow_client_is_cut_off(sent):
    async def read(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async with small_server(app(read), seconds_max=0.05) as (server, port):
        assert b"200" not in await ask(port, sent)
        await connections(server, 0)


async def test_a_client_that_takes_nothing_is_cut_off():
    async def large(_request: web.Request) -> web.Response:
        return web.Response(body=LARGE)

    async with small_server(app(large), seconds_max=0.05) as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**10)
        writer.write(GET)
        await connections(server, 1)
        await connections(server, 0)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(len(LARGE))
        writer.close()


async def test_beyond_the_limit_a_connection_is_closed_at_once():
    async with small_server(app(), connections_max=2) as (server, port):
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await connections(server, 2)
        assert await ask(port, GET) == b""
        for _, writer in held:
            writer.close()
        await connections(server, 0)
        assert b"hello" in await ask(port, GET.replace(b"1.1", b"1.0"))


async def test_who_is_not_admitted_is_not_read_from():
    def nobody(_transport: asyncio.Transport) -> bool:
        return False

    async with small_server(app(), admits=nobody) as (server, port):
        assert await ask(port, GET) == b""
        assert server.connections == 0


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 2 * LINE_BYTES_MAX + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"a" * 2 * LINE_BYTES_MAX + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 100 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is TLS\r\n\r\n",
    ],
    ids=["target", "field", "fields", "tls"],
)
async def test_what_is_too_large_or_no_http_is_refused_without_a_word_in_the_log(head, caplog):
    async with small_server(app()) as (_, port):
        assert (await ask(port, head)).startswith(b"HTTP/1.")
    assert caplog.records == []


async def test_closing_cuts_what_is_left():
    async with small_server(app()) as (server, port):
        reader, _writer = await asyncio.open_connection("127.0.0.1", port)
        await connections(server, 1)
    assert await reader.read() == b""
    assert server.connections == 0
    _writer.close()


async def test_closing_without_a_start_is_harmless():
    await SmallServer(app(), connections_max=1, seconds_max=1).aclose()


async def test_it_serves_unix_sockets_too(tmp_path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        server = SmallServer(app(), connections_max=1, seconds_max=20)
        await server.start([sock])
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(GET)
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
        writer.close()
        await server.aclose()
