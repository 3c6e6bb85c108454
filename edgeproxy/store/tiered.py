"""Memory over a lower tier: what is read and written, and in which order, without a wait for disk.

The data path sees a `MemoryStore`. What is kept, freshened or forgotten there is told the lower
tier too, which writes behind; what memory lacks is read back whole, once for all who want it, and
then answered from memory. Of what is larger than memory keeps, only the response is kept here: its
body is written below while it arrives, and read from there by each who asks. Must not judge: what
comes up was judged when it went down, and is judged again by whoever reuses it (RFC 9111 section
4).

Invariants: what was kept or forgotten while a key was being read is never undone by what was read;
a lower tier that fails or hangs is a miss.
"""

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import replace
from typing import Final, Protocol

from edgeproxy.cache.stored import LargeBody, StoredResponse
from edgeproxy.store.large import OpenBody, Spill
from edgeproxy.store.memory import Key, MemoryStore

log = logging.getLogger(__name__)

LOAD_SECONDS: Final = 2.0
"""Ours: a disk that takes longer is slower than most origins."""


class Lower(Protocol):
    """A tier below memory; `DiskStore` in the product. No method raises."""

    @property
    def large_bytes_max(self) -> int:
        """What a body may have that is written while it arrives; 0: none is."""

    async def load(self, key: Key, body_bytes_max: int) -> tuple[StoredResponse, ...]:
        """Return everything kept under `key`, the newest last; larger bodies as `LargeBody`."""

    async def begin(self, size: int) -> Spill | None:
        """Make room for a large body of some `size`; None where there is none."""

    async def commit(self, spill: Spill, stored: StoredResponse) -> bool:
        """Keep a response whose body is in `spill`, in its order among what is told of its key."""

    async def open(self, stored: StoredResponse) -> OpenBody | None:
        """Return a `LargeBody` to be read, checked; None where it is not to be had any more."""

    def put(self, stored: StoredResponse) -> None:
        """Keep it in place of the one with equal selecting values."""

    def replace(self, old: StoredResponse, new: StoredResponse) -> None:
        """Put `new`, of the same body, where `old` is."""

    def drop(self, stored: StoredResponse) -> None:
        """Let go of one response."""

    def forget(self, key: Key) -> None:
        """Drop everything kept under `key`."""

    def touch(self, key: Key) -> None:
        """Take note that the key is in use."""


class TieredStore(MemoryStore):
    """Stored responses in memory, and below it those that memory has no room for."""

    def __init__(self, bytes_max: int, object_bytes_max: int, lower: Lower) -> None:
        super().__init__(bytes_max, object_bytes_max)
        self._lower = lower
        self._reading: dict[Key, asyncio.Task[None]] = {}
        self._is_overtaken: set[Key] = set()  # of those that are being read
        self._committing: dict[Key, int] = {}
        self._is_passed: set[Key] = set()  # of those that are being committed
        self.promotions = 0

    def reading(self, key: Key) -> Awaitable[None] | None:
        """Begin to read what memory lacks; see `MemoryStore`."""
        if key in self._index:
            return None
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.get_running_loop().create_task(self._read(key))
        # who waits may leave; what is read is for everybody
        return asyncio.shield(task)

    async def _read(self, key: Key) -> None:
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                found = await self._lower.load(key, self.object_bytes_max)
            if found and key not in self._is_overtaken and key not in self._index:
                for stored in found:
                    if not super().put(stored):  # a reload has lowered what memory keeps
                        super().put(replace(stored, body=LargeBody(len(stored.body))))
                self.promotions += 1
        except TimeoutError:
            log.warning("the disk tier did not answer within %g s: a miss", LOAD_SECONDS)
        except Exception:  # a broken store is a miss
            log.exception("reading the disk tier failed")
        finally:
            del self._reading[key]
            self._is_overtaken.discard(key)

    async def aclose(self) -> None:
        """Stop reading; see `MemoryStore`."""
        tasks = list(self._reading.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # --- large bodies ---------------------------------------------------------------------------

    @property
    def large_bytes_max(self) -> int:
        """See `MemoryStore`."""
        return self._lower.large_bytes_max

    async def begin(self, size: int) -> Spill | None:
        """See `MemoryStore`."""
        return await self._lower.begin(size)

    async def commit(self, spill: Spill, stored: StoredResponse) -> bool:
        """Keep a response whose body is in `spill`; see `MemoryStore`.

        What is kept or forgotten under its key while it is written down is the later word.
        """
        key = stored.key
        self._overtake(key, is_passing=False)
        self._committing[key] = self._committing.get(key, 0) + 1
        try:
            is_kept = await self._lower.commit(spill, stored)
            if key in self._is_passed:
                return False
            if is_kept:
                super().put(stored)
            else:
                self._let_go_of_variant(stored)
            return is_kept
        finally:
            self._committing[key] -= 1
            if not self._committing[key]:
                del self._committing[key]
                self._is_passed.discard(key)

    def _let_go_of_variant(self, stored: StoredResponse) -> None:
        for other in self._responses(stored.key):
            if other.vary == stored.vary:
                super().drop(other)

    async def open(self, stored: StoredResponse) -> OpenBody | None:
        """See `MemoryStore`; what is not to be had is not kept here any more, either."""
        body = await self._lower.open(stored)
        if body is None:
            super().drop(stored)
        return body

    # --- what the tier below hears of -----------------------------------------------------------

    def put(self, stored: StoredResponse) -> bool:
        """Keep a response; see `MemoryStore`."""
        self._overtake(stored.key)
        is_kept = super().put(stored)
        if is_kept:
            self._lower.put(stored)
        else:
            self._lower.drop(stored)
        return is_kept

    def put_above(self, stored: StoredResponse) -> bool:
        """Keep a response in memory alone; see `MemoryStore`."""
        self._overtake(stored.key)
        return super().put_above(stored)

    def replace(self, old: StoredResponse, new: StoredResponse) -> bool:
        """Put `new` where `old` was; see `MemoryStore`."""
        self._overtake(new.key, is_passing=False)
        is_kept = super().replace(old, new)
        self._lower.replace(old, new)
        return is_kept

    def drop(self, stored: StoredResponse) -> bool:
        """Let go of one response; see `MemoryStore`."""
        self._overtake(stored.key, is_passing=False)
        self._lower.drop(stored)
        return super().drop(stored)

    def forget(self, key: Key) -> int:
        """Drop everything stored under `key`; see `MemoryStore`."""
        self._overtake(key)
        self._lower.forget(key)
        return super().forget(key)

    def _touched(self, key: Key) -> None:
        super()._touched(key)
        self._lower.touch(key)

    def _overtake(self, key: Key, *, is_passing: bool = True) -> None:
        """Note that what is being read is not the latest any more, nor what is being committed."""
        if key in self._reading:
            self._is_overtaken.add(key)
        if is_passing and key in self._committing:
            self._is_passed.add(key)
