"""The disk tier as the event loop sees it: nothing here blocks, nothing here raises.

Writes are queued and done behind, in order for each key; loading waits for what is queued for its
key. A disk that does not work is a tier that holds nothing: faults are counted, what must not be
served any more (`forget`, `drop`, a put that failed) is kept until it is done, and until then
loads of that key find nothing. Waiting operations are bounded: beyond `QUEUED_BYTES_MAX` a put
is turned into letting go of what it would have replaced, beyond `OPERATIONS_MAX` everything that is
stored is let go of, since nobody remembers any more what must not be served.
"""

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from edgeproxy.cache.stored import LargeBody, StoredResponse
from edgeproxy.clock import Clock
from edgeproxy.store.disk.faults import DiskError, Health
from edgeproxy.store.disk.files import SHARDS
from edgeproxy.store.disk.queue import Operation as _Operation
from edgeproxy.store.disk.queue import OrderedQueue
from edgeproxy.store.disk.streams import DiskSpill, Streams
from edgeproxy.store.disk.temporary import Temporary
from edgeproxy.store.disk.tier import DiskTier
from edgeproxy.store.large import OpenBody, Spill

# An alias, because `DiskStore.bytes` hides the builtin in its class.
Key = bytes

_log = logging.getLogger(__name__)

# All ours: a few seconds of a slow disk; as many keys as a PoP sees in minutes.
QUEUED_BYTES_MAX: Final = 64 * 1024 * 1024
OPERATIONS_MAX: Final = 65_536
START_SECONDS: Final = 10.0
LOAD_SECONDS: Final = 5.0
BEGIN_SECONDS: Final = 2.0
CLOSE_SECONDS: Final = 10.0
TOUCHED_MAX: Final = 4096
TOUCH_SECONDS: Final = 5.0
_LOADS_MAX: Final = 1024

_INDEX = ("index",)  # no cache key, those are bytes
_SWEEP = ("sweep",)
_TOUCH = ("touch",)


@dataclass(frozen=True, slots=True)
class DiskSettings:
    """Where the tier is and what it may take; `fsync`: bodies reach the disk before their names.

    `body_bytes_max`: what a single body may have that memory does not keep.
    """

    folder: Path
    bytes_max: int
    body_bytes_max: int = sys.maxsize
    fsync: bool = False


class DiskStore:
    """Stored responses by cache key, in a folder that outlives the process."""

    def __init__(
        self,
        folder: Path,
        bytes_max: int,
        *,
        clock: Clock,
        threads: int = 4,
        fsync: bool = False,
        queued_bytes_max: int = QUEUED_BYTES_MAX,
        body_bytes_max: int = sys.maxsize,
    ) -> None:
        self._clock = clock
        self._health = Health(clock, str(folder))
        self._tier = DiskTier(folder, bytes_max, clock=clock, fsync=fsync, health=self._health)
        self._threads = threads
        self._queued_bytes_max = queued_bytes_max
        self._body_bytes_max = body_bytes_max
        self._queue: OrderedQueue | None = None
        self._streams: Streams | None = None
        self._touched: dict[bytes, float] = {}
        self._flushed_at = clock.monotonic()
        self._loads = 0
        self._is_open = False
        self._must_clear = False

    @property
    def is_usable(self) -> bool:
        """Whether the index is open and its last operation went well."""
        return self._is_open and not self._health.is_down("index") and not self._must_clear

    @property
    def objects(self) -> int:
        """How many stored responses the folder held when it was last written to."""
        return self._tier.objects

    @property
    def bytes(self) -> int:
        """What they and what is being written take, in octets."""
        return self._tier.bytes

    @property
    def bytes_max(self) -> int:
        """What the whole folder never exceeds, the index included."""
        return self._tier.bytes_max

    @property
    def large_bytes_max(self) -> int:
        """What a body may have that is written while it arrives; 0: none is."""
        return min(self._body_bytes_max, self._tier.body_bytes_max) if self.is_usable else 0

    @property
    def open_files(self) -> int:
        """How many large bodies are open to be read."""
        return 0 if self._streams is None else self._streams.open_files

    @property
    def evictions(self) -> int:
        """How many stored responses this process let go to make room."""
        return self._tier.evictions

    @property
    def faults(self) -> Counter[str]:
        """What went wrong, by reason."""
        return self._health.faults

    @property
    def queued_bytes(self) -> int:
        """Bodies that wait to be written, in octets."""
        return self._queue.bytes if self._queue else 0

    async def start(self) -> None:
        """Open the folder; a bad one is a tier that is not usable, and is tried again later."""
        if self._queue is not None:
            return
        queue = OrderedQueue(
            self._perform,
            threads=self._threads,
            may_retry=lambda: not self._health.is_down("index"),
        )
        self._queue = queue
        self._streams = Streams(self._tier, self._health)
        opened: Future[object] = Future()
        queue.submit(_INDEX, _Operation(lambda: None, answer=opened))
        await self._answer(opened, START_SECONDS)

    async def aclose(self) -> None:
        """Write what is queued, for a limited time, and let go of the folder."""
        queue, self._queue = self._queue, None
        streams, self._streams = self._streams, None
        if queue is None or streams is None:
            return
        ended = streams.close()
        if self._touched:
            queue.submit(_TOUCH, _Operation(partial(self._tier.touch, self._touched)))
        queue.close()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                for each in (queue.ended, *ended):
                    await asyncio.shield(asyncio.wrap_future(each))
        except TimeoutError:
            _log.warning("disk tier in %s hangs; going without it", self._tier.folder)
            return
        if queue.operations:
            _log.warning(
                "disk tier in %s: %d operations could not be carried out",
                self._tier.folder,
                queue.operations,
            )
        self._tier.close()
        self._is_open = False

    async def load(self, key: Key, body_bytes_max: int = sys.maxsize) -> tuple[StoredResponse, ...]:
        """Return everything stored under the key, the newest last, bodies checked; () for faults.

        Larger bodies than that are not read, and checked when they are opened. Sees every operation
        on that key that was asked for before.
        """
        queue = self._queue
        if queue is None:
            return ()
        if self._loads >= _LOADS_MAX:
            self._health.count("queue_full")
            return ()
        answer: Future[object] = Future()
        queue.submit(key, _Operation(partial(self._tier.load, key, body_bytes_max), answer=answer))
        self._loads += 1
        try:
            found = await self._answer(answer, LOAD_SECONDS)
        finally:
            self._loads -= 1
        if not isinstance(found, tuple) or not found:
            return ()
        self.touch(key)
        return found

    def put(self, stored: StoredResponse) -> None:
        """Store a response behind, in place of the one with equal selecting values."""
        queue = self._queue
        if queue is None:
            return
        size = len(stored.body) if isinstance(stored.body, bytes) else 0
        lesser = partial(self._tier.drop_variant, stored.key, stored.vary)
        if queue.bytes + size > self._queued_bytes_max:
            self._health.count("queue_full")
            self._submit(stored.key, _Operation(lesser))
            return
        run = partial(self._tier.put, stored, self._clock.now())
        self._submit(stored.key, _Put(run, size, lesser=lesser))

    def replace(self, old: StoredResponse, new: StoredResponse) -> None:
        """Let a freshened response take the place of the one with the same body."""
        if old.digest != new.digest or old.key != new.key:
            self.drop(old)
            self.put(new)
            return
        run = partial(self._tier.replace, old, new)
        lesser = partial(self._tier.drop, old)
        body_bytes = len(new.body) if isinstance(new.body, bytes) else 0
        self._submit(old.key, _Put(run, new.weight - body_bytes, lesser=lesser))

    def drop(self, stored: StoredResponse) -> None:
        """Let go of one response."""
        self._submit(stored.key, _Operation(partial(self._tier.drop, stored)))

    def forget(self, key: Key) -> None:
        """Let go of everything under the key; holds whatever the disk does."""
        run = partial(self._tier.forget, key)
        self._submit(key, _Operation(run), supersedes=True)

    # --- large bodies ---------------------------------------------------------------------------

    async def begin(self, size: int) -> DiskSpill | None:
        """Begin to write a large body of some `size`; None where that is not to be had now."""
        streams = self._streams
        if streams is None or not self.is_usable or self._health.is_down("bodies"):
            return None
        begun = _Beginning(self._tier)
        temporary = None
        try:
            temporary = await self._in_order(begun, partial(begun.run, size), BEGIN_SECONDS)
        finally:
            if not isinstance(temporary, Temporary):
                self._submit(begun, _Operation(begun.undo))
        if not isinstance(temporary, Temporary):
            return None
        return DiskSpill(
            streams,
            temporary,
            extend=self._extend,
            discard=self._discard,
            health=self._health,
        )

    async def commit(self, spill: Spill, stored: StoredResponse) -> bool:
        """Store a response whose body was written to its end, after what was asked for its key."""
        if not isinstance(spill, DiskSpill):
            raise TypeError("a spill of another tier")
        run = partial(self._tier.keep, spill.temporary, stored, self._clock.now())
        is_kept = await self._in_order(stored.key, run, LOAD_SECONDS) is True
        if not is_kept:  # what it would have replaced is not the latest any more
            lesser = partial(self._tier.drop_variant, stored.key, stored.vary)
            self._submit(stored.key, _Operation(lesser))
        return is_kept

    async def open(self, stored: StoredResponse) -> OpenBody | None:
        """Return a body to be read, its length and digest seen to; None where it is not there."""
        streams = self._streams
        if streams is None or not isinstance(stored.body, LargeBody):
            return None
        return await streams.open(stored)

    async def _extend(self, temporary: Temporary, size: int) -> bool:
        run = partial(self._tier.extend, temporary, size)
        return await self._in_order(temporary, run, LOAD_SECONDS) is True

    def _discard(self, temporary: Temporary) -> None:
        self._submit(temporary, _Operation(partial(self._tier.discard, temporary)))

    async def _in_order(self, key: Hashable, run: Callable[[], object], seconds: float) -> object:
        """Do something that is waited for, after what was asked for `key` before."""
        queue = self._queue
        if queue is None:
            return None
        answer: Future[object] = Future()
        queue.submit(key, _Operation(run, answer=answer))
        return await self._answer(answer, seconds)

    # --- uses -----------------------------------------------------------------------------------

    def touch(self, key: Key) -> None:
        """Note that the key was used; written every few seconds, for many keys at once."""
        if self._queue is None or (len(self._touched) >= TOUCHED_MAX and key not in self._touched):
            return
        self._touched[key] = self._clock.now()
        is_due = self._clock.monotonic() - self._flushed_at >= TOUCH_SECONDS
        if is_due or len(self._touched) >= TOUCHED_MAX:
            touched, self._touched = self._touched, {}
            self._flushed_at = self._clock.monotonic()
            run = partial(self._tier.touch, touched)
            self._queue.submit(_TOUCH, _Operation(run), supersedes=True)

    def _submit(self, key: Hashable, operation: _Operation, *, supersedes: bool = False) -> None:
        queue = self._queue
        if queue is None:
            return
        if queue.operations >= OPERATIONS_MAX:
            self._health.count("queue_full")
            self._must_clear = True
            queue.clear()
            queue.submit(_INDEX, _Operation(self._clear))
            return
        queue.submit(key, operation, supersedes=supersedes)

    async def _answer(self, future: Future[object], seconds: float) -> object:
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            self._health.count("slow")
            return None

    # From here on: in threads.

    def _perform(self, operation: _Operation) -> bool:
        """Carry an operation out; False where it has to be tried again."""
        is_load = operation.answer is not None
        if is_load and self._must_clear:
            return _answered(operation, ())
        try:
            if self._health.is_down("index"):
                raise _Down  # noqa: TRY301 - one place says what comes of it
            self._open()
            if self._health.is_down("bodies") and isinstance(operation, _Put):
                self._lessen(operation)
            answer = operation.run()
        except _Down:
            answer = ()
        except DiskError as error:
            self._health.failed(error)
            if error.part == "index" and error.reason in ("index", "replaced"):
                self._is_open = False
            if error.part == "bodies" and isinstance(operation, _Put):
                self._lessen(operation)
                return self._perform(operation)
            answer = ()
        else:
            self._health.fine("index")
            if isinstance(operation, _Put) and operation.lesser is not None:
                self._health.fine("bodies")
            return _answered(operation, answer)
        if isinstance(operation, _Put):
            self._lessen(operation)
        return _answered(operation, answer) if is_load else False

    def _lessen(self, operation: "_Put") -> None:
        """Turn a put into what it leaves to do where it cannot be done."""
        queue, lesser = self._queue, operation.lesser
        if lesser is not None:
            operation.lesser = None
            if queue is not None:
                queue.lighten(operation, lesser)
            else:
                operation.run = lesser

    def _open(self) -> None:
        if not self._is_open:
            with self._tier.opening:
                if not self._is_open:
                    self._tier.open()
                    self._is_open = True
                    self._sweep(0)

    def _clear(self) -> None:
        self._tier.clear()
        self._must_clear = False

    def _sweep(self, number: int) -> None:
        queue = self._queue
        if queue is not None:
            queue.submit(_SWEEP, _Operation(partial(self._sweep_shard, number)))

    def _sweep_shard(self, number: int) -> None:
        """Sweep one shard and queue the next, so that other operations have their turn."""
        if number < len(SHARDS):
            orphans = self._tier.sweep(SHARDS[number])
            if orphans:
                self._health.count("orphan", orphans)
            self._sweep(number + 1)
        else:
            self._tier.swept()


class _Down(Exception):  # noqa: N818 - no error: the disk is left alone
    """The index failed a moment ago."""


class _Beginning:
    """A file that is being begun, perhaps for somebody who will have left by then."""

    def __init__(self, tier: DiskTier) -> None:
        self._tier = tier
        self._temporary: Temporary | None = None

    def run(self, size: int) -> Temporary | None:
        """Begin."""
        self._temporary = self._tier.begin(size)
        return self._temporary

    def undo(self) -> None:
        """Nobody wants it: give it up again. Comes after `run`, for both are of one key."""
        if self._temporary is not None:
            self._tier.discard(self._temporary)
            self._temporary.file.let_go()


class _Put(_Operation):
    """An operation that may be turned into `lesser`, which only lets go of something."""

    __slots__ = ("lesser",)

    def __init__(self, run: Callable[[], object], size: int, *, lesser: partial[None]) -> None:
        super().__init__(run, size)
        self.lesser: partial[None] | None = lesser


def _answered(operation: _Operation, answer: object) -> bool:
    future = operation.answer
    if future is not None and future.set_running_or_notify_cancel():
        future.set_result(answer)
    return True
