"""Stored responses for tests, without an origin."""

import hashlib
from collections.abc import Iterable

from edgeproxy.cache.freshness import Freshness
from edgeproxy.cache.stored import StoredResponse, make_stored
from edgeproxy.http.messages import Field

NOW = 1_700_000_000.0


def stored(
    key: bytes = b"k",
    body: bytes = b"body",
    *,
    status: int = 200,
    fields: Iterable[Field] = (),
    request_fields: Iterable[Field] = (),
    response_time: float = NOW,
    lifetime: int = 60,
    **freshness: object,
) -> StoredResponse:
    """A stored response that is fresh for `lifetime` from `response_time`."""
    return make_stored(
        key,
        status,
        fields,
        body,
        digest=hashlib.sha256(body).digest(),
        request_fields=request_fields,
        request_time=response_time,
        response_time=response_time,
        freshness=Freshness(lifetime, "max-age", **freshness),  # type: ignore[arg-type]
    )
