"""A TCP listener: accepts on sockets it is given, keeps its connections, ticks and drains them.

It binds nothing: sockets outlive it, so that no reload ever closes one. One timer a second serves
all connections; there is no timer per request.
"""

import asyncio
import logging
import socket
from collections import Counter

from edgeproxy.clock import Clock
from edgeproxy.listeners.connection import Connection, SessionFactory, TlsConnection
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.wire.limits import Limits

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0


class TcpListener:
    """All connections of a set of sockets; `front` is None for a listener in the clear."""

    def __init__(
        self,
        sessions: SessionFactory,
        *,
        clock: Clock,
        limits: Limits,
        front: FrontContext | None = None,
    ) -> None:
        self.clock = clock
        self.limits = limits
        self.refusals: Counter[str] = Counter()
        self._sessions = sessions
        self._front = front
        self._connections: set[Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._ticker: asyncio.TimerHandle | None = None
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._is_draining = False

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    async def start(self, sockets: list[socket.socket]) -> None:
        """Accept on bound sockets, which stay the caller's: a server closes what it was given."""
        loop = asyncio.get_running_loop()
        for sock in sockets:
            own = sock.dup()
            self._servers.append(await loop.create_server(self._accept, sock=own, backlog=2048))
        self._ticker = loop.call_later(TICK_SECONDS, self._tick)

    def _accept(self) -> Connection:
        if self._front is None:
            return Connection(self, self._sessions)
        return TlsConnection(self, self._sessions, self._front)

    def _tick(self) -> None:
        self._ticker = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)
        now = self.clock.monotonic()
        for connection in list(self._connections):
            try:
                connection.tick(now)
            except Exception:  # one faulty session must not take everybody's deadlines away
                log.exception("tick of %s failed", connection.info.client)
                connection.abort()

    async def drain(self, timeout_seconds: float) -> bool:
        """Accept nothing new and let requests in flight finish; False when time ran out."""
        self._is_draining = True
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.drain()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._is_empty.wait()
        except TimeoutError:
            return False
        return True

    async def aclose(self) -> None:
        """Drop what is left."""
        if self._ticker is not None:
            self._ticker.cancel()
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.abort()
        async with asyncio.timeout(5):
            await self._is_empty.wait()

    # --- listeners.connection.Registry ----------------------------------------------------------

    def joined(self, connection: Connection) -> bool:
        """Take a connection in."""
        if len(self._connections) >= self.limits.connections_max or self._is_draining:
            return False
        self._connections.add(connection)
        self._is_empty.clear()
        return True

    def left(self, connection: Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        if not self._connections:
            self._is_empty.set()

    def refused(self, reason: str) -> None:
        """Count."""
        self.refusals[reason] += 1
