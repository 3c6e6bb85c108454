"""Byte ranges of a complete representation (RFC 9110 section 14).

One range is honoured. More than one is ignored, so that no request can make the edge send an
object many times over or split it to crumbs (section 14.2 allows to ignore the field).
"""

from dataclasses import dataclass


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
    raise NotImplementedError
