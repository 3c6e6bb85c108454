"""The grammar that field names and values share, and the numbers they carry.

Strict on bytes: nothing here goes through `int()` or `str` before a pattern has matched, because
Python's own conversions accept signs, underscores, blanks and the digits of other scripts.
RFC 9110 sections 5.1, 5.5, 5.6 and 8.6; RFC 9111 section 1.2.2. Decides nothing.
"""

import re
from collections.abc import Iterable, Iterator

DELTA_SECONDS_MAX = 2**31
"""What a delta-seconds value that is too large is taken as (RFC 9111 section 1.2.2)."""

OWS = b" \t"
"""Optional whitespace: the only bytes that `strip` may remove (RFC 9110 section 5.6.3)."""

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FORBIDDEN_IN_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_DIGITS = re.compile(rb"[0-9]+")
# It stops at a comma, at the end, or at a quote that nothing closes; in linear time, since its
# alternatives are disjoint. Groups are not repeated possessively: Python before 3.11.5 does not go
# back where such a repetition fails on its way, and a broken quote would hide what is behind it.
_LIST_MEMBER = re.compile(rb'(?:[^",]++|"(?:[^"\\]++|\\.)*")*', re.DOTALL)

# 18 digits always fit in 63 bits; no real message comes near.
_CONTENT_LENGTH_DIGITS_MAX = 18


def is_token(value: bytes) -> bool:
    """Tell whether `value` is a token: a method, a field name, a directive name."""
    return _TOKEN.fullmatch(value) is not None


def is_field_value(value: bytes) -> bool:
    """Tell whether `value` may stand in a field line.

    Every control byte but HTAB is refused, which is stricter than the CR, LF and NUL that the RFC
    names: a cache must not remember what the next hop may choke on.
    """
    if not value:
        return True
    return (
        _FORBIDDEN_IN_VALUE.search(value) is None and value[0] not in OWS and value[-1] not in OWS
    )


def list_members(values: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the members of a list-based field, over all its lines, without surrounding OWS.

    A comma inside a quoted string does not split; empty members are left out. Behind a quote that
    is never closed every comma splits: a broken string must not hide a directive.
    """
    for value in values:
        for member in _split(value):
            if stripped := member.strip(OWS):
                yield stripped


def _split(value: bytes) -> Iterator[bytes]:
    if b'"' not in value:
        yield from value.split(b",")
        return
    start = 0
    while start <= len(value):
        match = _LIST_MEMBER.match(value, start)
        end = match.end() if match else start
        if value[end : end + 1] == b'"':
            yield from value[start:].split(b",")
            return
        yield value[start:end]
        start = end + 1


def parse_digits(value: bytes, *, maximum: int) -> int | None:
    """Return the number that ASCII digits spell, at most `maximum`; None for anything else."""
    if _DIGITS.fullmatch(value) is None:
        return None
    digits = value.lstrip(b"0")
    if len(digits) > len(str(maximum)):
        return maximum
    return min(int(digits or b"0"), maximum)


def parse_delta_seconds(value: bytes) -> int | None:
    """Return a delta-seconds value, capped at `DELTA_SECONDS_MAX`; None if it is not one."""
    return parse_digits(value, maximum=DELTA_SECONDS_MAX)


def parse_content_length(values: list[bytes]) -> int | None:
    """Return what all Content-Length lines agree on, None without any line.

    Identical repetitions are one value (RFC 9110 section 8.6).

    Raises:
        ValueError: a value is not a number, is absurdly large, or contradicts another.
    """
    if not values:
        return None
    members = {member.strip(OWS) for value in values for member in value.split(b",")}
    if len(members) != 1:
        raise ValueError("conflicting Content-Length values")
    (member,) = members
    if _DIGITS.fullmatch(member) is None or len(member) > _CONTENT_LENGTH_DIGITS_MAX:
        raise ValueError("invalid Content-Length")
    return int(member)
