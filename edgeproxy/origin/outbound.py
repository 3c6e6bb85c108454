"""The field section of a request to the origin, byte for byte.

Pure: from the downstream request and the settings to the octets on the wire. The target is what
the cache key was made of and is never rewritten (RFC 9110 section 7.7); Host is configured, never
the client's (section 7.2); nothing is invented, no User-Agent and no Accept.

We add Via (RFC 9110 section 7.6.3), CDN-Loop (RFC 8586), Forwarded (RFC 7239) and, so that the
origin may address us in Surrogate-Control, Surrogate-Capability; we drop what a client says in
Forwarded and X-Forwarded-*: nobody has vouched for it.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address

from edgeproxy.cache.targeted import SURROGATE
from edgeproxy.http.fields import is_field_value, is_token
from edgeproxy.http.hop_by_hop import end_to_end
from edgeproxy.http.messages import Field
from edgeproxy.http.trailers import trailer_fields
from edgeproxy.http.upstream import OutboundRequest
from edgeproxy.origin.faults import fault

# Ours to write, or answered by us (Expect), or an unvouched claim about the client.
_DROPPED = frozenset(
    {
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"expect",
        b"forwarded",
        b"surrogate-capability",
        b"x-real-ip",
    }
)
_DROPPED_PREFIX = b"x-forwarded-"
_TARGET = re.compile(rb"[\x21-\x7e]+")
_NOT_OBFUSCATED = re.compile(r"[^A-Za-z0-9._-]")
# The name is the product's and not this point's: what is addressed to one may be cached by all.
_SURROGATE_CAPABILITY = (b"surrogate-capability", b'%b="Surrogate/1.0"' % SURROGATE)
# TE is about this connection, and so is the Connection that has to name it (RFC 9110, 10.1.4).
_TAKES_TRAILERS = ((b"te", b"trailers"), (b"connection", b"te"))
_CONTENT_EXPECTED = frozenset({b"POST", b"PUT", b"PATCH"})


def request_head(request: OutboundRequest, *, host: str, identifier: str) -> bytes:
    """Return request line and field section, with the empty line.

    Raises:
        UpstreamError: `proxy_internal_error`, a name, value or target that must not be sent got
            through the listener's checks. It would split the request, so it goes nowhere.
    """
    lines = [
        (b"host", host.encode("ascii")),
        *forwarded_fields(request.fields),
        (b"via", _via(request.protocol, identifier)),
        (b"cdn-loop", identifier.encode("ascii")),
        (b"forwarded", forwarded(request, identifier)),
        _SURROGATE_CAPABILITY,
        *(_TAKES_TRAILERS if request.takes_trailers else ()),
        *_framing(request),
    ]
    if not (is_token(request.method) and _TARGET.fullmatch(request.target)):
        raise fault("proxy_internal_error", "unsafe request line")
    _check(lines)
    head = b"".join(b"%b: %b\r\n" % line for line in lines)
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (request.method, request.target, head)


def trailer_section(trailers: Iterable[Field]) -> bytes:
    """Return the lines behind the last chunk: what may stand there, and nothing that splits it.

    Raises:
        UpstreamError: `proxy_internal_error`, as for the head.
    """
    lines = trailer_fields(trailers)
    _check(lines)
    return b"".join(b"%b: %b\r\n" % line for line in lines)


def _check(lines: Iterable[Field]) -> None:
    for name, value in lines:
        if not (is_token(name) and is_field_value(value)):
            raise fault("proxy_internal_error", "unsafe request field")


def forwarded_fields(fields: list[Field]) -> list[Field]:
    """Return the client's lines that go on, in their order, duplicates included."""
    return [
        line
        for line in end_to_end(fields)
        if line[0] not in _DROPPED and not line[0].startswith(_DROPPED_PREFIX)
    ]


def forwarded(request: OutboundRequest, identifier: str) -> bytes:
    """Return one Forwarded element for this hop (RFC 7239 section 4)."""
    parts = [
        f"for={_node(request.client)}",
        f"by=_{_NOT_OBFUSCATED.sub('_', identifier)}",
    ]
    if request.authority and is_field_value(request.authority):
        parts.append(f"host={_quoted(request.authority.decode('latin-1'))}")
    parts.append(f"proto={request.scheme.decode('ascii')}")
    return ";".join(parts).encode("latin-1")


def _node(address: str) -> str:
    """Return a node name: an IPv6 address wants brackets and therefore quotes (section 6)."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address):
        return f'"[{parsed}]"'
    return str(parsed)


def _quoted(value: str) -> str:
    """Return a token as it is, anything else as a quoted-string."""
    if is_token(value.encode("latin-1")):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _via(protocol: str, identifier: str) -> bytes:
    """Name the version that the request was *received* in, `HTTP/` being implied."""
    return f"{protocol.removeprefix('HTTP/')} {identifier}".encode("ascii")


def _framing(request: OutboundRequest) -> list[Field]:
    """State the length where it is known, else chunked (RFC 9112 section 6)."""
    if request.body is None:
        return [(b"content-length", b"0")] if request.method in _CONTENT_EXPECTED else []
    if request.content_length is None:
        return [(b"transfer-encoding", b"chunked")]
    return [(b"content-length", b"%d" % request.content_length)]
