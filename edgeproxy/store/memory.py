"""Keeps stored responses in memory, bounded in bytes, the least recently used key going first.

Must not judge: freshness, Vary and validators are `cache/`'s business (RFC 9111 section 2 leaves
eviction to us). Synchronous, never raises towards the data path.

Invariants: `bytes` is the sum of the weights of everything kept, and of its memos beyond a few, and
never exceeds `bytes_max`; what is not kept has no memo here; a set of variants is never changed in
place, so a caller may go on reading what `candidates` returned.
"""

import dataclasses
from collections import OrderedDict
from collections.abc import Awaitable, Sequence
from typing import Protocol

from edgeproxy.cache.codings import with_derived
from edgeproxy.cache.stored import BodyId, DerivedBody, StoredResponse
from edgeproxy.store.large import OpenBody, Spill

# Aliases, because `MemoryStore.bytes` hides the builtin in its class.
Key = bytes
Coding = bytes

# Vary multiplies a URL by whatever clients send. Varnish lets lists grow and gets slow; a few
# dozen are more than any honest origin needs.
VARIANTS_MAX = 32
# Recency to the second is plenty for a cache of minutes, and saves the move on every hit.
TOUCH_SECONDS = 1.0
# What answers from one stored response were made ready, measured by `python -m bench.memory`: some
# 3 KiB in one coding, more in several. A few count for nothing, so that every store may have some.
_MEMO_BYTES = 4096
_MEMOS_FREE = 64


class _Variants:
    """Everything stored under one key, the newest last."""

    __slots__ = ("responses", "touched")

    def __init__(self, responses: tuple[StoredResponse, ...], touched: float) -> None:
        self.responses = responses
        self.touched = touched

    @property
    def weight(self) -> int:
        return sum(stored.weight for stored in self.responses)


class Memo(Protocol):
    """What was made of a stored response to answer from it faster, and can be made anew."""

    def release(self) -> None:
        """Let go of what refers back to it: nobody will ask for it any more."""


class _Recency:
    """The order of use, oldest first, and the sums; beside it the memos, in the order of making.

    One ordered dict for both look-up and order: each further table is some 70 bytes per key.
    """

    __slots__ = ("bytes_max", "evictions", "index", "memos", "objects", "weight")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.index: OrderedDict[bytes, _Variants] = OrderedDict()
        self.memos: OrderedDict[StoredResponse, Memo] = OrderedDict()
        self.weight = 0
        self.objects = 0  # counted along, since whoever asks may ask often and must not walk
        self.evictions = 0

    def keep(self, key: bytes, variants: _Variants) -> None:
        """Keep these under the key, instead of what was there, as what was used last."""
        self.let_go(key, kept=variants.responses)
        self.index[key] = variants
        self.weight += variants.weight
        self.objects += len(variants.responses)
        self.make_room()

    def let_go(self, key: bytes, *, kept: tuple[StoredResponse, ...] = ()) -> None:
        """Drop what is under the key, if anything is; memos of what is `kept` elsewhere stay."""
        variants = self.index.pop(key, None)
        if variants is None:
            return
        self.weight -= variants.weight
        self.objects -= len(variants.responses)
        for stored in variants.responses:
            if stored not in kept:
                self.release(stored)

    def remember(self, stored: StoredResponse, memo: Memo) -> None:
        """Bound the memos by an eighth of everything: the one that was made first goes first."""
        self.release(stored)
        stored.memo = memo
        self.memos[stored] = memo
        while len(self.memos) > max(_MEMOS_FREE, self.bytes_max // 8 // _MEMO_BYTES):
            self.release(next(iter(self.memos)))
        self.make_room()

    def release(self, stored: StoredResponse) -> None:
        """Let go of a memo that is kept."""
        memo = self.memos.pop(stored, None)
        if memo is not None:
            stored.memo = None
            memo.release()

    @property
    def used(self) -> int:
        """What counts towards the bound."""
        return self.weight + max(0, len(self.memos) - _MEMOS_FREE) * _MEMO_BYTES

    def make_room(self) -> None:
        """Let go of what was used least recently until everything is within the bound."""
        while self.used > self.bytes_max:
            key, variants = next(iter(self.index.items()))
            self.evictions += len(variants.responses)
            self.let_go(key)


class MemoryStore:
    """Stored responses by cache key."""

    def __init__(self, bytes_max: int, object_bytes_max: int) -> None:
        self._recency = _Recency(bytes_max)
        self._index = self._recency.index
        self._bytes_max = bytes_max
        self.object_bytes_max = min(object_bytes_max, bytes_max)

    def resize(self, bytes_max: int, object_bytes_max: int) -> None:
        """Change the bounds; what is beyond the first goes now, the least recently used first.

        Larger objects than the second that are kept already stay.
        """
        self._bytes_max = bytes_max
        self.object_bytes_max = min(object_bytes_max, bytes_max)
        self._recency.bytes_max = bytes_max
        self._recency.make_room()

    @property
    def large_bytes_max(self) -> int:
        """What a body may have that only a tier below memory keeps; 0: there is none."""
        return 0

    @property
    def bytes(self) -> int:
        """The weight of everything kept, and of the memos beside it."""
        return self._recency.used

    @property
    def bytes_max(self) -> int:
        """What the weight of everything kept never exceeds."""
        return self._bytes_max

    @property
    def objects(self) -> int:
        """How many stored responses are kept, each variant counted."""
        return self._recency.objects

    @property
    def evictions(self) -> int:
        """How many stored responses went to make room."""
        return self._recency.evictions

    def candidates(self, key: Key, now: float) -> Sequence[StoredResponse]:
        """Return everything stored under `key`, the newest last."""
        variants = self._index.get(key)
        if variants is None:
            return ()
        if now - variants.touched >= TOUCH_SECONDS:
            variants.touched = now
            self._touched(key)
        return variants.responses

    def _touched(self, key: Key) -> None:
        self._index.move_to_end(key)

    def reading(self, key: Key) -> Awaitable[None] | None:
        """Return what to wait for before `candidates` knows all there is, None for nothing."""
        return None

    async def begin(self, size: int) -> Spill | None:
        """Begin to write a large body of some `size` below memory; None where there is no room."""
        return None

    async def commit(self, spill: Spill, stored: StoredResponse) -> bool:
        """Keep a response whose body is whole in `spill`; returns False where that failed.

        An older one goes all the same, as with `put`.
        """
        return False

    async def open(self, stored: StoredResponse) -> OpenBody | None:
        """Return a `LargeBody` to be read; None where it is gone, and the response with it."""
        return None

    async def aclose(self) -> None:
        """Stop what is under way: nothing here."""

    def put(self, stored: StoredResponse) -> bool:
        """Keep a response in place of the one with equal selecting values.

        Returns False where it is too large to be kept; an older one then goes all the same, since
        it is not the latest answer any more.
        """
        others = [other for other in self._responses(stored.key) if other.vary != stored.vary]
        is_kept = stored.weight <= self.object_bytes_max
        self._keep(stored.key, [*others, stored] if is_kept else others, stored.response_time)
        return is_kept

    def put_above(self, stored: StoredResponse) -> bool:
        """Keep a response that a tier below is told of by somebody else; as `put` beside that."""
        return MemoryStore.put(self, stored)

    def replace(self, old: StoredResponse, new: StoredResponse) -> bool:
        """Put `new` where `old` was, if `old` is still kept: a freshened response.

        Returns False where `old` was evicted or replaced meanwhile; nothing changes then.
        """
        responses = self._responses(old.key)
        kept = next((other for other in responses if _is_same(other, old)), None)
        if kept is None:
            return False
        if kept is not old and kept.body_id == new.body_id:
            new = dataclasses.replace(new, derived=kept.derived)
        others = [other for other in responses if other is not kept and other.vary != new.vary]
        self._keep(new.key, [*others, new], new.response_time)
        return True

    def latest(self, body_id: BodyId) -> StoredResponse | None:
        """Return what is kept now of these very bytes, freshened or with more codings."""
        for stored in self._responses(body_id[0]):
            if stored.body_id == body_id:
                return stored
        return None

    def attach(
        self, stored: StoredResponse, coding: Coding, made: DerivedBody | None
    ) -> StoredResponse | None:
        """Add a body in another coding to what is kept now of these very bytes.

        Returns what is kept from now on, None where nothing is. A body that there is no room for
        counts as one that is not to be had.
        """
        variants = self._index.get(stored.key)
        now = self.latest(stored.body_id)
        if variants is None or now is None:
            return None
        if made is not None and variants.weight + len(made.body) > self._bytes_max:
            made = None
        new = with_derived(now, coding, made)
        responses = [new if other is now else other for other in variants.responses]
        self._keep(stored.key, responses, variants.touched)
        return new

    def drop(self, stored: StoredResponse) -> bool:
        """Let go of one response; returns False where it was evicted or replaced meanwhile."""
        responses = self._responses(stored.key)
        others = [other for other in responses if not _is_same(other, stored)]
        if len(others) == len(responses):
            return False
        self._keep(stored.key, others, stored.response_time)
        return True

    def forget(self, key: Key) -> int:
        """Drop everything stored under `key`; returns how many responses that were."""
        variants = self._index.get(key)
        if variants is None:
            return 0
        self._recency.let_go(key)
        return len(variants.responses)

    def remember(self, stored: StoredResponse, memo: Memo) -> None:
        """Let a response carry a memo as long as it is kept and there is room for so many.

        What is not kept carries it until it goes itself.
        """
        if stored in self._responses(stored.key):
            self._recency.remember(stored, memo)
        else:
            stored.memo = memo

    def _responses(self, key: Key) -> tuple[StoredResponse, ...]:
        variants = self._index.get(key)
        return () if variants is None else variants.responses

    def _keep(self, key: Key, responses: list[StoredResponse], now: float) -> None:
        excess = len(responses) - VARIANTS_MAX
        kept = responses[max(excess, 0) :]
        while sum(stored.weight for stored in kept) > self._bytes_max:
            kept.pop(0)
        self._recency.evictions += len(responses) - len(kept)
        if kept:
            self._recency.keep(key, _Variants(tuple(kept), now))
        else:
            self._recency.let_go(key)


def _is_same(kept: StoredResponse, stored: StoredResponse) -> bool:
    """Tell whether it is that response, though perhaps with more codings of its body by now."""
    return kept is stored or (
        kept.response_time == stored.response_time and kept.body_id == stored.body_id
    )
