"""The only file that reads a clock.

Pure code takes `now` as an argument. Shells hold a `Clock`; tests hand them one that they move
by hand.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """What time it is, on two scales."""

    def now(self) -> float:
        """Seconds since the epoch: for ages, dates and certificates."""

    def monotonic(self) -> float:
        """Seconds on a scale that never jumps: for deadlines and durations."""


class SystemClock:
    """The machine's clocks."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
