"""From a representation and its content to the response that one request gets.

Evaluates preconditions and Range (RFC 9110 sections 13 and 14) and chooses among 200, 206, 304, 412
and 416; HEAD gets the fields of GET. Fetches and stores nothing. Preconditions count only where the
answer would be a 200 (section 13.2.1).
"""

from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass
from typing import Protocol, Self, assert_never

from edgeproxy.cache.codings import Offer, fields_in, offer_of
from edgeproxy.cache.stored import StoredResponse
from edgeproxy.edge.lookup import Route
from edgeproxy.edge.representation import Representation
from edgeproxy.edge.response_fields import compose
from edgeproxy.http.codings import IDENTITY
from edgeproxy.http.conditionals import Precondition, evaluate, if_range_holds
from edgeproxy.http.fields import list_members, parse_delta_seconds
from edgeproxy.http.messages import Field, Fields, FieldSection, Request, Response, combined
from edgeproxy.http.ranges import ByteRange, Unsatisfiable, resolve_range

_ACCEPTS_RANGES = (b"accept-ranges", b"bytes")
_PRECONDITIONS = frozenset(
    {b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"}
)
_BEFORE_CHANGES = frozenset({b"if-match", b"if-unmodified-since"})
_AS_IT_CAME = Offer(IDENTITY, (IDENTITY,))


class Stream(Protocol):
    """Content that is read bit by bit, and can be narrowed to a range before that."""

    def only(self, first: int, last: int) -> Self:
        """Narrow to the bytes from `first` to `last`, both inclusive."""

    def close(self) -> None:
        """Read no more."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes:
        """Return the next piece."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What logs and counters call the answer."""

    outcome: str
    site: str
    rule: str


@dataclass(frozen=True, slots=True)
class Coded:
    """The coding to represent a response in: one of `offer`; `is_final` as in `DerivedBody`."""

    offer: Offer
    coding: bytes
    is_final: bool = True


def represent(
    route: Route,
    status: int,
    fields: Fields,
    *,
    length: int | None,
    may_be_shared: bool,
    generated: Fields = (),
    coded: Coded | None = None,
) -> Representation:
    """Return the representation of a response under its route's rule.

    `generated` are fields that the origin left out; without `coded` it is represented as it came.
    """
    lines = (*fields, *_missing(generated, fields))
    if coded is None:
        varies = offer(route, status, lines, length=length).is_negotiable
        is_final = True
    else:
        varies, is_final = coded.offer.is_negotiable, coded.is_final
        lines = fields_in(coded.coding, lines, own=coded.offer.own, is_final=is_final)
    composed = compose(route, status, lines, may_be_shared=may_be_shared, varies_by_coding=varies)
    if may_be_shared and status == 200:
        # Ranges are cut here, whatever the origin itself can do.
        composed = [line for line in composed if line[0] != b"accept-ranges"]
        composed.append(_ACCEPTS_RANGES)
    return Representation(
        status,
        composed,
        length=None if status == 204 else length,
        cache_status=combined(fields, b"cache-status") or b"",
        age=_age_on_arrival(fields),
        is_final=is_final,
    )


def _missing(generated: Fields, fields: Fields) -> Iterable[Field]:
    names = {name for name, _ in fields}
    return (line for line in generated if line[0] not in names)


def offer(
    route: Route,
    status: int,
    fields: Iterable[Field],
    *,
    length: int | None,
    refused: Collection[bytes] = (),
) -> Offer:
    """Return in which codings a response can be had under its route's rule.

    A rule that negotiates none hands everything on as it came.
    """
    codings = route.rule.codings
    if not codings:
        return _AS_IT_CAME
    return offer_of(status, fields, codings=codings, length=length, refused=refused)


def all_but_own(route: Route) -> tuple[bytes, ...]:
    """Return what is refused for a body that is too large to be coded: every coding not its own."""
    return (*route.rule.codings, IDENTITY)


def _age_on_arrival(fields: Fields) -> int | None:
    # RFC 9111 section 5.1: the first member counts, anything that is no number is no Age.
    values = [value for name, value in fields if name == b"age"]
    return parse_delta_seconds(next(list_members(values), b""))


def live_section(
    representation: Representation, member: bytes, *, age: float | None = None
) -> FieldSection:
    """Return what is true of this delivery only: Age and our Cache-Status behind the others'."""
    upstream = representation.cache_status
    status = b"%s, %s" % (upstream, member) if upstream else member
    fields: list[Field] = [] if age is None else [(b"age", b"%d" % int(age))]
    return FieldSection([*fields, (b"cache-status", status)])


def generated_fields(stored: StoredResponse) -> Fields:
    """Return the fields that the edge adds where the origin sent none."""
    fields: list[Field] = [(b"date", stored.date)]
    if stored.etag is not None:
        fields.append((b"etag", stored.etag))
    if stored.last_modified is not None:
        fields.append((b"last-modified", stored.last_modified))
    return tuple(fields)


def range_of(request: Request) -> bytes | None:
    """Return the Range of a request whose answer may be a part (RFC 9110 section 14.2: GET)."""
    return combined(request.fields, b"range") if request.method == b"GET" else None


@dataclass(frozen=True, slots=True)
class Part:
    """A range of a representation whose length is known."""

    cut: ByteRange
    length: int


def select(
    request: Request, representation: Representation, length: int | None
) -> Precondition | Part | Unsatisfiable:
    """Decide what of the representation answers the request; PASS is the whole.

    `length` None: not known, so no part can be named.
    """
    if representation.status != 200:
        return Precondition.PASS
    etag, last_modified = representation.etag, representation.last_modified
    date = representation.date
    if any(name in _PRECONDITIONS for name, _ in request.fields):
        verdict = evaluate(
            request.method,
            _judged(request.fields, etag),
            etag=etag,
            last_modified=last_modified,
            date=date,
        )
        if verdict is not Precondition.PASS:
            return verdict
    value = range_of(request)
    if length is None or value is None:
        return Precondition.PASS
    if not representation.is_final and any(name == b"if-range" for name, _ in request.fields):
        return Precondition.PASS  # the part that the client has may be of other bytes
    if not if_range_holds(request.fields, etag=etag, last_modified=last_modified, date=date):
        return Precondition.PASS
    resolved = resolve_range(value, length)
    if isinstance(resolved, ByteRange):
        return Part(resolved, length)
    return resolved or Precondition.PASS


def _judged(fields: list[Field], etag: bytes | None) -> list[Field]:
    """Leave If-Match out where no tag is known, and what it overrides (RFC 9110 section 13.1.1).

    The tag may be one that is made when the content is whole: nobody is refused for want of it.
    """
    if etag is not None or all(name != b"if-match" for name, _ in fields):
        return fields
    return [line for line in fields if line[0] not in _BEFORE_CHANGES]


def respond(
    request: Request,
    representation: Representation,
    content: bytes | Stream,
    *,
    length: int | None,
    tail: tuple[FieldSection, ...],
    labels: Labels,
) -> Response:
    """Build the response; a stream that is not needed is closed."""
    status, sections, body = _shape(request, representation, content, length)
    if not isinstance(content, bytes) and body is not content:
        content.close()
    return Response(
        status,
        (*sections, *tail),
        body,
        outcome=labels.outcome,
        site=labels.site,
        rule=labels.rule,
    )


_Shape = tuple[int, tuple[FieldSection, ...], bytes | memoryview | Stream]


def _shape(
    request: Request, representation: Representation, content: bytes | Stream, length: int | None
) -> _Shape:
    match select(request, representation, length):
        case Precondition.PASS:
            body = b"" if request.method == b"HEAD" else content
            return representation.status, (representation.whole,), body
        case Precondition.NOT_MODIFIED:
            return 304, (representation.bare,), b""
        case Precondition.FAILED:
            return 412, (_without_content(representation),), b""
        case Part(cut, whole):
            return 206, representation.part(cut, whole), _slice(content, cut)
        case Unsatisfiable() as beyond:
            line = (b"content-range", beyond.content_range())
            return 416, (_without_content(representation, line),), b""
        case never:
            assert_never(never)


def _slice(content: bytes | Stream, cut: ByteRange) -> memoryview | Stream:
    if not isinstance(content, bytes):
        return content.only(cut.first, cut.last)
    return memoryview(content)[cut.first : cut.last + 1]


def _without_content(representation: Representation, *lines: Field) -> FieldSection:
    fields = [(b"cache-control", b"no-store"), (b"content-length", b"0"), *lines]
    if representation.date is not None:
        fields.insert(0, (b"date", representation.date))
    return FieldSection(fields)
