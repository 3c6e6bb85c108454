"""Keeps stored responses in memory, bounded in bytes, the least recently used key going first.

Must not judge: freshness, Vary and validators are `cache/`'s business (RFC 9111 section 2 leaves
eviction to us). Synchronous, never raises towards the data path.

Invariants: `bytes` is the sum of the weights of everything kept and never exceeds `bytes_max`; the
index and the recency order hold the same keys; a set of variants is never changed in place, so a
caller may go on reading what `candidates` returned.
"""

import dataclasses
from collections.abc import Awaitable, Sequence

from cachetools import LRUCache

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


class _Variants:
    """Everything stored under one key, the newest last."""

    __slots__ = ("responses", "touched", "weight")

    def __init__(self, responses: tuple[StoredResponse, ...], touched: float) -> None:
        self.responses = responses
        self.touched = touched
        self.weight = sum(stored.weight for stored in responses)


class _Recency(LRUCache[bytes, _Variants]):
    """The order of use, and beside it a plain dict that a hit reads without a call."""

    def __init__(self, bytes_max: int) -> None:
        super().__init__(bytes_max, getsizeof=lambda variants: variants.weight)
        self.index: dict[bytes, _Variants] = {}
        self.objects = 0  # counted along, since whoever asks may ask often and must not walk
        self.evictions = 0

    def __setitem__(self, key: bytes, value: _Variants) -> None:
        super().__setitem__(key, value)
        before = self.index.get(key)
        self.objects += len(value.responses) - (0 if before is None else len(before.responses))
        self.index[key] = value

    def __delitem__(self, key: bytes) -> None:
        super().__delitem__(key)
        self.objects -= len(self.index.pop(key).responses)

    def resize(self, bytes_max: int) -> None:
        """Keep so much from now on, making room at once.

        cachetools has no such thing; it keeps its bound where nobody looks for it.
        """
        vars(self)["_Cache__maxsize"] = bytes_max
        while self.currsize > bytes_max:
            self.popitem()

    def popitem(self) -> tuple[bytes, _Variants]:
        """Make room."""
        item = super().popitem()
        self.evictions += len(item[1].responses)
        return item


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
        self._recency.resize(bytes_max)

    @property
    def large_bytes_max(self) -> int:
        """What a body may have that only a tier below memory keeps; 0: there is none."""
        return 0

    @property
    def bytes(self) -> int:
        """The weight of everything kept."""
        return int(self._recency.currsize)

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
        self._recency[key]  # reading moves the key to the young end

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
        del self._recency[key]
        return len(variants.responses)

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
            self._recency[key] = _Variants(tuple(kept), now)
        elif key in self._index:
            del self._recency[key]


def _is_same(kept: StoredResponse, stored: StoredResponse) -> bool:
    """Tell whether it is that response, though perhaps with more codings of its body by now."""
    return kept is stored or (
        kept.response_time == stored.response_time and kept.body_id == stored.body_id
    )
