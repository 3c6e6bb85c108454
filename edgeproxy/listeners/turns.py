"""Work that may wait a moment: all connections in one queue, so many milliseconds per loop turn.

The loop serves every socket that is ready before it looks at the first one again. What one client
can send into many sockets at once would therefore add up, and the next client would wait for all of
it. So a connection does little in its own read callback; handshakes, what is left of a long read,
content for fast readers and the beginnings of tasks wait here, one after the other, and between two
portions everybody else's sockets have their turn. Knows nothing of what the work is.

Invariants: each piece of work runs at most once for each time it was asked for; in one turn at most
what waited when the turn began, and no more than fits `TURN_SECONDS` but for the last piece.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)

# A tenth of the 50 ms that a client beside a flood may wait: a hit on an open connection waits for
# one such portion and for what was read meanwhile, a page's fifth hit in a row still does.
TURN_SECONDS = 0.005


class Turns:
    """The queue of one worker; `monotonic` is only read while something waits."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._waiting: deque[tuple[Callable[[], object], float]] = deque()
        self._handle: asyncio.Handle | None = None

    @property
    def waiting(self) -> int:
        """How many pieces of work wait."""
        return len(self._waiting)

    def later(self, work: Callable[[], object], seconds: float = 0.0) -> None:
        """Do `work` when all that waits has been done.

        `seconds` is what it makes the loop do afterwards, beyond the time of the call itself: a
        task that it starts runs in the next turn and would not be counted.
        """
        self._waiting.append((work, seconds))
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        ends_at = self._monotonic() + TURN_SECONDS
        for _ in range(len(self._waiting)):
            work, seconds = self._waiting.popleft()
            try:
                work()
            except Exception:  # one faulty session must not stop the others' turns
                log.exception("work of a connection failed")
            ends_at -= seconds
            if self._monotonic() >= ends_at:
                break
        self._handle = None
        if self._waiting:
            self._handle = asyncio.get_running_loop().call_soon(self._run)

    def close(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
