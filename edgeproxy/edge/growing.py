"""The content of one response while it arrives: written once, read by many, each at its own pace.

Must not know what the content is for: whether it will be stored is `fill.py`'s business. RFC 9111
section 3.3: content that broke off is never handed out as if it were whole, so a failure reaches
every reader as the `UpstreamError` that it was.

A body is in one of two modes:

* *keeping*: every chunk stays, so that a reader may start at any time and the whole can be stored.
  Bounded by `keep_bytes_max`; the writer never waits.
* *passing*: chunks go once every reader is past them, and the writer waits while more than
  `window_bytes` lie between the slowest reader and the end. A body that outgrows `keep_bytes_max`
  turns from keeping to passing; from then on nobody new may read. Held at most: what was kept at
  the turn, plus the window.

The slowest reader of a passing body sets everybody's pace: the listeners' stall and rate limits
bound how slow that can be. Waits end by event: growth, the end, a failure, a reader leaving. Their
deadline is the writer's: the upstream's timeouts fail the body.

Invariants: `_start + sum(len(chunk) for chunk in _chunks) == length`; a body that has ended refers
to nobody who refers to it, since content must not stay in memory until the collector comes by.
"""

import asyncio
from collections.abc import Callable

from edgeproxy.errors import UpstreamError
from edgeproxy.http.messages import Fields


def _nobody() -> None:
    """Whom a body that has ended tells of being abandoned."""


class Room:
    """The bytes that all growing bodies of a worker may keep together, in `maximum` bytes."""

    __slots__ = ("maximum", "used")

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.used = 0


class Hold:
    """What one growing body takes of a `Room`, until it is stored or kept no more."""

    __slots__ = ("_room", "_size")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._size = 0

    def take(self, size: int) -> bool:
        """Take so much more; returns False where there is no room for it."""
        if self._room.used + size > self._room.maximum:
            return False
        self._room.used += size
        self._size += size
        return True

    def release(self) -> None:
        """Give everything back."""
        self._room.used -= self._size
        self._size = 0


class GrowingBody:
    """One writer's side, and the place where readers come from."""

    __slots__ = (
        "_chunks",
        "_failure",
        "_grown",
        "_has_room",
        "_readers",
        "_start",
        "_taken",
        "is_complete",
        "is_keeping",
        "keep_bytes_max",
        "length",
        "on_abandoned",
        "trailers",
        "window_bytes",
    )

    def __init__(
        self, *, keep_bytes_max: int, window_bytes: int, on_abandoned: Callable[[], None]
    ) -> None:
        self.keep_bytes_max = keep_bytes_max
        self.window_bytes = window_bytes
        self.on_abandoned = on_abandoned
        self.is_keeping = keep_bytes_max > 0
        self.is_complete = False
        self.length = 0
        self.trailers: Fields = ()
        self._chunks: list[bytes] = []
        self._start = 0  # where the first chunk held lies in the content
        self._taken = 0  # chunks released before it
        self._failure: UpstreamError | None = None
        self._readers: set[Reader] = set()
        self._grown = asyncio.Event()
        self._has_room = asyncio.Event()

    @property
    def is_abandoned(self) -> bool:
        """Nobody reads and nothing is kept: going on would serve nobody."""
        return not self._readers and not self.is_keeping

    def read(self) -> "Reader":
        """Return a new reader of the whole: while the body is keeping, or before it grows."""
        reader = Reader(self)
        self._readers.add(reader)
        return reader

    async def append(self, chunk: bytes) -> bool:
        """Take the next chunk, then wait while the readers are too far behind.

        Returns False once the body is abandoned.
        """
        if not chunk:
            return not self.is_abandoned
        self._chunks.append(chunk)
        self.length += len(chunk)
        if self.is_keeping and self.length > self.keep_bytes_max:
            self.stop_keeping()
        self._wake_readers()
        while not self.is_keeping and not self.is_abandoned and self._lag() > self.window_bytes:
            self._has_room.clear()
            await self._has_room.wait()
        if self.is_abandoned:
            self.on_abandoned = _nobody  # the writer hears it now
        return not self.is_abandoned

    def stop_keeping(self) -> None:
        """Turn to passing: what all readers are past is let go."""
        self.is_keeping = False
        self._release()
        self._wake_readers()  # those who wait for the length learn that it will stay unknown

    def finish(self, trailers: Fields = ()) -> None:
        """The content is whole; behind it came those trailers."""
        self.is_complete = True
        self.trailers = trailers
        self.on_abandoned = _nobody
        self._wake_readers()

    def fail(self, failure: UpstreamError) -> None:
        """The content broke off; every reader raises this, after what came before it."""
        self._failure = failure.with_traceback(None)  # its frames refer to this body
        self.on_abandoned = _nobody
        self._wake_readers()

    def content(self) -> bytes:
        """Return the whole content of a complete, kept body."""
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    async def final_length(self) -> int | None:
        """Wait for the length: None if the body turns to passing before it ends.

        Raises:
            UpstreamError: the content broke off.
        """
        while self.is_keeping and not self.is_complete:
            await self._growth()
        return self.length if self.is_complete else None

    def _wake_readers(self) -> None:
        # Set and clear at once: wakes exactly those who wait now.
        self._grown.set()
        self._grown.clear()

    async def _growth(self) -> None:
        if self._failure is not None:
            raise UpstreamError(
                self._failure.word, self._failure.status, self._failure.detail
            ) from self._failure
        await self._grown.wait()

    def _lag(self) -> int:
        return self.length - min((reader.position for reader in self._readers), default=self.length)

    def _release(self) -> None:
        if self.is_keeping:
            return
        slowest = min((reader.taken for reader in self._readers), default=self._taken)
        passed = self._chunks[: slowest - self._taken]
        del self._chunks[: len(passed)]
        self._start += sum(map(len, passed))
        self._taken = slowest
        self._has_room.set()

    def _leave(self, reader: "Reader") -> None:
        if reader not in self._readers:
            return
        self._readers.discard(reader)
        self._release()
        if self.is_abandoned:
            # The writer may be waiting for an upstream that has stalled: tell it now.
            abandoned, self.on_abandoned = self.on_abandoned, _nobody
            abandoned()


class Reader:
    """One reader's place in the content; an async iterator of its chunks.

    `position` counts bytes and `taken` chunks since the beginning.
    """

    __slots__ = ("_body", "_first", "_last", "position", "taken")

    def __init__(self, body: GrowingBody) -> None:
        self._body = body
        self._first = 0
        self._last: int | None = None
        self.position = 0
        self.taken = 0

    @property
    def has_all_that_came(self) -> bool:
        """Everything that has arrived is read, and more is to come."""
        return self.position == self._body.length and not self._body.is_complete

    def only(self, first: int, last: int) -> "Reader":
        """Narrow to the bytes from `first` to `last`, both inclusive; before the first read."""
        self._first, self._last = first, last
        return self

    @property
    def trailers(self) -> Fields:
        """What came behind the content; it belongs to the whole, not to a part of it."""
        return self._body.trailers if self._last is None else ()

    def __aiter__(self) -> "Reader":
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece, waiting until there is one."""
        while True:
            if self._last is not None and self.position > self._last:
                self.close()
                raise StopAsyncIteration
            if piece := self._cut(await self._next_chunk()):
                return piece

    def close(self) -> None:
        """Leave; costs the others nothing, and may be said twice."""
        self._body._leave(self)  # noqa: SLF001 - reader and body are one thing with two faces

    async def aclose(self) -> None:
        """Leave, as listeners say it."""
        self.close()

    async def _next_chunk(self) -> bytes:
        body = self._body
        while self.position == body.length:
            if body.is_complete:
                self.close()
                raise StopAsyncIteration
            await body._growth()  # noqa: SLF001
        chunk = body._chunks[self.taken - body._taken]  # noqa: SLF001
        self.taken += 1
        self.position += len(chunk)
        body._release()  # noqa: SLF001
        return chunk

    def _cut(self, chunk: bytes) -> bytes:
        start = self.position - len(chunk)
        if self._last is None:
            return chunk
        return chunk[max(self._first - start, 0) : max(self._last + 1 - start, 0)]
