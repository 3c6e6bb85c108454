"""Which workers hang: those whose loops have said nothing for too long.

Counted in looks of the main process, and not by the clock: a machine that stood still, all of it,
finds that everybody was silent for an hour, and nobody hangs. Kills nobody itself.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

from edgeproxy.runtime.children import Child

LOOK_SECONDS: Final = 3.0
"""Ours: how often main looks; workers say twice as often that their loops turn."""
SILENCE_SECONDS: Final = 15.0
"""Ours: who has said nothing for so long hangs. nginx has no such bound, Gunicorn 30 s (`timeout`);
the longest turn of a loop that is well is one that makes contexts of some thousand identities."""


class Watching:
    """`watchdog_seconds` is how often a service manager wants to hear of us, None: never."""

    def __init__(self, watchdog_seconds: float | None, monotonic: Callable[[], float]) -> None:
        self.every = min(LOOK_SECONDS, watchdog_seconds or LOOK_SECONDS)
        self._monotonic = monotonic
        self._looks_max = math.ceil(SILENCE_SECONDS / self.every)
        self.due = monotonic()

    @property
    def alive_seconds(self) -> float:
        """How often a worker is to say that its loop turns."""
        return self.every / 2

    def look(self, workers: Sequence[Child]) -> bool:
        """Count who has been silent since the last look; False: it is not time for one."""
        now = self._monotonic()
        if now < self.due:
            return False
        self.due = now + self.every
        for each in workers:
            each.silent += 1
        return True

    def hanging(self, workers: Sequence[Child]) -> list[Child]:
        """Return who is to be replaced."""
        return [each for each in workers if each.pid and each.silent > self._looks_max]

    def is_well(self, workers: Sequence[Child]) -> bool:
        """Whether somebody who serves has said something lately, or nobody could."""
        serving = [each for each in workers if each.is_ready]
        return not serving or any(each.silent <= 2 for each in serving)
