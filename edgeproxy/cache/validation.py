"""Validation of stored responses with the origin (RFC 9111 section 4.3).

Builds the conditional fields, finds what a 304 speaks of, and merges it. Generated validators never
appear here: the origin does not know them. What a 200 does is `storing`'s matter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from edgeproxy.cache.freshness import Freshness, corrected_initial_age, freshness_of
from edgeproxy.cache.policy import CachePolicy
from edgeproxy.cache.shared import shared_fields, shared_freshness
from edgeproxy.cache.stored import StoredResponse, with_date
from edgeproxy.cache.storing import fields_to_store
from edgeproxy.cache.vary import NOT_ONLY_NAMED, matches, nominated, speaks_for
from edgeproxy.http.conditionals import etag_strong_equal, etag_weak_equal
from edgeproxy.http.messages import Field, Fields, first

# What describes the stored bytes rather than the resource: Content-Length must not be updated
# (section 3.2), the others would contradict a body that stays as it is.
_NEVER_UPDATED = frozenset(
    {
        b"content-length",
        b"content-encoding",
        b"content-range",
        b"content-digest",
        b"content-md5",
    }
)
# Age and Date of the old response say nothing of the new one.
_NEVER_INHERITED = frozenset({b"age", b"date"})


def conditional_fields(stored: Sequence[StoredResponse]) -> list[Field]:
    """Return the fields that make a request conditional; empty if the origin gave no validator.

    All entity tags are named; a date only when a single response is validated (section 4.3.1). The
    caller has removed the client's own conditional fields.
    """
    etags = dict.fromkeys(tag for each in stored if (tag := origin_etag(each)) is not None)
    fields: list[Field] = []
    if etags:
        fields.append((b"if-none-match", b", ".join(etags)))
    if len(stored) == 1 and (modified := origin_last_modified(stored[0])) is not None:
        fields.append((b"if-modified-since", modified))
    return fields


def select_for_304(
    candidates: Sequence[StoredResponse],
    fields: Iterable[Field],
    *,
    selected: StoredResponse | None = None,
) -> StoredResponse | None:
    """Return the stored response that a 304 confirms, None if it confirms none of them.

    A strong tag confirms what carries the same strong tag, a weak tag or a date the most recent
    match (section 4.3.4); where several match, `selected`, which the request would have got, goes
    first. A 304 without any validator confirms a sole candidate: the request that it answers spoke
    of nothing else.
    """
    lines = tuple(fields)
    etag, modified = first(lines, b"etag"), first(lines, b"last-modified")
    if etag is not None:
        equal = etag_weak_equal if etag.startswith(b"W/") else etag_strong_equal
        matching = [
            stored
            for stored in candidates
            if (own := origin_etag(stored)) is not None and equal(etag, own)
        ]
    elif modified is not None:
        matching = [each for each in candidates if origin_last_modified(each) == modified]
    else:
        matching = list(candidates) if len(candidates) == 1 else []
    if any(each is selected for each in matching):
        return selected
    return max(matching, key=_recency, default=None)


def confirmed_besides(
    chosen: StoredResponse,
    candidates: Iterable[StoredResponse],
    fields: Iterable[Field],
    request_fields: Iterable[Field],
) -> list[StoredResponse]:
    """Return what else a 304 that confirms `chosen` updates (section 4.3.4).

    Everything that might have been chosen for the request and carries the same strong tag.
    """
    confirming, lines = tuple(fields), list(request_fields)
    etag = first(confirming, b"etag")
    if etag is None or etag.startswith(b"W/"):
        return []
    return [
        each
        for each in candidates
        if each is not chosen
        and origin_etag(each) == etag
        and matches(each, lines)
        and speaks_for(confirming, lines, each)
    ]


def freshen(
    stored: StoredResponse,
    status_304_fields: Iterable[Field],
    *,
    request_time: float,
    response_time: float,
    policy: CachePolicy,
) -> StoredResponse:
    """Return `stored` with the fields of the 304 that confirmed it (RFC 9111 section 3.2).

    Body, digest, key, variant and purge generation stay. Where the 304 forbids storing or nominates
    other request fields than before, the result must always be validated.
    """
    update = _update(status_304_fields, policy)
    fields = shared_fields(with_date(_merged(stored.fields, update), response_time))
    freshness = freshness_of(stored.status, fields, response_time=response_time, policy=policy)
    names = nominated(fields)
    known = {name for name, _ in stored.vary}
    if names is None or not known.issuperset(names) or known.difference(names) - NOT_ONLY_NAMED:
        freshness = Freshness(freshness.lifetime, freshness.source, always_validate=True)
    etag, last_modified = first(fields, b"etag"), first(fields, b"last-modified")
    return replace(
        stored,
        fields=fields,
        request_time=request_time,
        response_time=response_time,
        freshness=shared_freshness(freshness),
        initial_age=corrected_initial_age(
            fields, request_time=request_time, response_time=response_time
        ),
        etag=etag or stored.etag,
        last_modified=last_modified or stored.last_modified,
        is_etag_generated=stored.is_etag_generated and etag is None,
        is_last_modified_generated=stored.is_last_modified_generated and last_modified is None,
        date=first(fields, b"date") or stored.date,
        memo=None,
    )


def carry_over(old: StoredResponse, new: StoredResponse) -> StoredResponse:
    """Return `new`, keeping what must not change for clients while the bytes are the same.

    A generated Last-Modified says when these bytes were first seen; the bodies are shared, so that
    two generations of an object cost one, and nothing is coded twice.
    """
    if old.digest != new.digest:
        return new
    if new.is_last_modified_generated and old.last_modified is not None:
        new = replace(new, last_modified=old.last_modified)
    if type(old.body) is not type(new.body):  # one of them in memory, the other on disk
        return new
    derived = old.derived if old.coding == new.coding else new.derived
    return replace(new, body=old.body, derived=derived)


def origin_etag(stored: StoredResponse) -> bytes | None:
    """Return the entity tag that the origin knows, None if it sent none."""
    return None if stored.is_etag_generated else stored.etag


def origin_last_modified(stored: StoredResponse) -> bytes | None:
    """Return the date that the origin knows, None if it sent none."""
    return None if stored.is_last_modified_generated else stored.last_modified


def _recency(stored: StoredResponse) -> tuple[float, float]:
    return stored.date_value, stored.response_time


def _update(fields: Iterable[Field], policy: CachePolicy) -> Fields:
    dropped = _NEVER_UPDATED if policy.store_set_cookie else _NEVER_UPDATED | {b"set-cookie"}
    return tuple(line for line in fields_to_store(fields) if line[0] not in dropped)


def _merged(old: Fields, update: Fields) -> Fields:
    replaced = _NEVER_INHERITED.union(name for name, _ in update)
    kept = (line for line in old if line[0] not in replaced)
    return fields_to_store((*kept, *update))
