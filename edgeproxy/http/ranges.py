"""Byte ranges of a complete representation (RFC 9110 section 14).

One range is honoured. More than one is ignored, so that no request can make the edge send an
object many times over or split it to crumbs (section 14.2 allows to ignore the field).
"""

import re
from dataclasses import dataclass

from edgeproxy.http.fields import parse_digits

_CONTENT_RANGE = re.compile(rb"bytes ([0-9]++)-([0-9]++)/([0-9]++)", re.IGNORECASE)
_SINGLE = re.compile(rb"bytes=[ \t]*([0-9]*+)-([0-9]*+)[ \t]*", re.IGNORECASE)
# Beyond any length: what does not fit is simply past the end.
_POSITION_MAX = 2**63


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Positions of the first and the last byte, both inclusive."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def content_range(self, length: int) -> bytes:
        """Return the Content-Range value of a 206 cut from `length` bytes."""
        return b"bytes %d-%d/%d" % (self.first, self.last, length)


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    """No byte lies in the range: the answer is 416."""

    length: int

    def content_range(self) -> bytes:
        """Return the Content-Range value of the 416 (RFC 9110 section 15.5.17)."""
        return b"bytes */%d" % self.length


def resolve_range(value: bytes, length: int) -> ByteRange | Unsatisfiable | None:
    """Resolve a Range value against a representation of `length` bytes.

    None means: ignore the field and answer 200 (bad syntax, another unit, several ranges).
    """
    match = _SINGLE.fullmatch(value)
    if match is None or match[1] == match[2] == b"":
        return None
    if not match[1]:
        return _suffix(_position(match[2]), length)
    first = _position(match[1])
    last = _position(match[2]) if match[2] else length - 1
    if match[2] and last < first:
        return None
    if first >= length:
        return Unsatisfiable(length)
    return ByteRange(first, min(last, length - 1))


def parse_content_range(value: bytes) -> tuple[ByteRange, int] | None:
    """Return which bytes of how many a 206 holds; None unless it says both, and rightly so.

    Another unit, an unknown length or an impossible range are None (RFC 9110 section 14.4).
    """
    match = _CONTENT_RANGE.fullmatch(value)
    if match is None:
        return None
    first, last, length = (_position(digits) for digits in match.groups())
    if not first <= last < length < _POSITION_MAX:
        return None
    return ByteRange(first, last), length


def _suffix(count: int, length: int) -> ByteRange | Unsatisfiable | None:
    if count == 0:
        return Unsatisfiable(length)
    if length == 0:
        # Satisfiable by section 14.1.2, but no Content-Range can say so.
        return None
    return ByteRange(max(0, length - count), length - 1)


def _position(digits: bytes) -> int:
    return parse_digits(digits, maximum=_POSITION_MAX) or 0
