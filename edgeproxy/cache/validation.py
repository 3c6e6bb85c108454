"""Validation of stored responses with the origin (RFC 9111 section 4.3)."""

from collections.abc import Iterable, Sequence

from edgeproxy.cache.policy import CachePolicy
from edgeproxy.cache.stored import StoredResponse
from edgeproxy.http.messages import Field


def conditional_fields(stored: Sequence[StoredResponse]) -> list[Field]:
    """Return the fields that make a request conditional; empty if the origin gave no validator.

    The caller has removed the client's own conditional fields.
    """
    raise NotImplementedError


def select_for_304(
    candidates: Sequence[StoredResponse], fields: Iterable[Field]
) -> StoredResponse | None:
    """Return the stored response that a 304 confirms, None if it confirms none of them."""
    raise NotImplementedError


def freshen(
    stored: StoredResponse,
    status_304_fields: Iterable[Field],
    *,
    request_time: float,
    response_time: float,
    policy: CachePolicy,
) -> StoredResponse:
    """Return `stored` with the fields of the 304 that confirmed it (RFC 9111 section 3.2)."""
    raise NotImplementedError


def carry_over(old: StoredResponse, new: StoredResponse) -> StoredResponse:
    """Return `new`, keeping what must not change for clients while the bytes are the same."""
    raise NotImplementedError
