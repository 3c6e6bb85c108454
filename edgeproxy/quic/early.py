"""Whether a client's early data may be read (RFC 8446 section 8, RFC 9001 section 4.6).

Whoever recorded a client's first datagrams can send them again, and early data is read before the
client has shown that it is there. So a ticket allows it in one process only, the one that gave it
out, which remembers what it has accepted: here, by ticket. What is remembered is bounded, and what
was forgotten is refused by its age: a ClientHello says how old its ticket is, and is believed when
that agrees with the clock here. Refusing costs a client a round trip and nothing else.

Times are seconds of a monotonic clock: no step of the wall clock makes an old ClientHello new.
"""

import os
from collections import Counter
from dataclasses import dataclass
from typing import Final

AGE_SECONDS: Final = 10.0
"""By how much a client's clock and the network may be wrong (RFC 8446 section 8.3)."""

LIFETIME_SECONDS: Final = 24 * 3600.0
"""How long a ticket allows early data; the session in it may go on for longer."""

# A ClientHello is as good as new for twice the tolerance: it may have been that early and then be
# that late. So long a ticket must be remembered; longer as long as there is room. 800 a second.
REMEMBERED_SECONDS: Final = 2 * AGE_SECONDS + 1
REMEMBERED_MAX: Final = 16_384

SIZE_ANY: Final = 0xFFFFFFFF
"""What a ticket over QUIC says of how much it may be (RFC 9001 section 4.6.1): windows bound it."""

_PROCESS_BYTES: Final = 8
_AGES: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Offer:
    """What a ticket holds that allows early data, sealed with the rest of it.

    `process` is who gave it out and when (`issued`); `terms` stand for all that the client
    remembers of us; `age_add` hides the age that it tells, in milliseconds.
    """

    process: bytes
    terms: bytes
    age_add: int
    issued: float


class EarlyData:
    """The early data of one process: whether there is any, and what came of it (`outcomes`)."""

    def __init__(self, *, is_on: bool = False, remembered_max: int = REMEMBERED_MAX) -> None:
        self.is_on = is_on
        self.outcomes: Counter[str] = Counter()
        self._process = os.urandom(_PROCESS_BYTES)
        self._remembered_max = remembered_max
        self._accepted: dict[bytes, float] = {}  # tickets, and when; oldest first

    def offer(self, terms: bytes, age_add: int, now: float) -> Offer | None:
        """Return what a ticket that is given out now says of early data."""
        return Offer(self._process, terms, age_add, now) if self.is_on else None

    def accepts(
        self, offer: Offer | None, ticket: bytes, age: int, *, terms: bytes, now: float
    ) -> bool:
        """Decide, once, about the early data of a client that has proven to own the session.

        `ticket` is what tells it from all others, `age` as the ClientHello says it, `terms` those
        that hold now.
        """
        reason = self._refusal(offer, age, terms, now) or self._remember(ticket, now)
        self.outcomes[reason or "accepted"] += 1
        return not reason

    def refused(self, reason: str) -> None:
        """Count early data that came without a session that resumes."""
        self.outcomes[reason] += 1

    def _refusal(self, offer: Offer | None, age: int, terms: bytes, now: float) -> str:
        """Return what speaks against it, "" if nothing does."""
        if not self.is_on:
            return "off"
        if offer is None:
            return "not_offered"
        if offer.process != self._process:
            return "other_process"
        if offer.terms != terms:
            return "changed"
        ours = now - offer.issued
        theirs = ((age - offer.age_add) % _AGES) / 1000
        if ours > LIFETIME_SECONDS or abs(ours - theirs) > AGE_SECONDS:
            return "age"
        return ""

    def _remember(self, ticket: bytes, now: float) -> str:
        """Take note of a ticket; return why that cannot be, "" if it can."""
        accepted = self._accepted
        if ticket in accepted:
            return "replayed"
        if len(accepted) >= self._remembered_max:
            oldest = next(iter(accepted))
            if now - accepted[oldest] < REMEMBERED_SECONDS:
                return "full"
            del accepted[oldest]
        accepted[ticket] = now
        return ""
