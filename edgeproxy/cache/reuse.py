"""Whether a stored response may answer a request (RFC 9111 section 4; RFC 5861)."""

from collections.abc import Sequence
from dataclasses import dataclass

from edgeproxy.cache.policy import CachePolicy
from edgeproxy.cache.stored import StoredResponse
from edgeproxy.http.messages import Request

STALE_IF_ERROR_STATUSES = frozenset({500, 502, 503, 504})
"""Answers of the origin that count as an error (RFC 5861 section 4)."""


@dataclass(frozen=True, slots=True)
class Reuse:
    """Answer with it: it is fresh."""

    stored: StoredResponse


@dataclass(frozen=True, slots=True)
class ReuseWhileValidating:
    """Answer with it although it is stale, and validate it meanwhile (RFC 5861 section 3)."""

    stored: StoredResponse


@dataclass(frozen=True, slots=True)
class Forward:
    """Ask the origin.

    `reason` is a word of RFC 9211 section 2.2: bypass, method, uri-miss, vary-miss, request or
    stale. `stored` is the response that was selected and may be validated, None without one.
    """

    reason: str
    stored: StoredResponse | None = None


Decision = Reuse | ReuseWhileValidating | Forward


def is_fresh_hit(stored: StoredResponse, now: float) -> bool:
    """Tell whether it is fresh: the whole freshness check of the hot path, one comparison."""
    return now < stored.fresh_until


def decide(
    request: Request,
    candidates: Sequence[StoredResponse],
    now: float,
    *,
    policy: CachePolicy,
) -> Decision:
    """Decide how to answer from the responses stored under the request's key."""
    raise NotImplementedError


def wants_only_stored(request: Request) -> bool:
    """Tell whether the request says only-if-cached: then a Forward becomes 504 (section 5.2.1.7)."""
    raise NotImplementedError


def may_serve_stale_on_error(stored: StoredResponse, now: float) -> bool:
    """Tell whether it may answer in place of an error or of an origin out of reach."""
    raise NotImplementedError
