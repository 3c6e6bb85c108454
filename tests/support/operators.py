"""What operators use: a small server on loopback to try applications on, curl at sockets."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families as parse

from edgeproxy.control.server import SmallServer
from edgeproxy.runtime.sockets import bind_all, close_all, name_of
from tests.support import clients

SECONDS = 30.0


@asynccontextmanager
async def small_server(
    application: web.Application,
    *,
    connections_max: int = 8,
    seconds_max: float = SECONDS,
    **options,
):
    """Serve an application; yields the server and its port."""
    sockets = bind_all([("127.0.0.1", 0)])
    server = SmallServer(
        application, connections_max=connections_max, seconds_max=seconds_max, **options
    )
    try:
        await server.start(sockets)
        yield server, name_of(sockets[0])[1]
    finally:
        await server.aclose()
        close_all(sockets)


async def ask(port: int, request: bytes, *, ends: bool = False) -> bytes:
    """Send octets, and perhaps their end; return what comes until the connection is closed."""
    async with asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            if ends:
                writer.write_eof()
            return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()


async def curl(url: str, *flags: str, socket: Path | None = None) -> clients.Answer:
    """Run curl, against a Unix socket or a port of loopback."""
    if socket is not None:
        flags = ("--unix-socket", str(socket), *flags)
    return await asyncio.to_thread(clients.curl, url, *flags)


async def curl_json(socket: Path, path: str, *flags: str) -> tuple[int, dict]:
    """Ask a control socket; return status and document."""
    answer = await curl(f"http://localhost{path}", *flags, socket=socket)
    return answer.status, json.loads(answer.body)


async def scrape(port: int) -> dict[str, float]:
    """Return what a metrics listener shows: `name{label=value,...}`, labels in order."""
    answer = await curl(f"http://127.0.0.1:{port}/metrics")
    assert answer.status == 200
    return {
        f"{s.name}{{{','.join(f'{k}={s.labels[k]}' for k in sorted(s.labels))}}}": s.value
        for family in parse(answer.body.decode())
        for s in family.samples
    }
