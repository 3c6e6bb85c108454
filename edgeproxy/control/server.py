"""A small HTTP server for few, local and trusted clients, that cannot be held by any of them.

aiohttp reads and writes the messages; this bounds what a client can take: so many connections, one
exchange on each, all of it within a deadline after which the connection is cut. No keep-alive on
purpose: a scraper that connects every fifteen seconds loses nothing, and a connection needs no
other limit than its end. Not for the data path, which has listeners of its own.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable
from typing import cast

from aiohttp import web

# Ours, as everything a client sends here is short: a scraper's fields, a name in a path.
LINE_BYTES_MAX = 4096
FIELD_BYTES_MAX = 4096
FIELDS_MAX = 64
# How long requests that are being answered may take at the end.
SHUTDOWN_SECONDS = 1.0
# aiohttp writes a traceback for every client that speaks no HTTP. What handlers raise is logged by
# `problems`, so nothing of ours is lost.
_unheard = logging.getLogger(f"{__name__}.clients")
_unheard.setLevel(logging.CRITICAL)


def anybody(_transport: asyncio.Transport) -> bool:
    """Admit every client."""
    return True


class SmallServer:
    """Serves an application on sockets that stay the caller's, until closed.

    `seconds_max` is the time from a connection's beginning to its end; `admits` is asked about
    every connection before anything is read from it.
    """

    def __init__(
        self,
        application: web.Application,
        *,
        connections_max: int,
        seconds_max: float,
        admits: Callable[[asyncio.Transport], bool] = anybody,
    ) -> None:
        self.seconds_max = seconds_max
        self._connections_max = connections_max
        self._admits = admits
        self._open: set[_Exchange] = set()
        self._servers: list[asyncio.Server] = []
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=SHUTDOWN_SECONDS,
            logger=_unheard,
            keepalive_timeout=seconds_max,
            lingering_time=0,
            auto_decompress=False,
            max_line_size=LINE_BYTES_MAX,
            max_field_size=FIELD_BYTES_MAX,
            max_headers=FIELDS_MAX,
        )

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

    async def start(self, sockets: Iterable[socket.socket]) -> None:
        """Accept on bound sockets, of the internet or of the file system."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        for sock in sockets:
            create = (
                loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
            )
            self._servers.append(await create(lambda: _Exchange(self), sock=sock.dup()))

    async def aclose(self) -> None:
        """Accept nothing more, give answers a moment, then cut what is left."""
        for server in self._servers:
            server.close()
        await self._runner.cleanup()
        for exchange in list(self._open):
            exchange.cut()
        async with asyncio.timeout(5):
            await self._is_empty.wait()

    # --- for its connections ---

    def joined(
        self, exchange: "_Exchange", transport: asyncio.Transport
    ) -> asyncio.Protocol | None:
        """Take a connection in and return who speaks on it; None: there is no place for it."""
        server = self._runner.server
        if server is None or len(self._open) >= self._connections_max:
            return None
        if not self._admits(transport):
            return None
        self._open.add(exchange)
        self._is_empty.clear()
        return server()

    def left(self, exchange: "_Exchange") -> None:
        """Forget a connection."""
        self._open.discard(exchange)
        if not self._open:
            self._is_empty.set()


class _Exchange(asyncio.Protocol):
    """One connection: aiohttp's protocol, with a deadline around it."""

    def __init__(self, server: SmallServer) -> None:
        self._server = server
        self._inner: asyncio.Protocol | None = None
        self._transport: asyncio.Transport
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or end at once."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's of Unix sockets is none
        self._inner = self._server.joined(self, self._transport)
        if self._inner is None:
            self.cut()
            return
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(self._server.seconds_max, self.cut)
        self._inner.connection_made(transport)

    def cut(self) -> None:
        """End it, whatever is unsent."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Pass on."""
        if self._inner is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass on."""
        return None if self._inner is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        """Pass on."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        if self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        if self._deadline is not None:
            self._deadline.cancel()
        inner, self._inner = self._inner, None
        self._server.left(self)
        if inner is not None:
            inner.connection_lost(exc)
