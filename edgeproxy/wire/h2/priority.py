"""Extensible priorities: the Priority field's value, in fields and PRIORITY_UPDATE (RFC 9218).

Parses the one dictionary of structured fields (RFC 9651 section 4.2.2) that it needs, and decides
nothing about scheduling. Priorities are hints: whatever is wrong with a value, the request is not.
Members of a wrong type or out of range count as absent (RFC 9218 section 4), a value that does not
parse counts as empty.
"""

import re
from typing import Final, NamedTuple

# RFC 9651 section 3. Alternatives are told apart within a few octets and no repetition contains
# another one's separator, so matching does not explode; values are short all the same.
_KEY: Final = rb"[a-z*][a-z0-9_\-.*]*"
_BARE_ITEM: Final = (
    rb"(?:-?[0-9]{1,12}\.[0-9]{1,3}"
    rb"|-?[0-9]{1,15}"
    rb'|"(?:[ !#-\[\]-~]|\\["\\])*"'
    rb"|[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*"
    rb"|:[A-Za-z0-9+/=]*:"
    rb"|\?[01]"
    rb"|@-?[0-9]{1,15}"
    rb'|%"(?:[ !#$&-~]|%[0-9a-f]{2})*")'
)
_PARAMETERS: Final = rb"(?:; *" + _KEY + rb"(?:=" + _BARE_ITEM + rb")?)*"
_ITEM: Final = _BARE_ITEM + _PARAMETERS
_INNER_LIST: Final = rb"\( *(?:" + _ITEM + rb"(?: +" + _ITEM + rb")*)? *\)"
_match_member: Final = re.compile(
    rb"(?P<key>" + _KEY + rb")"
    rb"(?:=(?P<value>" + _BARE_ITEM + rb"|" + _INNER_LIST + rb"))?" + _PARAMETERS
).match
_match_comma: Final = re.compile(rb"[ \t]*,[ \t]*").match
_is_urgency: Final = re.compile(rb"0*[0-7]|-0+").fullmatch
_BOOLEANS: Final = {b"?0": False, b"?1": True}

# Honest values have some 6 octets. Longer ones are not worth reading, nor many worth remembering.
_VALUE_BYTES_MAX: Final = 256
_KNOWN_MAX: Final = 256


class Priority(NamedTuple):
    """Urgency 0 (first) to 7, and whether responses of one urgency share the bandwidth."""

    urgency: int = 3
    incremental: bool = False


DEFAULT: Final = Priority()
_known: Final[dict[bytes, Priority]] = {}


def parse_priority(value: bytes) -> Priority:
    """Parse a Priority value; the defaults stand in for whatever is absent or wrong."""
    priority = _known.get(value)
    if priority is None:
        if len(value) > _VALUE_BYTES_MAX:
            return DEFAULT
        if len(_known) >= _KNOWN_MAX:
            _known.clear()
        priority = _known[value] = _parse(value)
    return priority


def _parse(value: bytes) -> Priority:
    members = _members(value.strip(b" "))
    urgency = members.get(b"u", b"")
    incremental = members.get(b"i", b"")
    return Priority(
        int(urgency) if _is_urgency(urgency) else DEFAULT.urgency,
        _BOOLEANS.get(incremental, DEFAULT.incremental),
    )


def _members(text: bytes) -> dict[bytes, bytes]:
    """Split a dictionary: of equal keys the last one counts, and all or nothing is valid."""
    members: dict[bytes, bytes] = {}
    at = 0
    while member := _match_member(text, at):
        members[member["key"]] = member["value"] or b"?1"
        if member.end() == len(text):
            return members
        comma = _match_comma(text, member.end())
        if comma is None:
            break
        at = comma.end()
    return {}
