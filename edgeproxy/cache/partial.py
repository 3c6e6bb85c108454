"""Parts of a representation: which may be kept, how they combine, what of them is there.

RFC 9111 sections 3.3 and 3.4, RFC 9110 section 15.3.7. Decides and computes; keeps nothing and
answers nobody. An incomplete response is a type of its own, `Partial`, which is no
`StoredResponse`: nothing that serves complete responses can take it for one.

Invariants: everything in one `Partial` carries the same strong validator and the same length; its
pieces do not overlap and are in order; it becomes a stored response only when they are everything.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256

from edgeproxy.cache.freshness import Freshness
from edgeproxy.cache.policy import CachePolicy
from edgeproxy.cache.stored import StoredResponse, make_stored
from edgeproxy.cache.storing import Store, fields_to_store, may_store
from edgeproxy.cache.validation import freshen
from edgeproxy.http.conditionals import is_strong_date, is_strong_etag
from edgeproxy.http.messages import Field, Fields, Request, first
from edgeproxy.http.ranges import ByteRange, parse_content_range

PIECES_MAX = 64
"""So many pieces may lie apart from each other. Ours: a player that seeks leaves a dozen."""

# What CPython spends on a piece: a bytes object and a tuple.
_PIECE_OVERHEAD = 128
# True of one message and not of the whole.
_OF_THE_PART = frozenset({b"content-range", b"content-length", b"content-digest", b"content-md5"})

Piece = tuple[int, bytes]
"""Where it begins, and its octets."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a 206 offers: which octets, of how many, and how long they may be reused."""

    span: ByteRange
    length: int
    freshness: Freshness


@dataclass(frozen=True, slots=True, eq=False)
class Partial:
    """An incomplete response: `pieces` of `length` octets.

    `response` is the 200 that they are parts of, but for its content, which it has not.
    """

    response: StoredResponse
    length: int
    pieces: tuple[Piece, ...]

    @property
    def weight(self) -> int:
        """The bytes that it counts for in a store."""
        return self.response.weight + sum(
            len(octets) + _PIECE_OVERHEAD for _, octets in self.pieces
        )

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return sum(len(octets) for _, octets in self.pieces) == self.length

    def cut(self, span: ByteRange) -> bytes | None:
        """Return these octets, None unless all of them are there."""
        found: list[bytes] = []
        position = span.first
        for begin, octets in self.pieces:
            if begin + len(octets) <= position:
                continue
            if begin > position:
                return None
            found.append(octets[position - begin : span.last + 1 - begin])
            position = begin + len(octets)
            if position > span.last:
                return b"".join(found)
        return None


def offered(
    request: Request,
    status: int,
    fields: Iterable[Field],
    *,
    content_length: int | None,
    response_time: float,
    policy: CachePolicy,
) -> Offer | None:
    """Return what the answer to a Range request offers to keep, None if nothing.

    One part of a known whole, under a strong validator, which as a 200 might be stored and reused
    unasked; `request` is the question for the whole. Parts that would have to be validated first
    are not worth their place.
    """
    lines = tuple(fields)
    ranges = [value for name, value in lines if name == b"content-range"]
    if status != 206 or len(ranges) != 1 or _strong_validator(lines) is None:
        return None
    stated = parse_content_range(ranges[0])
    if stated is None or content_length not in {None, len(stated[0])}:
        return None
    verdict = may_store(
        request, 200, _of_the_whole(lines), policy=policy, response_time=response_time
    )
    if not isinstance(verdict, Store):
        return None
    freshness = verdict.freshness
    if freshness.always_validate or freshness.lifetime <= 0:
        return None
    return Offer(*stated, freshness)


def begin(
    key: bytes,
    offer: Offer,
    fields: Iterable[Field],
    content: bytes,
    *,
    request_fields: Iterable[Field],
    request_time: float,
    response_time: float,
    fill_generation: int,
) -> Partial:
    """Return the incomplete response that one part makes; `fields` have a Date."""
    response = make_stored(
        key,
        200,
        fields_to_store(_of_the_whole(tuple(fields))),
        b"",
        digest=sha256(b"").digest(),
        request_fields=request_fields,
        request_time=request_time,
        response_time=response_time,
        freshness=offer.freshness,
        fill_generation=fill_generation,
    )
    return Partial(response, offer.length, ((offer.span.first, content),))


def combine(old: Partial, new: Partial, *, policy: CachePolicy) -> Partial | None:
    """Return both in one, None where they must not be: then `new` alone is what is known.

    The fields of the more recent one replace those of the other (section 3.4).
    """
    if not _is_of_the_same(old, new):
        return None
    response, latest = old.response, new.response
    if latest.date_value >= response.date_value:
        response = freshen(
            response,
            latest.fields,
            request_time=latest.request_time,
            response_time=latest.response_time,
            policy=policy,
        )
    return Partial(response, old.length, _joined(old.pieces, new.pieces))


def complete(partial: Partial) -> StoredResponse | None:
    """Return the stored response that all parts make, None as long as something is missing."""
    body = partial.cut(ByteRange(0, partial.length - 1))
    if body is None:
        return None
    return replace(partial.response, body=body, digest=sha256(body).digest(), memo=None)


def _of_the_whole(lines: Fields) -> Fields:
    return tuple(line for line in lines if line[0] not in _OF_THE_PART)


def _strong_validator(lines: Fields) -> Field | None:
    """Return the field that identifies the octets, None without any (RFC 9110 section 8.8.1)."""
    etag, modified = first(lines, b"etag"), first(lines, b"last-modified")
    if etag is not None:
        return (b"etag", etag) if is_strong_etag(etag) else None
    if modified is not None and is_strong_date(modified, first(lines, b"date")):
        return b"last-modified", modified
    return None


def _is_of_the_same(old: Partial, new: Partial) -> bool:
    return (
        old.length == new.length
        and old.response.vary == new.response.vary
        and old.response.coding == new.response.coding
        and _strong_validator(old.response.fields) == _strong_validator(new.response.fields)
    )


def _joined(old: tuple[Piece, ...], new: tuple[Piece, ...]) -> tuple[Piece, ...]:
    missing = [gap for piece in new for gap in _beside(old, piece)]
    pieces = sorted([*old, *missing])
    if len(pieces) > PIECES_MAX:
        # Copied once in so many parts, not with every one.
        pieces = list(_contiguous(pieces))
    if len(pieces) > PIECES_MAX:
        pieces = sorted(sorted(pieces, key=lambda piece: len(piece[1]))[-PIECES_MAX:])
    return tuple(pieces)


def _beside(old: tuple[Piece, ...], new: Piece) -> Iterator[Piece]:
    """Yield what of a new piece is not there yet."""
    begin_, octets = new
    position, end = begin_, begin_ + len(octets)
    for there, known in old:
        if there + len(known) <= position:
            continue
        if there >= end:
            break
        if there > position:
            yield position, octets[position - begin_ : there - begin_]
        position = there + len(known)
    if position < end:
        yield position, octets[position - begin_ :]


def _contiguous(pieces: list[Piece]) -> Iterator[Piece]:
    """Yield pieces that lie side by side as one."""
    start, run = pieces[0][0], [pieces[0][1]]
    position = start + len(run[0])
    for there, octets in pieces[1:]:
        if there != position:
            yield start, b"".join(run)
            start, run = there, []
        run.append(octets)
        position = there + len(octets)
    yield start, b"".join(run)
