"""The content of one response while it arrives: written once, read by many, each at its own pace.

Must not know what the content is for: whether it will be stored is `fill.py`'s business. RFC 9111
section 3.3: content that broke off is never handed out as if it were whole, so a failure reaches
every reader as the `UpstreamError` that it was.

A body is in one of three modes:

* *keeping*: every chunk stays, so that a reader may start at any time and the whole can be stored.
  Bounded by `keep_bytes_max`; the writer never waits.
* *spilling*, a way of keeping: every chunk is written to a `Spill`, and only the last
  `window_bytes` stay in memory beside what is not written yet; who lies further behind reads from
  the spill. The writer waits for the disk, never for readers. A spill that fails turns the body to
  passing; who lies behind then goes on reading what was written.
* *passing*: chunks go once every reader is past them, and the writer waits while more than
  `window_bytes` lie between the slowest reader and the end. A body that outgrows `keep_bytes_max`
  turns from keeping to passing; from then on nobody new may read. Held at most: what was kept at
  the turn, plus the window.

The slowest reader of a passing body sets everybody's pace: the listeners' stall and rate limits
bound how slow that can be. Waits end by event: growth, the end, a failure, a reader leaving. Their
deadline is the writer's: the upstream's timeouts fail the body.

Invariants: `_start + sum(len(chunk) for chunk in _chunks) == length`; what lies before `_start` was
read by all or is in the spill, which is open until nobody needs it; a body that has ended refers
to nobody who refers to it, since content must not stay in memory until the collector comes by.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from edgeproxy.errors import StoreError, UpstreamError, without_frames
from edgeproxy.http.messages import Fields
from edgeproxy.store.large import Spill

SPILL_BYTES: Final = 256 * 1024
"""Written at once: large beside what a thread costs, small beside memory."""

READ_BYTES: Final = 128 * 1024
"""Read at once; smaller, since each who is behind has a piece of its own."""

_WRITTEN_BYTES_MAX: Final = 4 * SPILL_BYTES  # of what was kept before the body began to spill


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
        "_is_let_go",
        "_readers",
        "_spill",
        "_start",
        "_taken",
        "_written",
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
        self._spill: Spill | None = None
        self._written = 0  # chunks that are in the spill
        self._is_let_go = False
        self._failure: UpstreamError | None = None
        self._readers: set[Reader] = set()
        self._grown = asyncio.Event()
        self._has_room = asyncio.Event()

    @property
    def is_abandoned(self) -> bool:
        """Nobody reads and nothing is kept: going on would serve nobody."""
        return not self._readers and not self.is_keeping

    @property
    def is_spilling(self) -> bool:
        """Whether it is kept in a spill."""
        return self.is_keeping and self._spill is not None

    def spill(self, spill: Spill, bytes_max: int) -> None:
        """Keep up to so much in a spill from now on, which is closed when nobody needs it."""
        self._spill = spill
        self.keep_bytes_max = bytes_max

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
        await self._write(SPILL_BYTES)
        while not self.is_keeping and not self.is_abandoned and self._lag() > self.window_bytes:
            self._has_room.clear()
            await self._has_room.wait()
        if self.is_abandoned:
            self.on_abandoned = _nobody  # the writer hears it now
        return not self.is_abandoned

    def stop_keeping(self) -> None:
        """Turn to passing: what all readers are past is let go."""
        self.is_keeping = False
        self._close_spill()
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
        self._failure = without_frames(failure)
        self.on_abandoned = _nobody
        self._wake_readers()

    def content(self) -> bytes:
        """Return the whole content of a complete, kept body."""
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    async def written(self) -> Spill | None:
        """Wait until everything is in the spill; None where it is not kept there any more."""
        await self._write(1)
        return self._spill if self.is_keeping else None

    def let_go(self) -> None:
        """The writer does not need the spill any more: it goes with the last reader who does."""
        self._is_let_go = True
        self._close_spill()

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

    async def _write(self, least: int) -> None:
        """Write what is not written yet, if it is so much."""
        while (spill := self._spill) is not None and self.is_keeping:
            pieces, size = self._chunks[self._written - self._taken :], 0
            if sum(map(len, pieces)) < least:
                return
            for number, piece in enumerate(pieces):
                size += len(piece)
                if size >= _WRITTEN_BYTES_MAX:
                    del pieces[number + 1 :]
                    break
            try:
                await spill.write(pieces)
            except StoreError:  # counted where it happened
                self.stop_keeping()
                return
            self._written += len(pieces)
            self._release()

    def _close_spill(self) -> None:
        spill = self._spill
        if spill is None or (self.is_keeping and not self._is_let_go):
            return
        if all(reader.position >= self._start for reader in self._readers):
            self.is_keeping = False  # what lies before is not to be had any more
            self._spill = None
            spill.close()

    def _release(self) -> None:
        if self.is_keeping:
            if self._spill is not None:
                self._narrow()
            return
        # who reads from the spill has taken fewer than are released
        slowest = min((reader.taken for reader in self._readers), default=self._taken)
        self._drop(max(slowest - self._taken, 0))
        self._has_room.set()

    def _narrow(self) -> None:
        """Keep no more in memory than the window, and what is not written yet."""
        excess, number = self.length - self._start - self.window_bytes, 0
        written = self._written - self._taken
        while number < written and excess >= len(self._chunks[number]):
            excess -= len(self._chunks[number])
            number += 1
        self._drop(number)

    def _drop(self, number: int) -> None:
        passed = self._chunks[:number]
        del self._chunks[: len(passed)]
        self._start += sum(map(len, passed))
        self._taken += number

    def _leave(self, reader: "Reader") -> None:
        if reader not in self._readers:
            return
        self._readers.discard(reader)
        self._release()
        self._close_spill()
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
        while True:
            while self.position == body.length:
                if body.is_complete:
                    self.close()
                    raise StopAsyncIteration
                await body._growth()  # noqa: SLF001
            if self.position >= body._start:  # noqa: SLF001
                break
            if piece := await self._from_spill():
                return piece
        if self.position == body._start:  # noqa: SLF001
            self.taken = body._taken  # noqa: SLF001
        chunk = body._chunks[self.taken - body._taken]  # noqa: SLF001
        self.taken += 1
        self.position += len(chunk)
        body._release()  # noqa: SLF001
        return chunk

    async def _from_spill(self) -> bytes:
        """Return a piece of what is not in memory any more; b"" where nothing of it is wanted."""
        body = self._body
        spill, start = body._spill, body._start  # noqa: SLF001
        self.position = max(self.position, min(self._first, start))
        end = start if self._last is None else min(start, self._last + 1)
        size = min(READ_BYTES, end - self.position)
        if size <= 0:
            return b""
        try:
            if spill is None:
                raise StoreError("the spill is closed")  # noqa: TRY301 - as if it had failed
            piece = await spill.read(self.position, size)
        except StoreError as error:
            raise UpstreamError("proxy_internal_error", 500, str(error)) from error
        self.position += size
        body._release()  # noqa: SLF001
        body._close_spill()  # noqa: SLF001
        return piece

    def _cut(self, chunk: bytes) -> bytes:
        start = self.position - len(chunk)
        if self._last is None:
            return chunk
        return chunk[max(self._first - start, 0) : max(self._last + 1 - start, 0)]
