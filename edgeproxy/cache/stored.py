"""A stored response: what is kept, and what the hot path needs of it, computed once.

Values only; where it is kept is `store`'s matter. Nothing changes after construction but `memo`,
which belongs to `edge/view`, and of which the store bounds how many there are. Computed per
delivery and never stored: CORS, HSTS, Alt-Svc, Age, Cache-Status. RFC 9111 section 3, RFC 9110
sections 8.8.2 and 8.8.3.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil, floor
from types import MappingProxyType

from edgeproxy.cache import freshness as ages
from edgeproxy.cache.freshness import Freshness
from edgeproxy.cache.shared import shared_fields, shared_freshness
from edgeproxy.cache.vary import Vary, selection
from edgeproxy.http.codings import coding_of
from edgeproxy.http.dates import format_date, parse_date
from edgeproxy.http.messages import Field, Fields, first

__all__ = [
    "BodyId",
    "DerivedBody",
    "LargeBody",
    "StoredResponse",
    "Vary",
    "generate_etag",
    "make_stored",
    "with_date",
]

# What CPython spends. A line that no other response has: two references, a tuple and a bytes
# object, rounded up by the allocator. Most lines are shared (`shared`), but nobody promised that:
# a bound counts each in full. A response: itself, its numbers, digest and key, the store's entry;
# some 900 bytes measured by `python -m bench.memory`.
_FIELD_OVERHEAD = 128
_RESPONSE_OVERHEAD = 1024


def generate_etag(digest: bytes) -> bytes:
    """Return a strong entity tag of 128 bits for a body, from its SHA-256 digest."""
    return b'"%s"' % urlsafe_b64encode(digest[:16]).rstrip(b"=")


BodyId = tuple[bytes, Vary, bytes, bytes]
"""Which bytes: key, selecting values, SHA-256 and coding. Outlives being freshened by a 304."""


@dataclass(frozen=True, slots=True)
class DerivedBody:
    """The body of a stored response in another coding than its own.

    `is_final` is False for one that was made fast, and that a smaller one is to replace.
    """

    body: bytes
    is_final: bool


@dataclass(frozen=True, slots=True)
class LargeBody:
    """A body of that many octets which only the disk holds, by the digest of its response.

    It is had in the coding that it came in, and in no other.
    """

    length: int

    def __len__(self) -> int:
        return self.length


_NOTHING_DERIVED: Mapping[bytes, DerivedBody | None] = MappingProxyType({})


def _nothing() -> Mapping[bytes, DerivedBody | None]:
    return _NOTHING_DERIVED


@dataclass(slots=True, eq=False, kw_only=True)
class StoredResponse:
    """One complete response under one key and one selection of Vary values.

    `fields` are end-to-end and as received, Age included and Date always present. `etag` and
    `last_modified` are what clients are offered; where the origin sent none and the rule wants
    validators they are generated and flagged, and then they never go to the origin. `digest` is
    the SHA-256 of `body`, whose octets are elsewhere if it is a `LargeBody`. `fill_generation` is
    the purge generation that was read before the origin was asked. `derived` holds the body in
    other codings than its own, never changed in place; None stands for a coding that was tried in
    vain (`cache/codings`).

    Computed: `coding`, the one of `body`; `fresh_until`, the moment it turns stale (-inf: always
    validate); `is_vary_free`; `weight`, the bytes it counts for in a store.
    """

    key: bytes
    status: int
    fields: Fields
    body: bytes | LargeBody
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
    derived: Mapping[bytes, DerivedBody | None] = field(default_factory=_nothing)
    memo: object | None = None
    coding: bytes = field(init=False)
    fresh_until: float = field(init=False)
    is_vary_free: bool = field(init=False)
    weight: int = field(init=False)

    def __post_init__(self) -> None:
        self.fresh_until = ages.fresh_until(
            self.freshness, response_time=self.response_time, initial_age=self.initial_age
        )
        self.coding = coding_of(self.fields)
        self.is_vary_free = not self.vary
        self.weight = (
            _RESPONSE_OVERHEAD
            + len(self.key)
            + (len(self.body) if isinstance(self.body, bytes) else 0)
            + sum(len(name) + len(value) + _FIELD_OVERHEAD for name, value in self.fields)
            + sum(len(name) + len(value or b"") + _FIELD_OVERHEAD for name, value in self.vary)
            + sum(map(len, self.tags))
            + sum(len(made.body) for made in self.derived.values() if made is not None)
        )

    @property
    def date_value(self) -> float:
        """`date` in seconds since the epoch; the time of arrival where it is none."""
        parsed = parse_date(self.date, now=self.response_time)
        return self.response_time if parsed is None else float(parsed)

    @property
    def body_id(self) -> BodyId:
        """Which bytes these are, whoever holds them."""
        return self.key, self.vary, self.digest, self.coding

    def current_age(self, now: float) -> float:
        """Return the age at `now` (RFC 9111 section 4.2.3), never negative."""
        return self.initial_age + max(0.0, now - self.response_time)

    def seconds_left(self, now: float) -> int:
        """Return the whole seconds until it is stale, negative once it is (RFC 9211 section 2.4).

        A second that has begun counts as a whole one, on both sides: what is stale never shows 0
        for long, and while it is fresh, whole Age and this add up to the lifetime.
        """
        left = round(self.fresh_until - now, 3)  # below that is noise of large numbers
        return ceil(left) if left > 0 else floor(left)


def make_stored(
    key: bytes,
    status: int,
    fields: Iterable[Field],
    body: bytes | LargeBody,
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
    for the Vary selection. A missing Date is added (RFC 9110 section 6.6.1).
    """
    lines = shared_fields(with_date(fields, response_time))
    date = first(lines, b"date") or b""
    etag, last_modified = first(lines, b"etag"), first(lines, b"last-modified")
    generates_etag = generates_validators and etag is None
    generates_last_modified = generates_validators and last_modified is None
    return StoredResponse(
        key=key,
        status=status,
        fields=lines,
        body=body,
        request_time=request_time,
        response_time=response_time,
        freshness=shared_freshness(freshness),
        initial_age=ages.corrected_initial_age(
            lines, request_time=request_time, response_time=response_time
        ),
        vary=selection(lines, request_fields),
        etag=generate_etag(digest) if generates_etag else etag,
        last_modified=date if generates_last_modified else last_modified,
        is_etag_generated=generates_etag,
        is_last_modified_generated=generates_last_modified,
        date=date,
        digest=digest,
        tags=tags,
        fill_generation=fill_generation,
    )


def with_date(fields: Iterable[Field], response_time: float) -> Fields:
    """Return the fields with a Date: their own, or the time of arrival."""
    lines = tuple(fields)
    if first(lines, b"date") is not None:
        return lines
    return (*lines, (b"date", format_date(int(response_time))))
