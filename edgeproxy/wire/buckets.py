"""A token bucket without a clock: how often a peer may make us do something cheap for it to ask.

The caller passes `now`, a monotonic time in seconds.
"""


class TokenBucket:
    """Holds up to `burst` tokens, all of them at first, and gains `per_second` each second."""

    __slots__ = ("_at", "_burst", "_per_second", "_tokens")

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst = float(burst)
        self._per_second = per_second
        self._at = 0.0
        self._tokens = float(burst)

    def take(self, now: float) -> bool:
        """Take one token; False when none is left."""
        tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        has_one = tokens >= 1.0
        self._tokens = tokens - 1.0 if has_one else tokens
        return has_one

    def give(self) -> None:
        """Put one token back, if there is room for it."""
        self._tokens = min(self._burst, self._tokens + 1.0)
