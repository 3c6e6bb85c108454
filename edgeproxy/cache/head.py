"""What a 200 to HEAD says of stored responses to GET (RFC 9111 section 4.3.5).

Such a response has the fields that a GET would have had, so it updates what it agrees with, like a
304 does (section 3.2), and what it contradicts is stale. Names the changes; makes none.

It agrees if every validator that it brings is that of the stored response, and its Content-Length
as well. One that brings neither agrees with everything by the letter. Where the stored response has
a validator, that proves nothing here, and it is validated before it is used again.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from edgeproxy.cache.freshness import Freshness
from edgeproxy.cache.policy import CachePolicy
from edgeproxy.cache.stored import StoredResponse
from edgeproxy.cache.storing import asks_for_itself, is_withheld
from edgeproxy.cache.validation import freshen, origin_etag, origin_last_modified
from edgeproxy.cache.vary import matches, speaks_for
from edgeproxy.http.codings import coding_of
from edgeproxy.http.messages import Field, Fields, Request, first


def learned_from_head(
    candidates: Sequence[StoredResponse],
    request: Request,
    fields: Iterable[Field],
    *,
    sent_fields: Iterable[Field],
    content_length: int | None,
    request_time: float,
    response_time: float,
    policy: CachePolicy,
) -> Iterator[tuple[StoredResponse, StoredResponse]]:
    """Yield each stored response that a 200 to HEAD speaks of, and what is to take its place.

    `sent_fields` are those of the request that the next hop heard. What could not have been chosen
    for it is left alone, what is for more clients is updated by none of its fields, and nothing
    changes at all if the answer may be the asker's own.
    """
    sent, lines = list(sent_fields), tuple(fields)
    if asks_for_itself(request, policy=policy):
        return
    for stored in candidates:
        if not matches(stored, sent) or coding_of(lines) != stored.coding:
            continue
        if not _agrees(stored, lines, content_length) or is_withheld(lines):
            yield stored, _outdated(stored)
            continue
        if not speaks_for(lines, sent, stored):
            continue
        yield (
            stored,
            freshen(
                stored,
                lines,
                request_time=request_time,
                response_time=response_time,
                policy=policy,
            ),
        )


def _agrees(stored: StoredResponse, lines: Fields, content_length: int | None) -> bool:
    own_etag, own_date = origin_etag(stored), origin_last_modified(stored)
    received = [
        (value, own)
        for value, own in (
            (first(lines, b"etag"), own_etag),
            (first(lines, b"last-modified"), own_date),
            (content_length, len(stored.body)),
        )
        if value is not None
    ]
    if stored.status != 200:
        return False
    if not received:
        return own_etag is None and own_date is None
    return all(value == own for value, own in received)


def _outdated(stored: StoredResponse) -> StoredResponse:
    """Return it as one that must be validated: it may still be what a 304 confirms."""
    old = stored.freshness
    return replace(
        stored, freshness=Freshness(old.lifetime, old.source, always_validate=True), memo=None
    )
