"""A whole edge against a model of RFC 9111 that only remembers what the origin said, and when.

A story is what happens at one URL: reads of the whole and of ranges, HEADs, writes, time that
passes, content that changes at the origin. After every answer that the origin did not hear of, the
model is asked whether any answer of the origin allows it. It knows nothing of how things are kept:
neither variants nor parts nor updates, only versions, octets, lifetimes and ages.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgeproxy.edge.handler import Edge
from edgeproxy.edge.settings import EdgeSettings
from edgeproxy.edge.sites import Site, Sites
from edgeproxy.http.dates import format_date
from edgeproxy.http.messages import first
from edgeproxy.http.ranges import ByteRange, resolve_range
from edgeproxy.http.upstream import OriginResponse, OutboundRequest
from edgeproxy.observe.counters import Counters
from edgeproxy.store.memory import MemoryStore
from tests.support.clock import ManualClock
from tests.support.edge import HOST, Beside, Exchange, Pop

LENGTH = 12


def length_of(version: int) -> int:
    """Return a length of its own for every version: without tags a HEAD tells by nothing else."""
    return LENGTH + version


def whole(version: int) -> bytes:
    """Return the octets of a version, which differ from those of others at every position."""
    return bytes((version + 16 * at) % 256 for at in range(length_of(version)))


@dataclass(frozen=True)
class Said:
    """One answer of the origin: of which version, when, for how long, and which positions."""

    version: int
    at: float
    lifetime: int
    positions: frozenset[int] = frozenset()


@dataclass
class Origin:
    """An origin whose content changes; it understands conditions, ranges, HEAD and writes."""

    clock: ManualClock
    version: int = 0
    lifetime: int = 10
    is_tagged: bool = True
    takes_ranges: bool = True
    asked: int = 0
    said: list[Said] = field(default_factory=list)
    written_after: int = 0

    async def fetch(self, request: OutboundRequest) -> OriginResponse:
        self.asked += 1
        if request.method == b"POST":
            self.written_after = len(self.said)
            return self._response(204, b"")
        tag = b'"%d"' % self.version
        known = first(request.fields, b"if-none-match") or b""
        value = first(request.fields, b"range")
        length = length_of(self.version)
        span = None if value is None else resolve_range(value, length)
        held = range(0)
        if self.is_tagged and tag in known.split(b", "):
            response = self._response(304, b"")
        elif request.method == b"HEAD":
            response = self._response(200, b"", length=length)
        elif isinstance(span, ByteRange) and self.takes_ranges:
            content = whole(self.version)[span.first : span.last + 1]
            held = range(span.first, span.last + 1)
            response = self._response(206, content, span.content_range(length))
        else:
            held = range(length)
            response = self._response(200, whole(self.version))
        self.said.append(Said(self.version, self.clock.now(), self.lifetime, frozenset(held)))
        return response

    def _response(
        self, status: int, content: bytes, part: bytes | None = None, *, length: int | None = None
    ) -> OriginResponse:
        async def body() -> AsyncIterator[bytes]:
            for at in range(0, len(content), 5):
                yield content[at : at + 5]

        now = self.clock.now()
        stated = {
            b"date": format_date(int(now)),
            b"cache-control": b"max-age=%d" % self.lifetime,
            b"etag": b'"%d"' % self.version if self.is_tagged else None,
            b"x-version": b"%d" % self.version,
            b"content-range": part,
        }
        return OriginResponse(
            status=status,
            fields=[(name, value) for name, value in stated.items() if value is not None],
            body=body(),
            content_length=len(content) if length is None else length,
            is_delimited=True,
            request_time=now,
            response_time=now,
        )


def forbids(origin: Origin, exchange: Exchange, value: str | None) -> str | None:
    """Say why RFC 9111 forbids this answer, which the origin did not hear of; None if it does not.

    An unsafe request ends all that was said before it (section 4.4). Octets come from answers that
    had them; freshness from any answer that spoke of their version since (sections 3.4, 4.3.4 and
    4.3.5).
    """
    now = origin.clock.now()
    valid = origin.said[origin.written_after :]
    version = int(exchange.field("x-version") or -1)
    of_version = [said for said in valid if said.version == version]
    if not any(now - said.at < said.lifetime for said in of_version):
        return "not fresh"
    if exchange.status == 304:
        return None
    span = ByteRange(0, length_of(version) - 1)
    if exchange.status == 206:
        found = resolve_range((value or "").encode(), length_of(version))
        assert isinstance(found, ByteRange)
        span = found
    elif exchange.status != 200:
        return f"status {exchange.status}"
    if exchange.body != whole(version)[span.first : span.last + 1]:
        return "other octets"
    had = frozenset[int]().union(*(said.positions for said in of_version))
    if not had.issuperset(range(span.first, span.last + 1)):
        return "octets that nobody sent"
    age = int(exchange.field("age") or -1)
    if not any(int(now - said.at) == age for said in of_version):
        return "an age of nothing"
    return None


positions = st.integers(0, LENGTH - 1)
ranges = st.tuples(positions, positions).map(
    lambda pair: f"bytes={min(pair)}-{max(pair)}"
) | st.sampled_from(["bytes=-3", "bytes=4-"])
steps = st.one_of(
    st.tuples(st.just("whole"), st.none()),
    st.tuples(st.just("range"), ranges),
    st.tuples(st.just("range"), ranges),
    st.tuples(st.just("head"), st.none()),
    st.tuples(st.just("write"), st.none()),
    st.tuples(st.just("wait"), st.integers(1, 12)),
    st.tuples(st.just("change"), st.none()),
    st.tuples(st.just("lifetime"), st.integers(0, 30)),
)


def point_of_presence(origin: Origin, clock: ManualClock) -> Pop:
    store, counters = MemoryStore(1 << 20, 1 << 16), Counters()
    edge = Edge(
        Sites([Site(name=HOST, hosts=(HOST,), origin=origin)]),
        store,
        pop="fra1",
        clock=clock,
        counters=counters,
        access_log=None,
        settings=EdgeSettings(),
    )
    return Pop(clock, origin, edge, store, counters, Beside())  # type: ignore[arg-type]


async def tell(
    story: list[tuple[str, str | int | None]], *, is_tagged: bool, takes_ranges: bool
) -> int:
    """Let a story happen, and return how often an answer was reused."""
    clock = ManualClock()
    origin = Origin(clock, is_tagged=is_tagged, takes_ranges=takes_ranges)
    pop, reused = point_of_presence(origin, clock), 0
    for step, value in story:
        if step == "wait":
            clock.advance(float(value or 0))
        elif step == "change":
            origin.version += 1
        elif step == "lifetime":
            origin.lifetime = int(value or 0)
        elif step == "write":
            await pop.get(method="POST")
        else:
            asked = origin.asked
            method = "HEAD" if step == "head" else "GET"
            named = {"range": str(value)} if step == "range" else {}
            exchange = await pop.get(method=method, **named)
            assert exchange.failure is None
            if origin.asked == asked and step != "head":
                reused += 1
                assert forbids(origin, exchange, str(value)) is None
            elif step == "whole":
                assert exchange.body == whole(int(exchange.field("x-version") or -1))
    await pop.edge.aclose()
    return reused


TWO_HALVES = [("range", "bytes=0-5"), ("range", "bytes=6-11"), ("whole", None)]
OUTLIVED = [("wait", 11), ("head", None), ("whole", None)]


@settings(max_examples=300)
@given(st.lists(steps, max_size=14), st.booleans(), st.booleans())
@example(TWO_HALVES, True, True)
@example([TWO_HALVES[0], ("change", None), *TWO_HALVES[1:]], True, True)
@example([*TWO_HALVES, ("wait", 11), ("head", None), ("whole", None)], True, True)
@example(
    [("whole", None), ("change", None), ("wait", 11), ("head", None), ("whole", None)], True, True
)
@example([("range", "bytes=0-5"), ("write", None), ("range", "bytes=2-3")], True, True)
def test_no_story_ends_in_an_answer_that_nothing_allows(story, is_tagged, takes_ranges):
    asyncio.run(tell(story, is_tagged=is_tagged, takes_ranges=takes_ranges))


def test_stories_do_reuse_what_they_may():
    """A cache that reuses nothing would pass the other test."""

    def reused(*story):
        return asyncio.run(tell(list(story), is_tagged=True, takes_ranges=True))

    assert reused(*TWO_HALVES) == 1
    assert reused(TWO_HALVES[0], ("range", "bytes=1-4"), ("range", "bytes=1-4")) == 2
    assert reused(("whole", None), ("range", "bytes=1-4"), ("whole", None)) == 2
    assert reused(("whole", None), *OUTLIVED) == 1
    assert reused(("whole", None), ("change", None), *OUTLIVED) == 0
