"""A TCP listener: accepts on sockets it is given, keeps its connections, ticks and drains them.

It binds nothing: sockets outlive it, so that no reload ever closes one. One timer serves all
connections, each once a second and never all at once; there is no timer per request. One client's
address has a share of the connections and never all of them.
"""

import asyncio
import logging
import socket
from collections import Counter

from edgeproxy.clock import Clock
from edgeproxy.listeners.connection import Connection, SessionFactory, TlsConnection
from edgeproxy.listeners.turns import Turns
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.wire.limits import Limits

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
# 10,000 ticks in a row are 60 ms in which nobody is served: a twentieth of them at a time is 3.
SLICES = 20
# What was accepted in the turn before a drain is a connection some turns later: uvloop needs one
# for that, asyncio three.
_ACCEPTED_TURNS = 4


class TcpListener:
    """All connections of a set of sockets; `front` is None for a listener in the clear."""

    def __init__(
        self,
        sessions: SessionFactory,
        *,
        clock: Clock,
        limits: Limits,
        front: FrontContext | None = None,
        turns: Turns | None = None,
    ) -> None:
        self.clock = clock
        self.limits = limits
        self.turns = turns or Turns(clock.monotonic)
        self.refusals: Counter[str] = Counter()
        self._sessions = sessions
        self._front = front
        self._connections: dict[Connection, int] = {}  # with the slice that ticks them
        self._slices: list[set[Connection]] = [set() for _ in range(SLICES)]
        self._next_slice = 0
        self._of_household: Counter[str] = Counter()
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
        self._ticker = loop.call_later(TICK_SECONDS / SLICES, self._tick)

    def adopt(self, limits: Limits) -> None:
        """Begin new connections under these limits; nobody who is connected is sent away."""
        self.limits = limits

    def _accept(self) -> Connection:
        if self._front is None:
            return Connection(self, self._sessions)
        return TlsConnection(self, self._sessions, self._front)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._ticker = loop.call_later(TICK_SECONDS / SLICES, self._tick)
        now = self.clock.monotonic()
        due, self._next_slice = self._next_slice, (self._next_slice + 1) % SLICES
        for connection in list(self._slices[due]):
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
        for _ in range(_ACCEPTED_TURNS):
            await asyncio.sleep(0)
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
        self.turns.close()
        for connection in list(self._connections):
            connection.abort()
        async with asyncio.timeout(5):
            await self._is_empty.wait()

    # --- listeners.connection.Registry ----------------------------------------------------------

    def joined(self, connection: Connection) -> bool:
        """Take a connection in."""
        reason = self._why_not(connection)
        if reason:
            self.refusals[reason] += 1
            return False
        slot = min(range(SLICES), key=lambda each: len(self._slices[each]))
        self._slices[slot].add(connection)
        self._connections[connection] = slot
        self._of_household[connection.household] += 1
        self._is_empty.clear()
        if self._is_draining:  # it was accepted before
            asyncio.get_running_loop().call_soon(connection.drain)
        return True

    def _why_not(self, connection: Connection) -> str:
        """Return why there is no place for a connection, "" if there is one."""
        if len(self._connections) >= self.limits.connections_max:
            return "connections_max"
        most = self.limits.connections_per_client_max
        if most and self._of_household[connection.household] >= most:
            return "connections_per_client_max"
        return ""

    def left(self, connection: Connection) -> None:
        """Forget a connection."""
        slot = self._connections.pop(connection, None)
        if slot is not None:
            self._slices[slot].discard(connection)
            name = connection.household
            self._of_household[name] -= 1
            if not self._of_household[name]:
                del self._of_household[name]
        if not self._connections:
            self._is_empty.set()

    def refused(self, reason: str) -> None:
        """Count."""
        self.refusals[reason] += 1
