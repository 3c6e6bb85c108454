"""A verified OCSP response, and until when it may be handed out (RFC 6960 section 4.2.2.1).

Made by `verification` only. Staples are frozen: a newer one is another value.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Staple:
    """A DER response that says GOOD of one leaf.

    Times are seconds since the epoch. `next_update` is the responder's own, or a day after
    `this_update` where it names none; `usable_until` is when clients may begin to refuse it (the
    earlier of `next_update` and the end of the responder's certificate), less a margin for clocks.
    """

    der: bytes
    this_update: float
    next_update: float
    usable_until: float

    def is_usable(self, now: float) -> bool:
        """Whether it may be handed out."""
        return now < self.usable_until
