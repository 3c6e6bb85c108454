"""Cache-Control as a value (RFC 9111 section 5.2).

Reads; does not decide what a directive means for storing or reuse. Names are lower-case; unknown
directives are kept and harmless; where a directive is repeated or broken, the answer is always the
more restrictive one, so that a mistake costs freshness and never correctness (section 4.2.1).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from edgeproxy.http.fields import list_members, parse_delta_seconds

Directive = tuple[bytes, bytes | None]


@dataclass(frozen=True, slots=True)
class Directives:
    """The directives of one field, in order; an argument is without its quotes, None if absent."""

    all: tuple[Directive, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.all)

    def has(self, name: bytes) -> bool:
        """Tell whether the directive is there, with or without an argument."""
        raise NotImplementedError

    def arguments(self, name: bytes) -> tuple[bytes | None, ...]:
        """Return the argument of every occurrence."""
        raise NotImplementedError

    def seconds(self, name: bytes) -> int | None:
        """Return the smallest delta-seconds of all occurrences, None if the directive is absent.

        A missing or invalid argument counts as 0; a huge one is capped at 2**31.
        """
        raise NotImplementedError

    def names(self, name: bytes) -> tuple[bytes, ...] | None:
        """Return the field names of a qualified `no-cache` or `private`, lower-case.

        None when the directive is absent or meant without qualification (`has` tells which): one
        occurrence without names, or with broken ones, outweighs the qualified occurrences.
        """
        raise NotImplementedError


NONE = Directives()


def parse_cache_control(values: Iterable[bytes]) -> Directives:
    """Parse the lines of one Cache-Control field; what is not a directive is left out."""
    raise NotImplementedError
