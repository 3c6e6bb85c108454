"""A token bucket without a clock: how often a peer may make us do something cheap for it to ask.

The caller passes `now`, a monotonic time in seconds.
"""


class TokenBucket:
    """Holds up to `burst` tokens and gains `per_second` of them each second."""

    __slots__ = ("_at", "_burst", "_per_second", "tokens")

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst = float(burst)
        self._per_second = per_second
        self._at = 0.0
        self.tokens = float(burst)

    def take(self, now: float) -> bool:
        """Take one token; False when none is left."""
        if self.tokens < 1.0:
            self.tokens = min(self._burst, self.tokens + (now - self._at) * self._per_second)
            self._at = now
            if self.tokens < 1.0:
                return False
        elif self.tokens == self._burst:
            self._at = now  # a full bucket gains nothing: refill counts from the first token taken
        self.tokens -= 1.0
        return True

    def give(self, tokens: float) -> None:
        """Put tokens back, for work of the peer's that justifies what it will ask."""
        self.tokens = min(self._burst, self.tokens + tokens)
