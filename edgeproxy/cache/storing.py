"""Whether a response may be stored, and what of it (RFC 9111 section 3).

Decides by the fields of request and response and by the rule, never by a path's extension. The
origin's `no-store`, `private`, Set-Cookie and `Vary: *` hold under every rule. A response that says
nothing of its lifetime is stored only where it can be validated later.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from edgeproxy.cache.freshness import (
    GONE_STATUSES,
    HEURISTIC_STATUSES,
    RULED_STATUSES,
    Freshness,
    freshness_of,
)
from edgeproxy.cache.policy import CachePolicy
from edgeproxy.cache.stored import StoredResponse
from edgeproxy.cache.targeted import ruling_directives
from edgeproxy.cache.vary import nominated
from edgeproxy.http.directives import Directives, parse_cache_control
from edgeproxy.http.fields import parse_content_length
from edgeproxy.http.hop_by_hop import end_to_end
from edgeproxy.http.messages import Field, Fields, Request, first

# Answers to one request rather than to everybody's: partial, conditional, misdirected, too early.
# A 206 may be kept as the part that it is, but not here (`partial`).
_NOT_FOR_OTHERS = frozenset({206, 304, 412, 416, 417, 421})

# An answer to early data: the same request is welcome a moment later (RFC 8470 section 5.2).
_TOO_EARLY = 425

# Statuses whose caching requirements this cache knows (RFC 9110 section 15), for must-understand.
_UNDERSTOOD = frozenset(
    {
        *range(200, 206),
        *range(300, 304),
        *(305, 307, 308),
        *range(400, 412),
        *(413, 414, 415, 422, 426, 428, 429, 431, 451),
        *range(500, 506),
        511,
    }
)

# For one connection or one hop's authentication; never kept (RFC 9111 section 3.1).
_NEVER_KEPT = frozenset(
    {b"proxy-authenticate", b"proxy-authentication-info", b"proxy-authorization"}
)
_ASKING_FOR_ITSELF = frozenset({b"authorization", b"early-data"})
_PERMIT_AUTHORIZED = (b"public", b"s-maxage", b"must-revalidate")

REFUSED_FOR_THE_ASKER = frozenset({"request-no-store", "authorization", "too-early"})
"""Reasons that lie in one request: they say nothing of what the next one will get."""

_WITHDRAWING = frozenset({"no-store", "private", "vary", "no-lifetime", "too-large"})


@dataclass(frozen=True, slots=True)
class Store:
    """The response may be stored."""

    freshness: Freshness


@dataclass(frozen=True, slots=True)
class DoNotStore:
    """The response must not be stored.

    `reason` is pass, method, status, request-no-store, no-store, private, vary, authorization,
    set-cookie, no-lifetime, too-large or too-early; the edge adds some of its own.
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
    lines = tuple(fields)
    directives, _ = ruling_directives(lines)
    reason = (
        _refused_by_request(request, policy)
        or _refused_by_status(status, directives, policy)
        or _refused_by_directives(request, directives)
        or _refused_by_fields(lines, policy)
    )
    if reason is not None:
        return DoNotStore(reason)
    freshness = freshness_of(status, lines, response_time=response_time, policy=policy)
    if not _is_worth_storing(status, lines, freshness):
        return DoNotStore("no-lifetime")
    return Store(freshness)


def asks_for_itself(request: Request, *, policy: CachePolicy) -> bool:
    """Tell whether the request may keep its own answer from others.

    With Authorization, no-store or Early-Data; nobody is to wait for such an answer (RFC 9111
    sections 3.5 and 5.2.1.5, RFC 8470 section 5.2).
    """
    is_for_itself = any(name in _ASKING_FOR_ITSELF for name, _ in request.fields)
    return is_for_itself or _forbids_storing(request, policy)


def is_withheld(fields: Iterable[Field]) -> bool:
    """Tell whether nothing of a response may be stored here: `no-store`, `private`."""
    directives, _ = ruling_directives(fields)
    return _withheld(directives) is not None


def fields_to_store(fields: Iterable[Field]) -> Fields:
    """Return the end-to-end fields that a shared cache may keep (RFC 9111 section 3.1).

    Fields that a qualified `private` names must not be kept. Those that a qualified `no-cache`
    names may be kept but not reused unvalidated; not keeping them is the simple way to obey.
    """
    lines = end_to_end(fields)
    directives, _ = ruling_directives(lines)
    dropped = _NEVER_KEPT.union(
        directives.names(b"private") or (), directives.names(b"no-cache") or ()
    )
    return tuple(line for line in lines if line[0] not in dropped)


def fields_for_the_asker(fields: Iterable[Field]) -> Fields:
    """Return the fields that only the client may have whose request brought the response.

    Those are the ones that a qualified `private` or `no-cache` names: they must not be stored or
    not be reused, but nothing keeps them from the first answer (sections 5.2.2.4 and 5.2.2.7).
    """
    lines = end_to_end(fields)
    kept = fields_to_store(lines)
    return tuple(line for line in lines if line not in kept and line[0] not in _NEVER_KEPT)


def may_replace(old: StoredResponse, status: int) -> bool:
    """Tell whether a new, storable response of that status may take the place of `old`.

    A good response is never replaced by an error. 404 and 410 are no errors in that sense: they
    are the origin's word that the resource is gone, and what was taken down must not come back as
    stale content. A caller that insures against a careless deploy keeps `old` on its own account.
    """
    return status < 400 or old.status >= 400 or status in GONE_STATUSES


def _refused_by_request(request: Request, policy: CachePolicy) -> str | None:
    if not policy.may_store:
        return "pass"
    if request.method != b"GET":
        return "method"
    return "request-no-store" if _forbids_storing(request, policy) else None


def withdraws(status: int, reason: str) -> bool:
    """Tell whether a response that is not stored, for `reason`, ends what was stored before it.

    It is the origin's latest word on the resource: what it made private, or took down, must not
    come back as stale content. Errors say nothing of that kind, and neither does a cookie, a coding
    or a cut that we might have had differently.
    """
    return (status < 400 or status in GONE_STATUSES) and reason in _WITHDRAWING


def _forbids_storing(request: Request, policy: CachePolicy) -> bool:
    if not policy.honours_request_directives:
        return False
    values = [value for name, value in request.fields if name == b"cache-control"]
    return bool(values) and parse_cache_control(values).has(b"no-store")


def _refused_by_status(status: int, directives: Directives, policy: CachePolicy) -> str | None:
    if status == _TOO_EARLY:
        return "too-early"
    if not 200 <= status <= 599 or status in _NOT_FOR_OTHERS:
        return "status"
    if directives.has(b"must-understand") and status not in _UNDERSTOOD:
        return "status"
    if policy.edge_lifetime is not None and status not in RULED_STATUSES | GONE_STATUSES:
        return "status"
    return None


def _refused_by_directives(request: Request, directives: Directives) -> str | None:
    if (reason := _withheld(directives)) is not None:
        return reason
    if first(request.fields, b"authorization") is not None and not any(
        directives.has(name) for name in _PERMIT_AUTHORIZED
    ):
        return "authorization"
    return None


def _withheld(directives: Directives) -> str | None:
    # must-understand takes no-store back where the status is understood (section 5.2.2.3).
    if directives.has(b"no-store") and not directives.has(b"must-understand"):
        return "no-store"
    if directives.has(b"private") and directives.names(b"private") is None:
        return "private"
    return None


def _refused_by_fields(lines: Fields, policy: CachePolicy) -> str | None:
    if nominated(lines) is None:
        return "vary"
    kept = fields_to_store(lines)
    if not policy.store_set_cookie and first(kept, b"set-cookie") is not None:
        return "set-cookie"
    try:
        length = parse_content_length([value for name, value in lines if name == b"content-length"])
    except ValueError:
        return "too-large"
    return "too-large" if (length or 0) > policy.body_bytes_max else None


def _is_worth_storing(status: int, lines: Fields, freshness: Freshness) -> bool:
    if freshness.lifetime > 0 and not freshness.always_validate:
        return True
    if status >= 400:
        return False
    if freshness.source == "none" and status not in HEURISTIC_STATUSES:
        # Neither a stated lifetime nor a status that may go without (section 3).
        return False
    can_be_validated = first(lines, b"etag") or first(lines, b"last-modified")
    return bool(can_be_validated or freshness.stale_while_revalidate or freshness.stale_if_error)
