"""Requests, fields and stored responses for tests of the cache core, with a fixed moment."""

from collections.abc import Iterable
from hashlib import sha256

from edgeproxy.cache.freshness import freshness_of
from edgeproxy.cache.policy import TRANSPARENT, CachePolicy
from edgeproxy.cache.stored import StoredResponse, make_stored
from edgeproxy.cache.storing import fields_to_store
from edgeproxy.http.dates import format_date
from edgeproxy.http.messages import ConnectionInfo, Field, Request

NOW = 1_760_000_000.0
"""When every response of these tests arrives, unless it says otherwise."""


def lines(**fields: str | Iterable[str]) -> list[Field]:
    """Make field lines: `cache_control="max-age=60"`; a list makes one line of each value."""
    return [
        (name.replace("_", "-").encode(), value.encode("latin-1"))
        for name, values in fields.items()
        for value in ([values] if isinstance(values, str) else values)
    ]


def date(offset: float = 0.0) -> str:
    """Return an HTTP-date, `offset` seconds from NOW."""
    return format_date(int(NOW + offset)).decode()


def get(
    target: str = "/a",
    *,
    method: str = "GET",
    authority: str = "widgets.example.com",
    **fields: str | Iterable[str],
) -> Request:
    return Request(
        method.encode(),
        target.encode(),
        lines(**fields),
        authority=authority.encode(),
        connection=ConnectionInfo(client="192.0.2.1"),
    )


def keep(
    status: int = 200,
    *,
    body: bytes = b"body",
    request: Request | None = None,
    at: float = NOW,
    took: float = 0.0,
    policy: CachePolicy = TRANSPARENT,
    generates_validators: bool = False,
    **fields: str | Iterable[str],
) -> StoredResponse:
    """Store a response as the edge does, without asking whether it may be."""
    received = lines(**fields)
    return make_stored(
        b"https://site/a",
        status,
        fields_to_store(received),
        body,
        digest=sha256(body).digest(),
        request_fields=(request or get()).fields,
        request_time=at - took,
        response_time=at,
        freshness=freshness_of(status, received, response_time=at, policy=policy),
        generates_validators=generates_validators,
    )
