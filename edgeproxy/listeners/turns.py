"""Work that may wait a moment: a queue for each client, so many milliseconds per loop turn.

The loop serves every socket that is ready before it looks at the first one again. What one client
can send into many sockets at once would therefore add up, and the next client would wait for all of
it. So a connection does little in its own read callback, and nothing once a turn's reads have had
their time; handshakes, what is left of a long read, content for fast readers and the beginnings of
tasks wait here. Clients have their turns one after the other, one piece of work each, however many
connections they came by. Knows nothing of what the work is.

Invariants: each piece of work runs at most once for each time it was asked for, and in order with
the same client's; in one turn at most what waited when the turn began, and no more than fits
`TURN_SECONDS` but for the last piece.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)

# Of the 50 ms that a client beside a flood may wait. Reads have this once in a turn of the loop and
# what waits has it a second time; a request may meet both twice, to be read and to have its turn.
# With 5 ms downloads on 50 connections were over the bar on a busy machine.
TURN_SECONDS = 0.003

_Work = tuple[Callable[[], object], float]


class Turns:
    """The queues of one worker; a client is a household (`http.households`).

    `monotonic` is read while something waits, and at every read.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._reading_since = self._read_at = 0.0
        self._waiting: dict[str, deque[_Work]] = {}  # in the order of the turns to come
        self._handle: asyncio.Handle | None = None

    @property
    def waiting(self) -> int:
        """How many pieces of work wait."""
        return sum(map(len, self._waiting.values()))

    def is_over(self) -> bool:
        """Whether reading has had its time, asked before each read.

        It has when there was no pause of a turn's length in so long a time, nor a turn of those
        who wait: no loop says which reads it does in one turn, and this costs no callback to know.
        """
        now = self._monotonic()
        if now - self._read_at > TURN_SECONDS:
            self._reading_since = now
        self._read_at = now
        return now - self._reading_since >= TURN_SECONDS

    def later(self, work: Callable[[], object], seconds: float = 0.0, *, client: str = "") -> None:
        """Do `work` when all that waits of this client has been done, and the others had turns.

        `seconds` is what it makes the loop do afterwards, beyond the time of the call itself: a
        task that it starts runs in the next turn and would not be counted.
        """
        queue = self._waiting.get(client)
        if queue is None:
            queue = self._waiting[client] = deque()
        queue.append((work, seconds))
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        ends_at = self._monotonic() + TURN_SECONDS
        for _ in range(self.waiting):
            work, seconds = self._next()
            try:
                work()
            except Exception:  # one faulty session must not stop the others' turns
                log.exception("work of a connection failed")
            ends_at -= seconds
            if self._monotonic() >= ends_at:
                break
        self._reading_since = self._read_at = self._monotonic()
        self._handle = None
        if self._waiting:
            self._handle = asyncio.get_running_loop().call_soon(self._run)

    def _next(self) -> _Work:
        """Take the next client's oldest work; the client goes to the end."""
        client = next(iter(self._waiting))
        queue = self._waiting.pop(client)
        found = queue.popleft()
        if queue:
            self._waiting[client] = queue
        return found

    def close(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
