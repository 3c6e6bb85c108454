"""What must not travel past one connection (RFC 9110 section 7.6.1).

Drops; does not judge whether a field may be stored (`cache/storing`) or forwarded to that origin
(the site's rule). `trailer` stays: it announces fields that travel end to end.
"""

from collections.abc import Iterable

from edgeproxy.http.fields import OWS
from edgeproxy.http.messages import Field

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)
"""Fields about one connection, whether Connection lists them or not."""


def connection_options(fields: Iterable[Field]) -> frozenset[bytes]:
    """Return the names that Connection lists, lower-case."""
    return frozenset(
        option.strip(OWS).lower()
        for name, value in fields
        if name == b"connection"
        for option in value.split(b",")
    )


def end_to_end(fields: Iterable[Field]) -> list[Field]:
    """Return the fields that may be forwarded or stored, in order; for both directions."""
    lines = list(fields)
    dropped = HOP_BY_HOP | connection_options(lines)
    return [line for line in lines if line[0] not in dropped]
