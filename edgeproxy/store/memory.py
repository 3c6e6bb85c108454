"""Keeps stored responses in memory, bounded in bytes, the least recently used key going first.

Must not judge: freshness, Vary and validators are `cache/`'s business (RFC 9111 section 2 leaves
eviction to us). Synchronous, never raises towards the data path.

Invariants: `bytes` is the sum of the weights of everything kept and never exceeds `bytes_max`; the
index and the recency order hold the same keys; a set of variants is never changed in place, so a
caller may go on reading what `candidates` returned.
"""

from collections.abc import Sequence

from cachetools import LRUCache

from edgeproxy.cache.stored import StoredResponse

Key = bytes  # an alias, because `MemoryStore.bytes` hides the builtin in its class

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
        self.evictions = 0

    def __setitem__(self, key: bytes, value: _Variants) -> None:
        super().__setitem__(key, value)
        self.index[key] = value

    def __delitem__(self, key: bytes) -> None:
        super().__delitem__(key)
        del self.index[key]

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

    @property
    def bytes(self) -> int:
        """The weight of everything kept."""
        return int(self._recency.currsize)

    @property
    def objects(self) -> int:
        """How many stored responses are kept, each variant counted."""
        return sum(len(variants.responses) for variants in self._index.values())

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
            self._recency[key]  # reading moves the key to the young end
        return variants.responses

    def put(self, stored: StoredResponse) -> bool:
        """Keep a response in place of the one with equal selecting values.

        Returns False where it is too large to be kept; an older one then goes all the same, since
        it is not the latest answer any more.
        """
        others = [other for other in self._responses(stored.key) if other.vary != stored.vary]
        is_kept = stored.weight <= self.object_bytes_max
        self._keep(stored.key, [*others, stored] if is_kept else others, stored.response_time)
        return is_kept

    def replace(self, old: StoredResponse, new: StoredResponse) -> bool:
        """Put `new` where `old` was, if `old` is still kept: a freshened response.

        Returns False where `old` was evicted or replaced meanwhile; nothing changes then.
        """
        responses = self._responses(old.key)
        if not any(other is old for other in responses):
            return False
        others = [other for other in responses if other is not old and other.vary != new.vary]
        self._keep(new.key, [*others, new], new.response_time)
        return True

    def drop(self, stored: StoredResponse) -> bool:
        """Let go of one response; returns False where it was evicted or replaced meanwhile."""
        responses = self._responses(stored.key)
        others = [other for other in responses if other is not stored]
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
