"""A stored response: what is kept, and what the hot path needs of it, computed once.

Values only; where it is kept is `store`'s matter. Nothing changes after construction but `memo`,
which belongs to `edge/deliver`. Computed per delivery and never stored: CORS, HSTS, Alt-Svc, Age,
Cache-Status. RFC 9111 section 3, RFC 9110 sections 8.8.2 and 8.8.3.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field

from edgeproxy.cache.freshness import Freshness
from edgeproxy.http.messages import Field, Fields

Vary = tuple[tuple[bytes, bytes | None], ...]
"""Nominated names with the normalised value that the selecting request had; None for absent."""


def generate_etag(digest: bytes) -> bytes:
    """Return a strong entity tag of 128 bits for a body, from its SHA-256 digest."""
    return b'"%s"' % urlsafe_b64encode(digest[:16]).rstrip(b"=")


@dataclass(slots=True, eq=False, kw_only=True)
class StoredResponse:
    """One complete response under one key and one selection of Vary values.

    `fields` are end-to-end and as received, Age included. `etag` and `last_modified` are what
    clients are offered; where the origin sent none and the rule wants validators they are generated
    and flagged, and then they never go to the origin. `date` is the Date received, or else the time
    of arrival. `digest` is the SHA-256 of `body`. `fill_generation` is the purge generation that
    was read before the origin was asked.

    Computed: `fresh_until`, the moment it turns stale (-inf: always validate); `date_value`, `date`
    in seconds since the epoch; `is_vary_free`; `weight`, the bytes it counts for in a bounded store.
    """

    key: bytes
    status: int
    fields: Fields
    body: bytes
    request_time: float
    response_time: float
    freshness: Freshness
    initial_age: float
    vary: Vary = ()
    etag: bytes | None = None
    last_modified: bytes | None = None
    is_etag_generated: bool = False
    is_last_modified_generated: bool = False
    date: bytes
    digest: bytes
    tags: tuple[bytes, ...] = ()
    fill_generation: int = 0
    memo: object | None = None
    fresh_until: float = field(init=False)
    date_value: int = field(init=False)
    is_vary_free: bool = field(init=False)
    weight: int = field(init=False)

    def __post_init__(self) -> None:
        raise NotImplementedError

    def current_age(self, now: float) -> float:
        """Return the age at `now` (RFC 9111 section 4.2.3), never negative."""
        raise NotImplementedError


def make_stored(
    key: bytes,
    status: int,
    fields: Iterable[Field],
    body: bytes,
    *,
    digest: bytes,
    request_fields: Iterable[Field],
    request_time: float,
    response_time: float,
    freshness: Freshness,
    tags: tuple[bytes, ...] = (),
    fill_generation: int = 0,
    generates_validators: bool = False,
) -> StoredResponse:
    """Build a stored response from a complete one that `storing.may_store` let pass.

    `fields` are those of `storing.fields_to_store`; `request_fields` those that went to the origin,
    for the Vary selection.
    """
    raise NotImplementedError
