"""Large bodies as the event loop sees them: written while they arrive, read bit by bit.

Every operation on a file is done by a few threads of their own, each with a deadline: whoever reads
large bodies holds back nobody who looks up small ones. Decides nothing about what is stored
(`tier`). Waits end with `DiskError` where the disk fails or takes too long.

Invariants: no file is opened, read or closed by the loop's thread; a file is open once, however
many read it, and at most `FILES_MAX` are; nobody reads a body whose digest was not seen to.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar, cast

from edgeproxy.cache.stored import StoredResponse
from edgeproxy.store.disk.faults import DiskError, Health, failed
from edgeproxy.store.disk.queue import Operation, OrderedQueue
from edgeproxy.store.disk.shared import SharedFile
from edgeproxy.store.disk.temporary import Temporary
from edgeproxy.store.disk.tier import DiskTier

T = TypeVar("T")

_log = logging.getLogger(__name__)

THREADS: Final = 3
OPENING_THREADS: Final = 2
"""Apart from the others: who reads already does not wait until a gigabyte was looked through."""

FILES_MAX: Final = 512
"""Ours: half of the customary limit of open files, in case that nobody has raised it."""

PIECE_SECONDS: Final = 10.0
"""For a piece of 1 MiB at most. Clients' own limits are of that order; what is slower is broken."""

OPEN_SECONDS: Final = 5.0
_PROVING_BYTES_PER_SECOND: Final = 50_000_000  # a hard disk that does other things besides

EXTENSION_BYTES_MIN: Final = 1024 * 1024
EXTENSION_BYTES_MAX: Final = 16 * 1024 * 1024
"""What is reserved at once for content of unknown length: as much again as there is."""

_UNBROKEN: Final = frozenset({"digest", "missing_file"})  # the disk did what it was told


class Streams:
    """The threads, and the bodies that are open in this process."""

    def __init__(self, tier: DiskTier, health: Health) -> None:
        self._tier = tier
        self._health = health
        self._queue, self._openings = (
            OrderedQueue(self._perform, threads=threads, may_retry=lambda: False)
            for threads in (THREADS, OPENING_THREADS)
        )
        self._open: dict[bytes, _Opened] = {}

    @property
    def open_files(self) -> int:
        """How many stored bodies are open, or being opened."""
        return len(self._open)

    @property
    def operations(self) -> int:
        """How much is to be done yet."""
        return self._queue.operations + self._openings.operations

    def close(self) -> "tuple[Future[None], ...]":
        """Take nothing more; what is returned is done when everything else is."""
        self._queue.close()
        self._openings.close()
        return self._queue.ended, self._openings.ended

    async def run(self, work: Callable[[], T], seconds: float) -> T:
        """Do it in a thread and wait that long at most.

        Raises:
            DiskError: the disk failed, or was too slow.
        """
        try:
            async with asyncio.timeout(seconds):
                done = await _submitted(self._queue, work)
        except TimeoutError:
            self._health.count("slow")
            raise DiskError("bodies", "slow", f"nothing within {seconds:g} s") from None
        if isinstance(done, DiskError):
            raise done
        return done

    def let_go(self, file: SharedFile) -> None:
        """Close a file behind whoever else holds it."""
        self._queue.submit(file, Operation(file.let_go))

    async def open(self, stored: StoredResponse) -> "StoredBody | None":
        """Return the body of a response, None where it is not to be had."""
        digest, length = stored.digest, len(stored.body)
        opened = self._open.get(digest)
        if opened is None:
            if len(self._open) >= FILES_MAX:
                self._health.count("queue_full")
                return None
            work = partial(self._tier.open_body, digest, length)
            answer = _submitted(self._openings, work)
            opened = self._open[digest] = _Opened(answer)
            answer.add_done_callback(partial(self._on_opened, digest, opened))
        opened.users += 1
        try:
            async with asyncio.timeout(OPEN_SECONDS + length / _PROVING_BYTES_PER_SECOND):
                # shielded: who leaves must not take it away from others
                file = await asyncio.shield(opened.answer)
        except TimeoutError:
            self._health.count("slow")
            file = None
        except BaseException:
            self._leave(digest, opened)
            raise
        if not isinstance(file, SharedFile):
            self._leave(digest, opened)
            return None
        return StoredBody(self, file, partial(self._leave, digest, opened))

    def _on_opened(self, digest: bytes, opened: "_Opened", _answer: object) -> None:
        if not opened.users:
            self._forget(digest, opened)

    def _leave(self, digest: bytes, opened: "_Opened") -> None:
        opened.users -= 1
        if not opened.users and opened.answer.done():
            self._forget(digest, opened)

    def _forget(self, digest: bytes, opened: "_Opened") -> None:
        if self._open.get(digest) is opened:
            del self._open[digest]
        if not opened.answer.cancelled() and isinstance(file := opened.answer.result(), SharedFile):
            self.let_go(file)

    def _perform(self, operation: Operation) -> bool:
        """Carry an operation out, in a thread."""
        answer: object
        try:
            answer = operation.run()
        except DiskError as error:
            if error.reason not in _UNBROKEN:
                self._health.failed(error)
            answer = error
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the thread
            _log.exception("an operation on a large body failed")
            answer = DiskError("bodies", "io", repr(error))
        future = operation.answer
        if future is not None and future.set_running_or_notify_cancel():
            future.set_result(answer)
        return True


def _submitted(queue: OrderedQueue, work: Callable[[], T]) -> "asyncio.Future[T | DiskError]":
    """Do it in a thread; the answer may be an error."""
    answer: Future[object] = Future()
    queue.submit(answer, Operation(work, answer=answer))
    return cast("asyncio.Future[T | DiskError]", asyncio.wrap_future(answer))


@dataclass(slots=True, eq=False)
class _Opened:
    """A body that is open, or being opened, and how many want it."""

    answer: "asyncio.Future[SharedFile | DiskError]"
    users: int = 0


class _File:
    """What reading a file, whatever becomes of it, has in common."""

    def __init__(self, streams: Streams, file: SharedFile) -> None:
        self._streams = streams
        self._file = file
        self._is_closed = False

    async def read(self, position: int, size: int) -> bytes:
        """Return so many octets from there.

        Raises:
            DiskError: they are not to be had.
        """
        if self._is_closed:
            raise DiskError("bodies", "io", "it is closed")
        self._file.hold()
        content = await self._streams.run(
            partial(_reading, self._file, position, size), PIECE_SECONDS
        )
        if len(content) != size:
            raise DiskError("bodies", "io", "a file that has become shorter")
        return content


class StoredBody(_File):
    """A body that is stored, open to be read; `leave` is called once, when it is not any more."""

    def __init__(self, streams: Streams, file: SharedFile, leave: Callable[[], None]) -> None:
        super().__init__(streams, file)
        self._leave = leave

    def close(self) -> None:
        """Read no more."""
        if not self._is_closed:
            self._is_closed = True
            self._leave()


class DiskSpill(_File):
    """A body that is being written.

    `extend` reserves more for it, `discard` gives up what was not stored.
    """

    def __init__(
        self,
        streams: Streams,
        temporary: Temporary,
        *,
        extend: Callable[[Temporary, int], Awaitable[bool]],
        discard: Callable[[Temporary], None],
        health: Health,
    ) -> None:
        super().__init__(streams, temporary.file)
        self.temporary = temporary
        self.length = 0
        self._extend = extend
        self._discard = discard
        self._health = health

    async def write(self, pieces: Sequence[bytes]) -> None:
        """Write these behind what is there.

        Raises:
            DiskError: the disk failed, was too slow, or has no more room.
        """
        end = self.length + sum(map(len, pieces))
        if end > self.temporary.reserved:
            more = min(max(self.length, EXTENSION_BYTES_MIN), EXTENSION_BYTES_MAX)
            if not await self._extend(self.temporary, max(more, end - self.temporary.reserved)):
                raise DiskError("bodies", "budget", "no room for a body that goes on growing")
        self._file.hold()
        work = partial(_writing, self._file, self.length, pieces)
        await self._streams.run(work, PIECE_SECONDS)
        self.length = end
        self._health.fine("bodies")

    def close(self) -> None:
        """Let go of it; what was not stored vanishes."""
        if not self._is_closed:
            self._is_closed = True
            self._discard(self.temporary)
            self._streams.let_go(self._file)


# In threads. The file is held by who asked, lest its number be another file's by now.


def _reading(file: SharedFile, position: int, size: int) -> bytes:
    try:
        return file.read(position, size)
    except OSError as error:
        raise failed("bodies", error) from None
    finally:
        file.let_go()


def _writing(file: SharedFile, position: int, pieces: Sequence[bytes]) -> None:
    try:
        file.write(position, pieces)
    except OSError as error:
        raise failed("bodies", error) from None
    finally:
        file.let_go()
