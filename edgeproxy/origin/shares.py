"""How many connections to an origin one client may have to itself: never all of them.

What is uploaded, and what is passed through, goes at the client's pace. One that dawdles over a
hundred streams would hold the whole pool, and nobody else's miss would be answered. A quarter is
therefore left for others. Must not decide how long to wait for a share: whoever takes one does.

Clients are told apart by address (`http/households.py`).
"""

import asyncio
from collections.abc import Callable

from edgeproxy.http.households import household

_OTHERS_PART = 4


class Shares:
    """The shares of one pool; `on_idle` is called whenever nobody has or wants one any more."""

    def __init__(
        self, connections_max: int, *, on_idle: Callable[[], object] = lambda: None
    ) -> None:
        self._on_idle = on_idle
        self._each = max(1, connections_max - max(1, connections_max // _OTHERS_PART))
        self._clients: dict[str, _Client] = {}

    @property
    def is_idle(self) -> bool:
        """Whether nobody has or wants a share."""
        return not self._clients

    async def take(self, client: str) -> "Share":
        """Wait until the client has a connection left, and take it."""
        name = household(client)
        entry = self._clients.get(name)
        if entry is None:
            entry = self._clients[name] = _Client(self._each)
        entry.users += 1
        try:
            await entry.connections.acquire()
        except BaseException:
            self._leave(name, entry)
            raise
        return Share(self, name, entry)

    def give_back(self, name: str, entry: "_Client") -> None:
        """Take a share back; for `Share` only."""
        entry.connections.release()
        self._leave(name, entry)

    def _leave(self, name: str, entry: "_Client") -> None:
        entry.users -= 1
        if not entry.users:
            del self._clients[name]
            if not self._clients:
                self._on_idle()


class Share:
    """One client's right to one connection, until `release`, which may be said twice."""

    __slots__ = ("_entry", "_name", "_shares")

    def __init__(self, shares: Shares, name: str, entry: "_Client") -> None:
        self._shares: Shares | None = shares
        self._name = name
        self._entry = entry

    def release(self) -> None:
        """Give it back."""
        shares, self._shares = self._shares, None
        if shares is not None:
            shares.give_back(self._name, self._entry)


class _Client:
    """What one client has; `users` hold a share or wait for one."""

    __slots__ = ("connections", "users")

    def __init__(self, connections_max: int) -> None:
        self.connections = asyncio.Semaphore(connections_max)
        self.users = 0
