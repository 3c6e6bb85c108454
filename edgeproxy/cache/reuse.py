"""Whether a stored response may answer a request (RFC 9111 section 4; RFC 5861).

Decides; does not look anything up and validates nothing. Of the request's directives `no-cache`,
`max-age` and `min-fresh` force a forward where the policy honours them; `max-stale` is never
granted, because a cache for everybody does not serve older content on one client's word.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edgeproxy.cache.policy import CachePolicy
from edgeproxy.cache.stored import StoredResponse
from edgeproxy.cache.vary import matches
from edgeproxy.http.directives import NONE, Directives, parse_cache_control
from edgeproxy.http.messages import Request

STALE_IF_ERROR_STATUSES = frozenset({500, 502, 503, 504})
"""Answers of the origin that count as an error (RFC 5861 section 4)."""

_ANSWERED_FROM_GET = frozenset({b"GET", b"HEAD"})


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
    if request.method not in _ANSWERED_FROM_GET:
        return Forward("method")
    if not policy.may_store:
        return Forward("bypass")
    if not candidates:
        return Forward("uri-miss")
    stored = _most_recent(candidates, request)
    if stored is None:
        return Forward("vary-miss")
    if now >= stored.fresh_until + stored.freshness.stale_while_revalidate:
        return Forward("stale", stored)
    is_refused = policy.honours_request_directives and _refuses(request, stored, now)
    if is_fresh_hit(stored, now):
        return Forward("request", stored) if is_refused else Reuse(stored)
    return Forward("stale", stored) if is_refused else ReuseWhileValidating(stored)


def wants_only_stored(request: Request) -> bool:
    """Tell whether the request says only-if-cached: a Forward is 504 then (section 5.2.1.7)."""
    return _directives(request).has(b"only-if-cached")


def may_serve_stale_on_error(stored: StoredResponse, now: float) -> bool:
    """Tell whether it may answer in place of an error or of an origin out of reach.

    The window is 0 where `must-revalidate` and its like shut it; `no-cache` sets `fresh_until` to
    the infinite past (RFC 9111 section 4.2.4).
    """
    return now < stored.fresh_until + stored.freshness.stale_if_error


def _most_recent(candidates: Sequence[StoredResponse], request: Request) -> StoredResponse | None:
    """Return the matching response with the latest Date (section 4), the later one of equals."""
    if len(candidates) == 1:
        return candidates[0] if matches(candidates[0], request.fields) else None
    selected = [stored for stored in candidates if matches(stored, request.fields)]
    return max(selected, key=lambda stored: (stored.date_value, stored.response_time), default=None)


def _directives(request: Request) -> Directives:
    values = [value for name, value in request.fields if name == b"cache-control"]
    return parse_cache_control(values) if values else NONE


def _refuses(request: Request, stored: StoredResponse, now: float) -> bool:
    """Tell whether the request's directives rule this response out (section 5.2.1)."""
    directives = _directives(request)
    if not directives:
        return False
    if directives.has(b"no-cache"):
        return True
    age_max = directives.seconds(b"max-age")
    if age_max is not None and stored.current_age(now) > age_max:
        return True
    fresh_for = directives.seconds(b"min-fresh")
    return fresh_for is not None and stored.fresh_until - now < fresh_for
