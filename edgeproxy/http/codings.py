"""Content codings: what a client accepts, what a response carries, what is worth coding.

Decides which of the forms at hand is sent, and knows nothing of encoders, bodies or stored
responses. Names are compared and returned in lower case, and `x-gzip` is `gzip` everywhere.
RFC 9110 sections 8.4 and 12.5.3.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import islice

from edgeproxy.http.fields import OWS, list_members
from edgeproxy.http.messages import Field

IDENTITY = b"identity"
"""The name of "no coding" in Accept-Encoding; it never stands in Content-Encoding."""

_ACCEPTED_BYTES_MAX = 1024
"""A longer Accept-Encoding is taken as an empty one. Browsers send under 40 octets; what is
longer is no preference but an attempt to make work of one."""

_MEMBERS_MAX = 64
"""Members that are looked at; the registry of content codings holds a dozen names."""

# A coding or `*`, and a weight: at most three decimals, never above 1 (RFC 9110 section 12.4.2).
_ACCEPTED = re.compile(
    rb"(?P<name>[!#$%&'*+\-.^_`|~0-9A-Za-z]++)"
    rb"(?:[ \t]*+;[ \t]*+[qQ]=(?P<weight>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)
_EVERYTHING_ELSE = b"*"
_GZIP = b"gzip"
_WEIGHT_MAX = 1000


def negotiate(accepted: bytes | None, offered: Sequence[bytes]) -> bytes | None:
    """Return the coding of `offered` to send, None if the client refuses every one.

    `accepted` is the combined Accept-Encoding, None without the field; `offered` are lower-case
    names in our order of preference, `identity` anywhere among them where it can be had. The
    highest weight wins, our order decides between equal ones, and identity comes behind a coding of
    the same weight. Where the client does not name identity, it is acceptable, but the last choice
    (RFC 9110 section 12.5.3). A member that is no coding with a valid weight is ignored; of several
    for one coding the first counts.
    """
    if accepted is None:
        return IDENTITY if IDENTITY in offered else next(iter(offered), None)
    weights = _weights(accepted) if len(accepted) <= _ACCEPTED_BYTES_MAX else {}
    best, best_weight = None, 0
    for coding in offered:
        if coding != IDENTITY and (weight := _weight_of_coding(coding, weights)) > best_weight:
            best, best_weight = coding, weight
    if IDENTITY in offered and _weight_of_identity(weights) > best_weight:
        return IDENTITY
    return best or _unasked(weights, offered)


def _unasked(weights: dict[bytes, int], offered: Sequence[bytes]) -> bytes | None:
    """Choose for a client that refuses identity and names nothing that can be had.

    It wants some coding, so that one which it does not refuse serves it better than no content.
    gzip is what practically everybody decodes.
    """
    if weights.get(IDENTITY) != 0 or _EVERYTHING_ELSE in weights:
        return None
    open_ = [coding for coding in offered if coding not in weights]
    return _GZIP if _GZIP in open_ else next(iter(open_), None)


def _weight_of_coding(coding: bytes, weights: dict[bytes, int]) -> int:
    return weights.get(coding, weights.get(_EVERYTHING_ELSE, 0))


def _weight_of_identity(weights: dict[bytes, int]) -> int:
    """Return 1000 times the weight; where identity is not named, something below every other."""
    if (weight := weights.get(IDENTITY)) is not None:
        return weight
    return 0 if weights.get(_EVERYTHING_ELSE) == 0 else 1


def _weights(accepted: bytes) -> dict[bytes, int]:
    """Return 1000 times the weight of every coding that is named, and of `*`."""
    weights: dict[bytes, int] = {}
    for member in islice(list_members([accepted]), _MEMBERS_MAX):
        if match := _ACCEPTED.fullmatch(member):
            weights.setdefault(_canonical(match["name"]), _thousandths(match["weight"]))
    return weights


def canonical(accepted: bytes) -> bytes | None:
    """Return the one form of all Accept-Encoding values of a meaning, None where that is open.

    The order of codings means nothing, and a weight of 1 is one that is not written. A value with a
    member that is no coding, or with one coding twice, may be read in more than one way.
    """
    members = list(list_members([accepted]))
    if len(accepted) > _ACCEPTED_BYTES_MAX or len(members) > _MEMBERS_MAX:
        return None
    weights = _weights(accepted)
    if len(weights) != len(members):
        return None
    return b",".join(b"%s;%d" % line for line in sorted(weights.items()))


def _thousandths(weight: bytes | None) -> int:
    """Turn what the pattern let through into a number from 0 to 1000; no weight means 1."""
    if weight is None or weight.startswith(b"1"):
        return _WEIGHT_MAX
    return int(weight[2:].ljust(3, b"0"))


def _canonical(name: bytes) -> bytes:
    name = name.lower()
    return _GZIP if name == b"x-gzip" else name


def coding_of(fields: Iterable[Field]) -> bytes:
    """Return the content coding that response fields state (RFC 9110 section 8.4).

    `identity` without any, the name for one, and all of them in the order in which they were
    applied, joined by `, `, for several. What is no token is returned like an unknown coding.
    """
    lines = [value for name, value in fields if name == b"content-encoding"]
    if not lines:
        return IDENTITY
    # `identity` must not be sent in this field, but it is, and it changes no octet.
    codings = (_canonical(member) for member in list_members(lines))
    return b", ".join(coding for coding in codings if coding != IDENTITY) or IDENTITY


_MEDIA_TYPE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]++/[!#$%&'*+\-.^_`|~0-9a-z]++")

# Events must leave one by one, and an encoder keeps them back; newline-delimited JSON is left out
# of the list below for the same reason.
_NEVER_COMPRESSED = frozenset({b"text/event-stream"})

_COMPRESSIBLE = frozenset(
    {
        b"application/ecmascript",
        b"application/font-sfnt",
        b"application/graphql",
        b"application/javascript",
        b"application/json",
        b"application/json5",
        b"application/rtf",
        b"application/toml",
        b"application/typescript",
        b"application/vnd.apple.mpegurl",
        b"application/vnd.ms-fontobject",
        b"application/wasm",
        b"application/x-font-opentype",
        b"application/x-font-otf",
        b"application/x-font-truetype",
        b"application/x-font-ttf",
        b"application/x-javascript",
        b"application/x-mpegurl",
        b"application/x-yaml",
        b"application/xml",
        b"application/xml-dtd",
        b"application/yaml",
        b"font/collection",
        b"font/otf",
        b"font/sfnt",
        b"font/ttf",
        b"image/bmp",
        b"image/vnd.microsoft.icon",
        b"image/x-icon",
        b"image/x-ms-bmp",
    }
)


def is_compressible(content_type: bytes | None) -> bool:
    """Tell whether content of that Content-Type shrinks when coded; its parameters do not matter.

    Text and what is text underneath, and the few binary types that no format of their own
    compresses. WOFF, archives and other images, audio and video have been compressed already.
    """
    if content_type is None:
        return False
    media_type = content_type.partition(b";")[0].strip(OWS).lower()
    if _MEDIA_TYPE.fullmatch(media_type) is None or media_type in _NEVER_COMPRESSED:
        return False
    return (
        media_type.startswith(b"text/")
        or media_type.endswith((b"+json", b"+xml"))
        or media_type in _COMPRESSIBLE
    )
