"""How long a response is fresh and how old it is (RFC 9111 section 4.2; RFC 9213, RFC 5861).

Computes lifetimes, ages and stale windows from fields and policy; whether a response may be stored
at all is `storing`'s question, whether it may be reused `reuse`'s.

Who wins, from the strongest:

1. `no-store`, `private` and `no-cache` of the origin: no policy makes such a response fresh.
2. The rule's `edge_lifetime`, in place of every lifetime of the origin. It counts from the arrival
   here: what the response aged elsewhere, or by an origin's slow clock, was part of the lifetime
   that is replaced. An operator who sets it speaks for the origin, so the stale windows that the
   rule states hold too, even where the origin said `must-revalidate`, `proxy-revalidate` or
   `s-maxage`: those guard the lifetime that was replaced. A window that the rule does not state
   stays shut by them.
3. The origin's own words: what it addresses to caches like us (`targeted`), else s-maxage, max-age,
   Expires; its stale windows go before the policy's, and its `must-revalidate`, `proxy-revalidate`
   and `s-maxage` shut both. An Age that says nothing leaves none of that lifetime.
4. `default_lifetime`, which counts from the arrival too, and the policy's windows, where the
   origin is silent.
5. The heuristic of section 4.2.2.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf

from edgeproxy.cache.policy import (
    ERROR_SECONDS_MAX,
    HEURISTIC_FRACTION,
    HEURISTIC_SECONDS_MAX,
    CachePolicy,
)
from edgeproxy.cache.targeted import ruling_directives
from edgeproxy.http.dates import parse_date
from edgeproxy.http.directives import Directives
from edgeproxy.http.fields import DELTA_SECONDS_MAX, OWS, parse_delta_seconds
from edgeproxy.http.messages import Field, Fields, first

HEURISTIC_STATUSES = frozenset({200, 203, 204, 300, 301, 308, 404, 410})
"""Statuses that may get a lifetime nobody stated (RFC 9110 section 15.1).

Left out: 206, which is never stored as it is, and 405, 414 and 501, which an attacker can provoke.
"""

GONE_STATUSES = frozenset({404, 410})
"""The origin's statement that there is nothing, as opposed to an error."""

RULED_STATUSES = frozenset({200, 203, 301, 308})
"""Statuses that `edge_lifetime` and `default_lifetime` are meant for."""

# Errors that a request can provoke: nothing but an explicit lifetime lets them be stored.
_NEVER_GUESSED = frozenset({400, 405, 413, 414, 431, 500, 501, 502, 503, 504})
_STALE_FORBIDDEN_BY = (b"must-revalidate", b"proxy-revalidate", b"s-maxage")


@dataclass(frozen=True, slots=True)
class Freshness:
    """How long a response may be reused, and on whose word.

    `source` is rule, negative, targeted, s-maxage, max-age, expires, default, heuristic or none.
    `counts_from_arrival`: it is the operator's, so the age on arrival is not deducted.
    `must_revalidate`: never stale (both windows are 0). `always_validate`: never without
    asking first. The windows count in seconds from the moment it became stale.
    """

    lifetime: int
    source: str
    counts_from_arrival: bool = False
    must_revalidate: bool = False
    always_validate: bool = False
    stale_while_revalidate: int = 0
    stale_if_error: int = 0


def freshness_of(
    status: int, fields: Iterable[Field], *, response_time: float, policy: CachePolicy
) -> Freshness:
    """Return the freshness of a response; the module says who wins."""
    lines = tuple(fields)
    directives, is_targeted = ruling_directives(lines)
    explicit = _explicit_lifetime(directives, lines, response_time, is_targeted=is_targeted)
    lifetime, source = _policy_lifetime(status, explicit, policy) or (
        explicit or _guessed_lifetime(status, directives, lines, response_time, policy)
    )
    if status >= 400 and status not in GONE_STATUSES:
        lifetime = min(lifetime, ERROR_SECONDS_MAX)
    is_operators = policy.edge_lifetime is not None or source == "default"
    if not (is_operators or _is_age_plain(lines)):
        lifetime = 0
    basis = Freshness(lifetime, source, counts_from_arrival=is_operators)
    if _must_always_validate(directives):
        return replace(basis, always_validate=True)
    if status >= 400:
        # An error is never worth serving stale.
        return replace(basis, must_revalidate=True)
    return _with_windows(basis, directives, policy)


def corrected_initial_age(
    fields: Iterable[Field], *, request_time: float, response_time: float
) -> float:
    """Return the age of a response when it arrived (RFC 9111 section 4.2.3), never negative."""
    lines = tuple(fields)
    apparent_age = response_time - _date_value(lines, response_time)
    response_delay = max(0.0, response_time - request_time)
    return max(0.0, apparent_age, _age_value(lines) + response_delay)


def fresh_until(freshness: Freshness, *, response_time: float, initial_age: float) -> float:
    """Return the moment a response turns stale; -inf if it must always be validated."""
    if freshness.always_validate:
        return -inf
    counted = 0.0 if freshness.counts_from_arrival else initial_age
    return response_time + freshness.lifetime - counted


def _explicit_lifetime(
    directives: Directives, lines: Fields, response_time: float, *, is_targeted: bool
) -> tuple[int, str] | None:
    """Return what the origin says (RFC 9111 section 4.2.1); a shared cache hears s-maxage first."""
    for name in (b"s-maxage", b"max-age"):
        if (seconds := directives.seconds(name)) is not None:
            return seconds, "targeted" if is_targeted else name.decode()
    expires = [value for name, value in lines if name == b"expires"]
    if is_targeted or not expires:
        return None
    moment = parse_date(expires[0], now=response_time) if len(expires) == 1 else None
    if moment is None:
        # Invalid ("0") or contradictory: already expired (RFC 9111 section 5.3).
        return 0, "expires"
    seconds = int(moment - _date_value(lines, response_time))
    return max(0, min(seconds, DELTA_SECONDS_MAX)), "expires"


def _policy_lifetime(
    status: int, explicit: tuple[int, str] | None, policy: CachePolicy
) -> tuple[int, str] | None:
    """Return what the rule says in place of the origin, None where it leaves it to the origin."""
    is_rule = policy.edge_lifetime is not None
    if status in GONE_STATUSES and (is_rule or policy.negative_lifetime):
        limit = policy.negative_lifetime
        return (limit if explicit is None else min(limit, explicit[0])), "negative"
    if policy.edge_lifetime is None:
        return None
    return (policy.edge_lifetime, "rule") if status in RULED_STATUSES else (0, "none")


def _guessed_lifetime(
    status: int, directives: Directives, lines: Fields, response_time: float, policy: CachePolicy
) -> tuple[int, str]:
    """Return a lifetime where the origin states none (RFC 9111 section 4.2.2)."""
    if policy.default_lifetime is not None and status in RULED_STATUSES:
        return policy.default_lifetime, "default"
    may_guess = status in HEURISTIC_STATUSES or (
        directives.has(b"public") and status not in _NEVER_GUESSED
    )
    last_modified = first(lines, b"last-modified")
    if not may_guess or last_modified is None:
        return 0, "none"
    modified = parse_date(last_modified, now=response_time)
    if modified is None:
        return 0, "none"
    unchanged_for = max(0.0, _date_value(lines, response_time) - modified)
    return int(min(unchanged_for * HEURISTIC_FRACTION, HEURISTIC_SECONDS_MAX)), "heuristic"


def _must_always_validate(directives: Directives) -> bool:
    """Tell whether nothing may be reused unasked.

    `no-store` and `private` never come here with a new response, but a 304 may bring them.
    """
    if directives.has(b"no-store") and not directives.has(b"must-understand"):
        return True
    return any(
        directives.has(name) and directives.names(name) is None
        for name in (b"no-cache", b"private")
    )


def _with_windows(freshness: Freshness, directives: Directives, policy: CachePolicy) -> Freshness:
    is_forbidden = any(directives.has(name) for name in _STALE_FORBIDDEN_BY)
    is_rule = policy.edge_lifetime is not None

    def window(name: bytes, stated_by_policy: int | None) -> int:
        if is_forbidden:
            return (stated_by_policy or 0) if is_rule else 0
        stated = directives.seconds(name)
        return (stated_by_policy or 0) if stated is None else stated

    while_revalidate = window(b"stale-while-revalidate", policy.stale_while_revalidate)
    if_error = window(b"stale-if-error", policy.stale_if_error)
    return replace(
        freshness,
        must_revalidate=is_forbidden and not (while_revalidate or if_error),
        stale_while_revalidate=while_revalidate,
        stale_if_error=if_error,
    )


def _date_value(lines: Fields, response_time: float) -> float:
    """Return Date, or the time of arrival where none is usable (RFC 9110 section 6.6.1)."""
    date = first(lines, b"date")
    parsed = None if date is None else parse_date(date, now=response_time)
    return response_time if parsed is None else float(parsed)


def _age_value(lines: Fields) -> int:
    """Return the first member of Age; what is not a number counts for nothing (section 5.1)."""
    age = first(lines, b"age")
    if age is None:
        return 0
    return parse_delta_seconds(age.partition(b",")[0].strip(OWS)) or 0


def _is_age_plain(lines: Fields) -> bool:
    """Tell whether Age leaves no doubt how much of the origin's lifetime is left.

    Section 5.1 lets a cache go by the first member of a list, and overlook what is no number
    (SHOULD). We do so for the age that we state, and for the lifetime where one sender wrote a
    list. Where Age came several times, or was joined in the customary way by somebody to whom it
    did, two caches contradict each other, and garbage hides what a cache knew: then it is stale.
    """
    values = [value for name, value in lines if name == b"age"]
    if not values:
        return True
    if len(values) > 1 or b", " in values[0]:
        return False
    return parse_delta_seconds(values[0].partition(b",")[0].strip(OWS)) is not None
