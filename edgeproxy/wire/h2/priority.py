"""Extensible priorities (RFC 9218)."""

from typing import NamedTuple


class Priority(NamedTuple):
    """Urgency 0 (first) to 7, and whether responses of one urgency share the bandwidth."""

    urgency: int = 3
    incremental: bool = False


def parse_priority(value: bytes) -> Priority:
    """Parse a Priority field or frame value; defaults for whatever is wrong."""
    raise NotImplementedError
