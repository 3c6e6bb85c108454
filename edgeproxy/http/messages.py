"""The one vocabulary between listeners, edge and origin (RFC 9110 section 6).

A request goes down, a response comes back. Nothing here decides and nothing here does I/O. Field
names are lower-case bytes, values are bytes without surrounding SP or HTAB; the order of lines is
kept and lines of one name are never joined (RFC 9110 section 5.3).
"""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field

Field = tuple[bytes, bytes]
Fields = tuple[Field, ...]
# Takes the status and the fields of one interim response (RFC 9110 section 15.2); never raises.
Interim = Callable[[int, "FieldSection"], None]


def _covers_all(_host: str) -> bool:
    return True


@dataclass(slots=True, eq=False)
class ConnectionInfo:
    """What all requests of one downstream connection share.

    `client` is the peer's IP address as text; `server_name` the TLS SNI, lower-case, None without
    TLS or SNI; `covers(host)` tells whether the certificate shown on this connection names that
    host (RFC 9110 section 7.4). `sites` is a memo of the edge's: what an authority, as received,
    resolved to on this connection.
    """

    client: str
    scheme: bytes = b"https"
    server_name: str | None = None
    covers: Callable[[str], bool] = _covers_all
    sites: dict[bytes, object] = field(default_factory=dict)


class Request:
    """One request, the same for every protocol version.

    `authority` is the Host or :authority value as received; `target` is path and query as received
    (origin-form) or `*`; `fields` leaves out pseudo-fields and Host; `protocol` is `HTTP/3`,
    `HTTP/2`, `HTTP/1.1` or `HTTP/1.0`. `body` is None when the request has no content; it is
    iterated at most once and raises `DownstreamError` when the client breaks off. `received_at` is
    `Clock.now()` and `started` is `Clock.monotonic()` when the field section was complete.
    `interim` sends an interim response to the client; the listener sets it while the request is
    handled, and leaves it None for clients that must not get any.
    """

    __slots__ = (
        "authority",
        "body",
        "connection",
        "content_length",
        "fields",
        "interim",
        "method",
        "protocol",
        "received_at",
        "scheme",
        "started",
        "target",
    )

    def __init__(  # noqa: PLR0917 - made for every request, and keywords cost
        self,
        method: bytes,
        target: bytes,
        fields: list[Field],
        authority: bytes,
        connection: ConnectionInfo,
        scheme: bytes = b"https",
        protocol: str = "HTTP/2",
        body: AsyncIterator[bytes] | None = None,
        content_length: int | None = None,
        received_at: float = 0.0,
        started: float = 0.0,
    ) -> None:
        self.method = method
        self.target = target
        self.fields = fields
        self.authority = authority
        self.connection = connection
        self.scheme = scheme
        self.protocol = protocol
        self.body = body
        self.content_length = content_length
        self.received_at = received_at
        self.started = started
        self.interim: Interim | None = None


class FieldSection:
    """Response fields that are sent many times, with their encodings remembered.

    `h1`, `h2` and `h3` are memos: the listener of that protocol fills them on first use (None until
    then), nobody else touches them. An encoded section is position-independent: it neither reads
    nor writes a dynamic table, so sections can be concatenated on any connection. `fields` never
    changes after construction and never holds connection-specific fields.
    """

    __slots__ = ("fields", "h1", "h2", "h3")

    def __init__(self, fields: Iterable[Field]) -> None:
        self.fields: Fields = tuple(fields)
        self.h1: bytes | None = None
        self.h2: bytes | None = None
        self.h3: bytes | None = None


Body = bytes | memoryview | AsyncIterator[bytes]


class Response:
    """One response on its way downstream.

    `sections` in order make the field section; `content-length`, where the length is known, is one
    of their fields. `body` is b"" for none (also for HEAD and 304, whose fields describe content
    that is not sent). A stream is iterated once; it raises `UpstreamError` when it cannot be
    completed, and then the listener breaks the message off and never ends it cleanly; the listener
    calls `aclose()` on it in every case.

    `outcome` is the cache outcome for logs and counters: hit, hit_stale, hit_revalidated, miss,
    expired, vary_miss, bypass, uncacheable, collapsed, denied, error. `rule` is the id of the rule
    that decided, or ""; `site` the configured site, or "_other". `h2` and `h3` are memos of
    those listeners', for a response that is sent many times.
    """

    __slots__ = ("body", "h2", "h3", "outcome", "rule", "sections", "site", "status")

    def __init__(
        self,
        status: int,
        sections: tuple[FieldSection, ...],
        body: Body = b"",
        *,
        outcome: str = "error",
        site: str = "_other",
        rule: str = "",
    ) -> None:
        self.status = status
        self.sections = sections
        self.body = body
        self.h2: object | None = None
        self.h3: object | None = None
        self.outcome = outcome
        self.site = site
        self.rule = rule

    @property
    def fields(self) -> list[Field]:
        """Every field, in sending order: a fresh list."""
        return [line for section in self.sections for line in section.fields]


def first(fields: Iterable[Field], name: bytes) -> bytes | None:
    """Return the first line's value of that (lower-case) name."""
    for key, value in fields:
        if key == name:
            return value
    return None


def combined(fields: Iterable[Field], name: bytes) -> bytes | None:
    """Return all lines of that name joined by `, ` (RFC 9110 section 5.3), None without any."""
    values = [value for key, value in fields if key == name]
    return b", ".join(values) if values else None
