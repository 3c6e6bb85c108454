"""Whether a response may be stored, and what of it (RFC 9111 section 3).

Decides by the fields of request and response and by the rule, never by a path's extension.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from edgeproxy.cache.freshness import Freshness
from edgeproxy.cache.policy import CachePolicy
from edgeproxy.cache.stored import StoredResponse
from edgeproxy.http.messages import Field, Fields, Request


@dataclass(frozen=True, slots=True)
class Store:
    """The response may be stored."""

    freshness: Freshness


@dataclass(frozen=True, slots=True)
class DoNotStore:
    """The response must not be stored.

    `reason` is pass, method, status, request-no-store, no-store, private, vary, authorization,
    set-cookie, no-lifetime or too-large.
    """

    reason: str


def may_store(
    request: Request,
    status: int,
    fields: Iterable[Field],
    *,
    policy: CachePolicy,
    response_time: float,
) -> Store | DoNotStore:
    """Decide from the header section of a response whether it may be stored once complete."""
    raise NotImplementedError


def fields_to_store(fields: Iterable[Field]) -> Fields:
    """Return the end-to-end fields that a shared cache may keep (RFC 9111 section 3.1)."""
    raise NotImplementedError


def may_replace(old: StoredResponse, status: int) -> bool:
    """Tell whether a new, storable response of that status may take the place of `old`."""
    raise NotImplementedError
