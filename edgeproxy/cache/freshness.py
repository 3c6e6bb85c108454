"""How long a response is fresh and how old it is (RFC 9111 section 4.2; RFC 9213, RFC 5861).

Computes lifetimes, ages and stale windows from fields and policy; whether a response may be stored
at all is `storing`'s question, whether it may be reused `reuse`'s.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from edgeproxy.cache.policy import CachePolicy
from edgeproxy.http.directives import Directives
from edgeproxy.http.messages import Field


@dataclass(frozen=True, slots=True)
class Freshness:
    """How long a response may be reused, and on whose word.

    `source` is rule, negative, cdn-cache-control, s-maxage, max-age, expires, default, heuristic
    or none. `must_revalidate`: never stale (both windows are 0). `always_validate`: never without
    asking first. The windows count in seconds from the moment it became stale.
    """

    lifetime: int
    source: str
    must_revalidate: bool = False
    always_validate: bool = False
    stale_while_revalidate: int = 0
    stale_if_error: int = 0


def ruling_directives(fields: Iterable[Field]) -> tuple[Directives, bool]:
    """Return the directives that count for this cache, and whether they are targeted.

    A valid, non-empty CDN-Cache-Control replaces Cache-Control and Expires (RFC 9213 section 2.2).
    """
    raise NotImplementedError


def freshness_of(
    status: int, fields: Iterable[Field], *, response_time: float, policy: CachePolicy
) -> Freshness:
    """Return the freshness of a response."""
    raise NotImplementedError


def corrected_initial_age(
    fields: Iterable[Field], *, request_time: float, response_time: float
) -> float:
    """Return the age of a response when it arrived (RFC 9111 section 4.2.3), never negative."""
    raise NotImplementedError


def fresh_until(freshness: Freshness, *, response_time: float, initial_age: float) -> float:
    """Return the moment a response turns stale; -inf if it must always be validated."""
    raise NotImplementedError
