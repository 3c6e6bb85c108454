"""Responses that the edge makes up itself: refusals and the next hop's failures.

Must not be stored by anybody (`no-store`), and carries no Cache-Status member, because no stored
response had a part in it (RFC 9211 section 2). A failure of the next hop names itself in
Proxy-Status (RFC 9209 section 2).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

from edgeproxy.errors import UpstreamError
from edgeproxy.http import proxy_status
from edgeproxy.http.dates import format_date
from edgeproxy.http.messages import Field, Fields, FieldSection, Response


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that will not be served, and why; `reason` is a word for counters."""

    status: int
    reason: str
    fields: Fields = ()


def synthetic(
    status: int, now: float, *, method: bytes, fields: Iterable[Field] = (), outcome: str = "denied"
) -> Response:
    """Return a small plain-text response; the caller adds site and rule where it knows them."""
    text = b"%d %s\n" % (status, _phrase(status))
    section = FieldSection(
        [
            (b"date", format_date(int(now))),
            (b"cache-control", b"no-store"),
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(text)),
            *fields,
        ]
    )
    return Response(status, (section,), b"" if method == b"HEAD" else text, outcome=outcome)


def no_content(now: float, fields: Iterable[Field]) -> Response:
    """Return a 204 that the edge answers on the origin's behalf: OPTIONS and preflights."""
    section = FieldSection([(b"date", format_date(int(now))), *fields])
    return Response(204, (section,), outcome="bypass")


def upstream_failed(error: UpstreamError, now: float, *, method: bytes, pop: str) -> Response:
    """Return the 502 or 504 that stands for a failure of the next hop."""
    fields = [(b"proxy-status", proxy_status.member(pop, error=error.word))]
    if error.status == 503:
        fields.append((b"retry-after", b"1"))
    return synthetic(
        error.status,
        now,
        method=method,
        fields=fields,
        outcome="error",
    )


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode("ascii")
    except ValueError:
        return b"Error"
