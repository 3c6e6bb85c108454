"""Deadlines of many connections behind one timer, without a clock.

Every datagram moves a connection's deadline; here that is two set operations. Deadlines are rounded
up, to a millisecond when they are near and to a tenth of a second when they are far: a loop's timer
of less than a millisecond may fire at once and spin.

Invariants: nothing is due before its deadline; each member has one deadline at most; what is kept
grows with members, and with the slots that the next minute has.
"""

import heapq
import math
from typing import Final, Generic, TypeVar

TICK_SECONDS: Final = 0.001
_TICKS_PER_SECOND: Final = 1000
_FAR_TICKS: Final = 1000
_COARSE_TICKS: Final = 100

_Member = TypeVar("_Member")


class Wheel(Generic[_Member]):
    """See the module; times are seconds on any scale that never jumps."""

    def __init__(self) -> None:
        self._slots: dict[int, set[_Member]] = {}
        self._slot_of: dict[_Member, int] = {}
        self._ticks: list[int] = []  # a heap of the slots that were made and not yet passed

    def __len__(self) -> int:
        return len(self._slot_of)

    def put(self, member: _Member, at: float | None, now: float) -> None:
        """Set a member's deadline, None for none."""
        slot = None if at is None else _slot(at, now)
        before = self._slot_of.get(member)
        if before == slot:
            return
        if before is not None:
            del self._slot_of[member]
            self._slots[before].discard(member)
        if slot is None:
            return
        members = self._slots.get(slot)
        if members is None:
            members = self._slots[slot] = set()
            heapq.heappush(self._ticks, slot)
        members.add(member)
        self._slot_of[member] = slot

    def next_at(self) -> float | None:
        """Return when something is due next."""
        while self._ticks and not self._slots[self._ticks[0]]:
            del self._slots[heapq.heappop(self._ticks)]
        return self._ticks[0] / _TICKS_PER_SECOND if self._ticks else None

    def due(self, now: float) -> list[_Member]:
        """Take out the members whose deadlines are over, the oldest first."""
        found: list[_Member] = []
        limit = now * _TICKS_PER_SECOND + 1e-6
        while self._ticks and self._ticks[0] <= limit:
            members = self._slots.pop(heapq.heappop(self._ticks))
            for member in members:
                del self._slot_of[member]
            found.extend(members)
        return found


def _slot(at: float, now: float) -> int:
    """Return the tick of a deadline, at least one away."""
    slot = max(math.ceil(at * _TICKS_PER_SECOND), math.floor(now * _TICKS_PER_SECOND) + 1)
    if slot - now * _TICKS_PER_SECOND > _FAR_TICKS:
        slot += -slot % _COARSE_TICKS
    return slot
