"""Keeps incomplete responses apart from the complete ones, bounded in bytes, by least recent use.

A few megabytes that the hot path never looks at (RFC 9111 section 3.3). Must not judge: what may be
kept, combined and reused is `cache/partial`'s business. Synchronous; a part that does not fit is
simply not kept.

Invariants: the weights of everything kept never exceed `bytes_max`; one key holds at most
`VARIANTS_MAX` incomplete responses, each with selecting values of its own.
"""

from collections.abc import Sequence

from cachetools import LRUCache

from edgeproxy.cache.partial import Partial

VARIANTS_MAX = 4
"""Ours: large content that is asked for in parts is rarely negotiated at all."""


class PartStore:
    """Incomplete responses by cache key."""

    def __init__(self, bytes_max: int) -> None:
        self._kept: LRUCache[bytes, tuple[Partial, ...]] = LRUCache(bytes_max, getsizeof=_weight)

    @property
    def weight(self) -> int:
        """The weight of everything kept."""
        return int(self._kept.currsize)

    def candidates(self, key: bytes) -> Sequence[Partial]:
        """Return what is kept under `key`, the newest last."""
        kept: tuple[Partial, ...] | None = self._kept.get(key)
        return kept or ()

    def put(self, partial: Partial) -> None:
        """Keep it in place of the one with equal selecting values."""
        key = partial.response.key
        variants = (*self._others(partial), partial)[-VARIANTS_MAX:]
        while variants and _weight(variants) > self._kept.maxsize:
            variants = variants[1:]
        self._set(key, variants)

    def drop(self, partial: Partial) -> None:
        """Let go of what has the same selecting values."""
        self._set(partial.response.key, self._others(partial))

    def forget(self, key: bytes) -> None:
        """Drop everything under `key`."""
        self._kept.pop(key, None)

    def _others(self, partial: Partial) -> tuple[Partial, ...]:
        return tuple(
            other
            for other in self.candidates(partial.response.key)
            if other.response.vary != partial.response.vary
        )

    def _set(self, key: bytes, variants: tuple[Partial, ...]) -> None:
        if variants:
            self._kept[key] = variants
        else:
            self.forget(key)


def _weight(variants: tuple[Partial, ...]) -> int:
    return sum(partial.weight for partial in variants)
