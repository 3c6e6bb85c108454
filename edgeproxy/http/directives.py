"""Cache-Control as a value (RFC 9111 section 5.2).

Reads; does not decide what a directive means for storing or reuse. Names are lower-case; unknown
directives are kept and harmless; where a directive is repeated or broken, the answer is always the
more restrictive one, so that a mistake costs freshness and never correctness (section 4.2.1).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from edgeproxy.http.fields import OWS, is_token, list_members, parse_delta_seconds

Directive = tuple[bytes, bytes | None]

# A name, then nothing, or "=" and a token or a quoted string. What else follows a name is kept as
# an invalid argument: `no-store; max-age=60` still says no-store.
_DIRECTIVE = re.compile(
    rb"(?P<name>[!#$%&'*+\-.^_`|~0-9A-Za-z]++)"
    rb"(?:=(?:(?P<token>[!#$%&'*+\-.^_`|~0-9A-Za-z]++)|\"(?P<quoted>(?:[^\"\\]++|\\.)*)\"))?",
    re.DOTALL,
)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_INVALID = b""


@dataclass(frozen=True, slots=True)
class Directives:
    """The directives of one field, in order.

    An argument comes without its quotes; it is None where there is none, b"" where it is broken.
    """

    all: tuple[Directive, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.all)

    def has(self, name: bytes) -> bool:
        """Tell whether the directive is there, with or without an argument."""
        return any(present == name for present, _ in self.all)

    def arguments(self, name: bytes) -> tuple[bytes | None, ...]:
        """Return the argument of every occurrence."""
        return tuple(argument for present, argument in self.all if present == name)

    def seconds(self, name: bytes) -> int | None:
        """Return the smallest delta-seconds of all occurrences, None if the directive is absent.

        A missing or invalid argument counts as 0; a huge one is capped at 2**31.
        """
        arguments = self.arguments(name)
        if not arguments:
            return None
        return min(parse_delta_seconds(argument or _INVALID) or 0 for argument in arguments)

    def names(self, name: bytes) -> tuple[bytes, ...] | None:
        """Return the field names of a qualified `no-cache` or `private`, lower-case.

        None when the directive is absent or meant without qualification (`has` tells which): one
        occurrence without names, or with broken ones, outweighs the qualified occurrences.
        """
        arguments = self.arguments(name)
        names: list[bytes] = []
        for argument in arguments:
            listed = [member.strip(OWS) for member in (argument or _INVALID).split(b",")]
            if not all(map(is_token, listed)):
                return None
            names += [member.lower() for member in listed]
        return tuple(names) or None


NONE = Directives()


def parse_cache_control(values: Iterable[bytes]) -> Directives:
    """Parse the lines of one Cache-Control field; what does not begin with a name is left out."""
    directives = tuple(
        _directive(match, member)
        for member in list_members(values)
        if (match := _DIRECTIVE.match(member))
    )
    return Directives(directives) if directives else NONE


def _directive(match: re.Match[bytes], member: bytes) -> Directive:
    name = match["name"].lower()
    if match.end() != len(member):
        return name, _INVALID
    if (quoted := match["quoted"]) is not None:
        return name, _ESCAPED.sub(rb"\1", quoted)
    return name, match["token"]
