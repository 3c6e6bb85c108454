"""From a representation and its content to the response that one request gets.

Evaluates preconditions and Range (RFC 9110 sections 13 and 14) and chooses among 200, 206, 304, 412
and 416; HEAD gets the fields of GET. Fetches and stores nothing. Preconditions count only where the
answer would be a 200 (section 13.2.1).

A stored response remembers how it looks under its rule in `StoredResponse.memo`: a `View`, whose
live fields are made once a second. All plain hits of that second get the very same `Response`:
nothing may change a response once it is made.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from edgeproxy.cache.stored import StoredResponse
from edgeproxy.edge.growing import Reader
from edgeproxy.edge.lookup import Route
from edgeproxy.edge.representation import Representation
from edgeproxy.edge.response_fields import compose
from edgeproxy.edge.sites import Rule
from edgeproxy.http import cache_status
from edgeproxy.http.conditionals import Precondition, evaluate, if_range_holds
from edgeproxy.http.fields import list_members, parse_delta_seconds
from edgeproxy.http.messages import Field, Fields, FieldSection, Request, Response, combined
from edgeproxy.http.ranges import ByteRange, Unsatisfiable, resolve_range

_ACCEPTS_RANGES = (b"accept-ranges", b"bytes")
_PRECONDITIONS = frozenset(
    {b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"}
)
_BEFORE_CHANGES = frozenset({b"if-match", b"if-unmodified-since"})


@dataclass(frozen=True, slots=True)
class Labels:
    """What logs and counters call the answer."""

    outcome: str
    site: str
    rule: str


def represent(
    route: Route,
    status: int,
    fields: Fields,
    *,
    length: int | None,
    may_be_shared: bool,
    generated: Fields = (),
) -> Representation:
    """Return the representation of a response under its route's rule."""
    composed = compose(route, status, fields, may_be_shared=may_be_shared, generated=generated)
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
    )


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


class View:
    """How one stored response looks on the wire under one rule.

    `response` and `head_response` are the plain hits between `live_from` and `live_until`, a span
    that ends when Age ticks or the response turns stale, whatever comes first: one comparison
    tells a caller both. `unchanged` answers revalidations in that span.
    """

    __slots__ = (
        "_stored",
        "_unchanged",
        "head_response",
        "live",
        "live_from",
        "live_until",
        "representation",
        "response",
        "rule",
    )

    def __init__(self, stored: StoredResponse, route: Route) -> None:
        self._stored = stored
        self.rule: Rule = route.rule
        self.representation = represent(
            route,
            stored.status,
            stored.fields,
            length=len(stored.body),
            may_be_shared=True,
            generated=generated_fields(stored),
        )
        self.live = FieldSection(())
        self.live_from = self.live_until = 0.0
        self.response = Response(stored.status, ())
        self.head_response = self.response
        self._unchanged: Response | None = None

    def refresh(self, route: Route, now: float, pop: str) -> bool:
        """Make the live fields for `now`; returns False if the response is not fresh then."""
        stored = self._stored
        if now >= stored.fresh_until:
            return False
        age = stored.current_age(now)
        seconds = int(age)
        member = cache_status.member(pop, hit=True, ttl=stored.seconds_left(now))
        self.live = live_section(self.representation, member, age=seconds)
        self.live_from = now
        self.live_until = min(now + (seconds + 1 - age), stored.fresh_until)
        sections = (self.representation.whole, self.live)
        labels = {"outcome": "hit", "site": route.site.name, "rule": route.rule.id}
        self.response = Response(stored.status, sections, stored.body, **labels)
        self.head_response = Response(stored.status, sections, b"", **labels)
        self._unchanged = None
        return True

    def unchanged(self, method: bytes, conditions: list[Field]) -> Response | None:
        """Return the 304 for a read with these If-None-Match and If-Modified-Since, None if not.

        Exactly our own validator is known without any parsing.
        """
        made = self.representation
        if made.status != 200 or not (
            _names_exactly(conditions, made) or _is_unmodified(method, conditions, made)
        ):
            return None
        response = self._unchanged
        if response is None:
            response = self._unchanged = Response(
                304,
                (made.bare, self.live),
                outcome=self.response.outcome,
                site=self.response.site,
                rule=self.response.rule,
            )
        return response


def _is_unmodified(method: bytes, conditions: list[Field], made: Representation) -> bool:
    verdict = evaluate(
        method, conditions, etag=made.etag, last_modified=made.last_modified, date=made.date
    )
    return verdict is Precondition.NOT_MODIFIED


def _names_exactly(conditions: Iterable[Field], made: Representation) -> bool:
    tag = since = None
    for name, value in conditions:
        if name == b"if-none-match":
            if tag is not None:
                return False
            tag = value
        elif name == b"if-modified-since":
            if since is not None:
                return False
            since = value
    if tag is not None:
        return tag == made.etag
    return since is not None and since == made.last_modified


def view_of(stored: StoredResponse, route: Route) -> View:
    """Return the remembered view of a stored response, or make it."""
    memo = stored.memo
    if isinstance(memo, View) and memo.rule is route.rule:
        return memo
    view = View(stored, route)
    stored.memo = view
    return view


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
    content: bytes | Reader,
    *,
    length: int | None,
    tail: tuple[FieldSection, ...],
    labels: Labels,
) -> Response:
    """Build the response; a reader that is not needed is left."""
    status, sections, body = _shape(request, representation, content, length)
    if isinstance(content, Reader) and body is not content:
        content.close()
    return Response(
        status,
        (*sections, *tail),
        body,
        outcome=labels.outcome,
        site=labels.site,
        rule=labels.rule,
    )


_Shape = tuple[int, tuple[FieldSection, ...], bytes | memoryview | Reader]


def _shape(
    request: Request, representation: Representation, content: bytes | Reader, length: int | None
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


def _slice(content: bytes | Reader, cut: ByteRange) -> memoryview | Reader:
    if isinstance(content, Reader):
        return content.only(cut.first, cut.last)
    return memoryview(content)[cut.first : cut.last + 1]


def _without_content(representation: Representation, *lines: Field) -> FieldSection:
    fields = [(b"cache-control", b"no-store"), (b"content-length", b"0"), *lines]
    if representation.date is not None:
        fields.insert(0, (b"date", representation.date))
    return FieldSection(fields)
