"""Secondary keys: which requests a stored response was selected by (RFC 9111 section 4.1).

Compares; does not fetch candidates. Values are normalised only where that cannot change what an
origin makes of them: lines are joined, and the blanks around the commas go, because whoever joins
lines on the way may write any (RFC 9110 section 5.3); not so where a comma is part of the text.
Content codings are compared by what they mean, since every browser writes them in another order.
Elsewhere case and order stay: an origin that compares languages byte by byte would otherwise let
one client choose what another one reads.

Some fields select although no Vary names them. Nobody may keep CDN-Loop and Via from the origin
(RFC 8586 section 2, RFC 9110 section 7.6.3), so whoever writes something into them must be the
only one who gets what comes of it; and an Access-Control-Allow-Origin that repeats an Origin is
that origin's. Not to reuse is always allowed (RFC 9111 section 4).
"""

import re
from collections.abc import Iterable
from typing import Protocol

from edgeproxy.http.codings import canonical
from edgeproxy.http.fields import is_token, list_members
from edgeproxy.http.hop_by_hop import connection_options
from edgeproxy.http.messages import Field

Vary = tuple[tuple[bytes, bytes | None], ...]
"""Nominated names with the normalised value that the selecting request had; None for absent."""

NAMES_MAX = 16
"""More nominated names than this and the response is not reusable. Our choice: real origins name
four at most, and every name multiplies the variants of a URL."""

# Written anew for every request that goes to the next hop, with who asked and how: there is nothing
# of the client's to compare.
_WRITTEN_HERE = frozenset({b"forwarded", b"via"})
_UNNAMED = frozenset({b"cdn-loop", b"via"})
# Fields that are no lists, and may hold a comma all the same.
_TEXTS = frozenset(
    {b"authorization", b"cookie", b"date", b"from", b"origin", b"referer", b"user-agent"}
)
# Lists whose members have weights.
_WEIGHTED = frozenset({b"accept", b"accept-charset", b"accept-encoding", b"accept-language"})
_WEIGHT_BLANKS = re.compile(rb"[ \t]*;[ \t]*")


class Selected(Protocol):
    """What matching reads of a stored response."""

    vary: Vary
    is_vary_free: bool


def nominated(fields: Iterable[Field]) -> tuple[bytes, ...] | None:
    """Return the lower-case names that Vary nominates; None if nothing can ever match.

    That is a `*` anywhere, a member that is no field name, a field that differs from request to
    request because we write it, or more than `NAMES_MAX` names.
    """
    values = [value for name, value in fields if name == b"vary"]
    if not values:
        return ()
    names = tuple(dict.fromkeys(member.lower() for member in list_members(values)))
    if b"*" in names or len(names) > NAMES_MAX or not all(map(is_token, names)):
        return None
    if not _WRITTEN_HERE.isdisjoint(names):
        return None
    return names


NOT_ONLY_NAMED = _UNNAMED | {b"origin"}
"""Fields that may select without being nominated."""


def implied(request_fields: Iterable[Field], fields: Iterable[Field]) -> tuple[bytes, ...]:
    """Return the names that select a response although its Vary need not name them.

    They are fields that the request had: a response to a request without them is for everybody.
    """
    asked = list(request_fields)
    names = {name for name, _ in asked if name in _UNNAMED}
    allowed = {value for name, value in fields if name == b"access-control-allow-origin"}
    if any(name == b"origin" and value in allowed for name, value in asked):
        names.add(b"origin")
    return tuple(sorted(names))


def selection(fields: Iterable[Field], request_fields: Iterable[Field]) -> Vary:
    """Return what a response is selected by that answers a request of those fields."""
    lines, asked = list(fields), list(request_fields)
    names = dict.fromkeys((*(nominated(lines) or ()), *implied(asked, lines)))
    return selecting_values(tuple(names), asked)


def speaks_for(fields: Iterable[Field], request_fields: Iterable[Field], stored: Selected) -> bool:
    """Tell whether a response, to such a request, may update one that this request selects.

    Not where more selects it than selected what is stored: it would be told to more clients.
    """
    return {name for name, _ in stored.vary}.issuperset(implied(request_fields, fields))


def is_unnamed_match(stored: Selected, request_fields: Iterable[Field]) -> bool:
    """Tell whether what no Vary need name selects this response for such a request.

    Where it does not, even a 304 must not lead to it: the origin does not know of the difference.
    """
    unnamed = tuple(line for line in stored.vary if line[0] in NOT_ONLY_NAMED)
    return unnamed == selecting_values(tuple(name for name, _ in unnamed), request_fields)


def selecting_values(names: tuple[bytes, ...], request_fields: Iterable[Field]) -> Vary:
    """Return the nominated fields of a request, normalised; None stands for an absent field.

    A field that Connection lists never reaches the origin, so it counts as absent: otherwise a
    client could have the answer for "absent" stored under a value of its choice.
    """
    if not names:
        return ()
    lines = list(request_fields)
    hidden = connection_options(lines)
    return tuple((name, None if name in hidden else _normalised(name, lines)) for name in names)


def matches(stored: Selected, request_fields: Iterable[Field]) -> bool:
    """Tell whether a request selects this variant."""
    if stored.is_vary_free:
        return True
    names = tuple(name for name, _ in stored.vary)
    return selecting_values(names, request_fields) == stored.vary


def _normalised(name: bytes, lines: list[Field]) -> bytes | None:
    values = [value for present, value in lines if present == name]
    if not values:
        return None
    if name in _TEXTS:
        return b", ".join(values)
    if name not in _WEIGHTED:
        return b",".join(list_members(values))
    even = b",".join(map(_without_blanks, list_members(values)))
    if name != b"accept-encoding":
        return even
    meaning = canonical(even)
    # What is not read never begins with a comma, so the two forms never meet.
    return even.lower() if meaning is None else b"," + meaning


def _without_blanks(member: bytes) -> bytes:
    # A quoted parameter may hold blanks that mean something.
    return member if b'"' in member else _WEIGHT_BLANKS.sub(b";", member)
