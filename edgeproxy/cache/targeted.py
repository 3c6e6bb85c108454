"""Which directives count for this cache: the general ones, or those addressed to it (RFC 9213).

Reads; what a directive means for storing and reuse is decided elsewhere. The target list, the
first valid, non-empty field of which rules alone (RFC 9213 section 2.2):

1. CDN-Cache-Control, a Structured Field: broken anywhere, it is ignored as a whole (section 2.1);
2. Surrogate-Control, whose syntax is older than Structured Fields (W3C Note "Edge Architecture
   Specification 1.0", section 2): a list like that of Cache-Control, in which a directive may be
   addressed to devices by `;name`. What is addressed to others is not for us; what is addressed to
   us goes before what is addressed to nobody. It rules only if something in it is about caching:
   origins also announce ESI in it.

Where one of them rules, Cache-Control and Expires count for nothing.
"""

import re
from collections.abc import Iterable

from edgeproxy.http.directives import Directive, Directives, parse_cache_control
from edgeproxy.http.fields import OWS, list_members
from edgeproxy.http.messages import Field
from edgeproxy.http.structured import Dictionary, Item, Token, parse_dictionary

SURROGATE = b"edgeproxy"
"""The name under which Surrogate-Control may address us: `origin/outbound` announces it."""

_ABOUT_CACHING = frozenset(
    {
        *(b"max-age", b"s-maxage", b"no-store", b"no-cache", b"private"),
        *(b"must-revalidate", b"proxy-revalidate"),
        *(b"stale-while-revalidate", b"stale-if-error"),
    }
)
# A lifetime, and how much longer it may be served while it is validated.
_EXTENDED = re.compile(rb"([0-9]++)\+([0-9]++)")
# A directive ends at the first `;` outside of a string; see `http/fields.py` for the stars.
_DIRECTIVE = re.compile(rb'(?:[^";]++|"(?:[^"\\]++|\\.)*")*', re.DOTALL)


def ruling_directives(fields: Iterable[Field]) -> tuple[Directives, bool]:
    """Return the directives that count for this cache, and whether they are targeted."""
    cdn: list[bytes] = []
    surrogate: list[bytes] = []
    general: list[bytes] = []
    for name, value in fields:
        if name == b"cdn-cache-control":
            cdn.append(value)
        elif name == b"surrogate-control":
            surrogate.append(value)
        elif name == b"cache-control":
            general.append(value)
    if cdn and (members := parse_dictionary(cdn)):
        return _of_dictionary(members), True
    if surrogate and (directives := _of_surrogate_control(surrogate)):
        return directives, True
    return parse_cache_control(general), False


def _of_dictionary(members: Dictionary) -> Directives:
    return Directives(tuple((key.encode(), _argument(value)) for key, value in members.items()))


def _argument(member: object) -> bytes | None:
    """Map a dictionary member to a directive's argument; of a wrong type, to one that is broken."""
    value = member.value if isinstance(member, Item) else member
    if value is True:
        return None
    if isinstance(value, bool):
        return b""
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, Token):
        return value.encode()
    if isinstance(value, str):
        # A String where an Integer belongs must not pass for one (RFC 9213 section 2.1).
        return value.encode() if not value.isdecimal() else b""
    return b""


def _of_surrogate_control(values: Iterable[bytes]) -> Directives | None:
    """Return what is for us, None where nothing of it is about caching."""
    to_us: list[Directive] = []
    to_nobody: list[Directive] = []
    for member in list_members(values):
        match = _DIRECTIVE.match(member)
        end = match.end() if match and member[match.end() :][:1] == b";" else len(member)
        said = member[:end]
        names = [name.strip(OWS).lower() for name in member[end:].split(b";")[1:]]
        if names and SURROGATE not in names:
            continue
        (to_us if names else to_nobody).extend(_understood(said.strip(OWS)))
    named = {name for name, _ in to_us}
    directives = (*to_us, *(each for each in to_nobody if each[0] not in named))
    if not any(name in _ABOUT_CACHING for name, _ in directives):
        return None
    return Directives(directives)


def _understood(said: bytes) -> Iterable[Directive]:
    for name, argument in parse_cache_control([said]).all:
        if name == b"no-store-remote":
            # We are the remote surrogate: an edge is far from its origin.
            yield b"no-store", None
        elif name == b"max-age" and (match := _EXTENDED.fullmatch(argument or b"")):
            yield name, match[1]
            yield b"stale-while-revalidate", match[2]
        else:
            yield name, argument
