"""Fields behind the content: which may travel there, and where to find them (RFC 9110 section 6.5).

A trailer never becomes a field of the header section (RFC 9111 section 3.1), here or by our doing
elsewhere: some recipients merge the two, so whatever would frame, route, authorize or describe a
message, or tell a cache what to do, is dropped on its way through, in both directions (section
6.5.1). What has a registered use behind content stays: Content-Digest, ETag, Server-Timing,
Proxy-Status.
"""

from collections.abc import Iterable
from typing import cast

from edgeproxy.http.fields import list_members
from edgeproxy.http.hop_by_hop import HOP_BY_HOP, connection_options
from edgeproxy.http.messages import Field, Fields

_FRAMING = frozenset({b"content-length", b"trailer"}) | HOP_BY_HOP
_ROUTING = frozenset(
    {
        b"alt-svc",
        b"cdn-loop",
        b"early-data",
        b"forwarded",
        b"host",
        b"location",
        b"origin",
        b"referer",
        b"via",
        b"x-host",
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-host",
        b"x-original-url",
        b"x-real-ip",
        b"x-rewrite-url",
    }
)
_AUTHORITY = frozenset(
    {
        b"authorization",
        b"authentication-info",
        b"cookie",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"set-cookie",
        b"strict-transport-security",
        b"www-authenticate",
    }
)
_CONTROL = frozenset(
    {
        b"age",
        b"cache-control",
        b"cache-status",
        b"cdn-cache-control",
        b"date",
        b"expect",
        b"expires",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"max-forwards",
        b"pragma",
        b"priority",
        b"range",
        b"retry-after",
        b"surrogate-control",
        b"vary",
        b"warning",
    }
)
_FORBIDDEN = _FRAMING | _ROUTING | _AUTHORITY | _CONTROL
_FORBIDDEN_PREFIXES = (b"access-control-", b"content-", b"x-forwarded-")
_MADE_FOR_IT = frozenset({b"content-digest"})  # RFC 9530 section 2


def trailer_fields(fields: Iterable[Field]) -> Fields:
    """Return the trailers that may be passed on, in order; names are lower-case."""
    lines = list(fields)
    options = connection_options(lines)
    return tuple(
        line
        for line in lines
        if line[0] in _MADE_FOR_IT
        or not (
            line[0] in _FORBIDDEN or line[0] in options or line[0].startswith(_FORBIDDEN_PREFIXES)
        )
    )


def trailers_of(content: object) -> Fields:
    """Return the trailers behind content that was iterated to its end, as `trailers` of it.

    Most content has none, and much of it is a plain generator or bytes that cannot have any.
    """
    return cast("Fields", getattr(content, "trailers", ()))


def accepts_trailers(fields: Iterable[Field]) -> bool:
    """Tell whether TE says that trailers will be looked at (RFC 9110 section 10.1.4)."""
    values = [value for name, value in fields if name == b"te"]
    return any(member.lower() == b"trailers" for member in list_members(values))
