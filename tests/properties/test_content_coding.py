"""Whatever is asked for in whatever order, every client gets the origin's content, coded once.

Each example is a story: an origin that answers in one coding, and the requests of clients that take
others, while the response is cold, stored, coded provisionally, coded as well as it gets, stale and
replaced. What is checked is what a client can see, with decoders that are the libraries' own, and
what the counters say of the work.
"""

import asyncio
import hashlib
import threading
import zlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeproxy.edge import coder
from edgeproxy.http.messages import first
from tests.support.barrier import Barrier, settle
from tests.support.coded import CODE as KNOWN
from tests.support.coded import DECODE as KNOWN_DECODE
from tests.support.edge import HOST, Exchange, Pop, make_pop, rule
from tests.support.upstream import Reply, Route

DICTIONARY = b"\xffDCB a coding that nobody here knows:"
CODE = {
    **KNOWN,
    "x-gzip": KNOWN["gzip"],
    "deflate": zlib.compress,
    "dcb": lambda body: DICTIONARY + body,
}
DECODE = {
    **KNOWN_DECODE,
    "x-gzip": KNOWN_DECODE["gzip"],
    "deflate": zlib.decompress,
    "dcb": lambda body: body.removeprefix(DICTIONARY),
}
SENT = [*CODE, "gzip, br", "br, gzip", "gzip, gzip", "identity, br"]
OURS = ["br", "zstd", "gzip"]

LINES = b"".join(b".rule-%d { margin: %dpx }\n" % (n, n * n % 97) for n in range(1000))
NOISE = hashlib.shake_256(b"noise").digest(3000)
BODIES = {
    "text": LINES,  # is coded fast, and then once more as well as it gets
    "page": LINES[:6000],  # is coded as well as it gets at once
    "short": LINES[:300],
    "noise": NOISE,
    "empty": b"",
}
MODIFIED = "Wed, 01 Jan 2020 00:00:00 GMT"
DIGESTS = ("content-digest", "repr-digest", "content-md5", "digest")


def coded(coding: str, body: bytes) -> bytes:
    for name in coding.split(", "):
        body = CODE[name](body)
    return body


def decoded(exchange: Exchange) -> bytes:
    body = exchange.body
    for name in reversed((exchange.field("content-encoding") or "identity").split(", ")):
        body = DECODE[name](body)
    return body


def opaque(tag: str) -> str:
    return tag.removeprefix("W/")


@dataclass(frozen=True)
class Given:
    """What origin and operator do."""

    sent: str
    content: str
    content_type: str | None
    etag: str | None
    directives: str
    has_length: bool
    codings: tuple[str, ...]
    generates_validators: bool
    is_slow: bool = True

    @property
    def own(self) -> str:
        codings = [c.replace("x-gzip", "gzip") for c in self.sent.split(", ") if c != "identity"]
        return ", ".join(codings) or "identity"

    @property
    def may_transform(self) -> bool:
        return "no-transform" not in self.directives and bool(self.codings)

    @property
    def is_kept(self) -> bool:
        """Whether one fetch can serve everybody."""
        known = self.own == "identity" or (bool(self.codings) and self.own in OURS)
        return known and "no-store" not in self.directives

    @property
    def is_shrinkable(self) -> bool:
        """Whether the edge would code it, by what is known before it is coded."""
        return self.content_type == "text/css" and self.may_transform

    def least(self) -> set[str]:
        """Every coding that it can be had in for certain."""
        if not self.may_transform or (self.own != "identity" and self.own not in OURS):
            return {self.own}
        return {self.own, "identity", *(self.codings if self.is_worth_it else ())}

    def most(self) -> set[str]:
        """Every coding that it may come in: whether it is worth it shows when it is coded."""
        return self.least() | set(self.codings if self.is_shrinkable else ())

    @property
    def is_worth_it(self) -> bool:
        return self.is_shrinkable and self.content in {"text", "page"}

    @property
    def is_negotiable(self) -> bool:
        """Whether what one fetch brings depends on Accept-Encoding for certain."""
        return self.is_kept and (self.own != "identity" or self.is_worth_it)


@dataclass
class Origin(Route):
    """Answers in its coding whatever is asked for, and conditional requests by its tag."""

    pop: Pop
    given: Given
    release: int = 1
    fetched: int = 0
    going_on: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def content(self) -> bytes:
        return BODIES[self.given.content] + b"/* %d */" % self.release

    @property
    def tag(self) -> str | None:
        return None if self.given.etag is None else self.given.etag % self.release

    def next(self) -> Reply:
        asked = self.pop.origin.asked[-1]
        body = coded(self.given.sent, self.content)
        fields = [(b"cache-control", self.given.directives.encode())]
        if self.tag is not None:
            fields.append((b"etag", self.tag.encode()))
            if opaque(self.tag) in opaque((first(asked.fields, b"if-none-match") or b"").decode()):
                return Reply(304, b"", fields)
        self.fetched += 1
        if self.given.content_type is not None:
            fields.append((b"content-type", self.given.content_type.encode()))
        if self.given.sent != "identity":
            fields.append((b"content-encoding", self.given.sent.encode()))
        fields.append((b"last-modified", MODIFIED.encode()))
        fields += [(name.encode(), b"of what the origin sent") for name in DIGESTS]
        reply = Reply(200, [body[:100], body[100:]], fields)
        if self.given.is_slow:
            reply.pause(1, barrier := Barrier())
            self.going_on.append(asyncio.get_running_loop().create_task(_go_on(barrier)))
        return reply if self.given.has_length else reply.chunked()


async def _go_on(barrier: Barrier) -> None:
    """Send the rest once whoever could begin with what there is has begun."""
    await barrier.reached()
    await settle(50)
    barrier.open()


# --- what clients say ---

WEIGHTS = st.sampled_from(["", "", "", ";q=1", ";q=0.5", "; q=0.001", ";q=0", ";q=0.0", ";q=7"])
MEMBERS = st.tuples(
    st.sampled_from(["br", "zstd", "gzip", "x-gzip", "GZIP", "identity", "*", "deflate", "dcb"]),
    WEIGHTS,
).map("".join)
ACCEPTED = st.sampled_from(
    [None, "", "br", "gzip", "gzip, deflate, br, zstd", "identity;q=0", "*;q=0"]
) | st.lists(MEMBERS, max_size=5).map(", ".join)


def refusals(accepted: str | None) -> dict[str, bool]:
    """Return, by coding, whether a client refuses it; of several words on one the first counts."""
    said: dict[str, bool] = {}
    for member in (accepted or "").split(","):
        name, _, weight = member.replace(" ", "").lower().partition(";")
        if name and weight != "q=7":
            said.setdefault(name.replace("x-gzip", "gzip"), weight in {"q=0", "q=0.0"})
    return said


def taken(accepted: str | None, codings: set[str]) -> set[str]:
    """Return which of these a client takes, as plainly as RFC 9110 section 12.5.3 says it.

    Who refuses identity and names nothing that there is takes what it does not refuse.
    """
    said = refusals(accepted)
    others = said.get("*")
    silent = dict.fromkeys(codings, True if others is None else others)
    silent["identity"] = others is True
    takes = {coding for coding in codings if not said.get(coding, silent[coding])}
    if not takes and said.get("identity") and others is None:
        return codings - set(said)
    return takes


@dataclass
class Story:
    """One origin, one edge, and everything that clients have been told so far."""

    given: Given
    pop: Pop
    origin: Origin
    gate: threading.Event
    tags: list[str] = field(default_factory=lambda: ['"never sent"'])
    bytes_of: dict[tuple[int, str], bytes] = field(default_factory=dict)
    coding_of: dict[tuple[int, str], str] = field(default_factory=dict)
    told: list[Exchange] = field(default_factory=list)

    async def ask(self, accepted: str | None, *, method: str = "GET", **fields: str) -> Exchange:
        if accepted is not None:
            fields["accept_encoding"] = accepted
        got = await self.pop.exchange(self.pop.request("/a", method=method, **fields))
        self.check(got, accepted, method)
        return got

    def check(self, got: Exchange, accepted: str | None, method: str) -> None:
        """Hold one answer against what is true of all."""
        assert got.failure is None
        assert got.status in {200, 206, 304, 406, 412, 416}
        coding = got.field("content-encoding") or "identity"
        coding = self.given.own if coding == self.given.sent else coding
        if got.status == 406:
            assert not taken(accepted, self.given.least())
            return
        if got.status in {200, 206}:
            self.check_coding(got, accepted, coding)
        if got.status == 200 and method == "GET":
            assert decoded(got) == self.origin.content
            if coding == self.given.own:
                assert got.body == coded(self.given.sent, self.origin.content)
        if got.status in {200, 304}:
            self.told.append(got)
            self.check_tag(got, coding, is_whole=got.status == 200 and method == "GET")
            # An origin that is asked on one client's behalf speaks for itself in a 304.
            is_ours = got.status == 200 or "detail=coding" not in (got.cache_status or "")
            if self.given.is_negotiable and is_ours:
                assert (got.field("vary") or "").lower().count("accept-encoding") == 1

    def check_coding(self, got: Exchange, accepted: str | None, coding: str) -> None:
        assert coding in self.given.most()
        if self.given.is_kept and self.given.may_transform:
            least = self.given.least()
            assert coding in taken(accepted, {*least, coding}) or not taken(accepted, least)
        for name in DIGESTS:
            is_own = coding == self.given.own
            if name == "content-digest" and got.status == 206:
                is_own = False
            assert (got.field(name) is not None) is is_own, name

    def check_tag(self, got: Exchange, coding: str, *, is_whole: bool) -> None:
        """One tag stands for one coding, and a strong one for the very same octets."""
        tag = got.field("etag")
        if tag is None:
            return
        self.tags.append(tag)
        place = (self.origin.release, opaque(tag))
        if got.status == 200:
            assert self.coding_of.setdefault(place, coding) == coding
        if is_whole and not tag.startswith("W/"):
            assert self.bytes_of.setdefault(place, got.body) == got.body

    # --- what happens ---

    async def plain(self, accepted: str | None, _number: int) -> None:
        await self.ask(accepted)

    async def head(self, accepted: str | None, _number: int) -> None:
        """HEAD, cold or warm, and then next to a GET of the same moment."""
        await self.ask(accepted, method="HEAD")
        whole = await self.ask(accepted)
        head = await self.ask(accepted, method="HEAD")
        if (head.outcome, whole.outcome) == ("hit", "hit"):
            assert (head.status, lasting(head)) == (whole.status, lasting(whole))

    async def conditional(self, accepted: str | None, number: int) -> None:
        tag = self.tags[number % len(self.tags)]
        await self.ask(accepted, if_none_match=tag)
        whole = await self.ask(accepted)
        got = await self.ask(accepted, if_none_match=tag)
        if (whole.status, whole.outcome, got.outcome) == (200, "hit", "hit"):
            is_known = opaque(tag) == opaque(whole.field("etag") or "")
            assert got.status == (304 if is_known else 200)
            assert got.field("etag") == whole.field("etag")
            assert got.field("vary") == whole.field("vary")

    async def part(self, accepted: str | None, number: int, **fields: str) -> None:
        start, end = number % 60, number % 60 + number % 700
        wanted = {"range": f"bytes={start}-{end}", **fields}
        await self.ask(accepted, **wanted)
        whole = await self.ask(accepted)
        got = await self.ask(accepted, **wanted)
        if (whole.status, whole.outcome, got.outcome) != (200, "hit", "hit"):
            return
        if if_range := fields.get("if_range"):
            tag = whole.field("etag")
            assert (got.status != 200) is (if_range == tag and not if_range.startswith("W/"))
        if got.status == 206:
            assert got.body == whole.body[start : end + 1]
            last = min(end, len(whole.body) - 1)
            assert got.field("content-range") == f"bytes {start}-{last}/{len(whole.body)}"
            for name in ("content-encoding", "etag", "vary"):
                assert got.field(name) == whole.field(name)

    async def part_if(self, accepted: str | None, number: int) -> None:
        await self.part(accepted, number, if_range=self.tags[number % len(self.tags)])

    async def part_if_old(self, accepted: str | None, number: int) -> None:
        """A date is of no use while the octets are going to change and the date is not."""
        whole = await self.ask(accepted)
        got = await self.ask(accepted, range=f"bytes=0-{number % 99}", if_range=MODIFIED)
        if (whole.status, whole.outcome, got.outcome) == (200, "hit", "hit"):
            tag, coding = whole.field("etag") or "", whole.field("content-encoding")
            is_provisional = tag.startswith("W/") and coding not in {self.given.sent, None}
            if is_provisional and not (self.given.etag or "").startswith("W/"):
                assert got.status == 200
            elif coding == self.given.sent:
                assert got.status == 206

    async def grow_stale(self, _accepted: str | None, _number: int) -> None:
        self.pop.clock.advance(61)

    async def be_released(self, _accepted: str | None, _number: int) -> None:
        self.pop.clock.advance(61)
        self.origin.release += 1

    async def be_forgotten(self, _accepted: str | None, _number: int) -> None:
        self.pop.store.forget(b"https://%s/a" % HOST.encode())

    async def be_coded_best(self, _accepted: str | None, _number: int) -> None:
        self.gate.set()
        await self.pop.edge._coder._to_improve.join()
        self.gate.clear()
        self.pop.edge._coder._gentle_thread.submit(self.gate.wait)

    def check_work(self) -> None:
        """No body was fetched or coded more often than it had to be."""
        if self.given.is_kept and self.given.may_transform:
            for step, count in self.pop.counters.codings.items():
                source, target, _level = step.split(" ")
                assert source in {self.given.own, "identity"}
                assert source != target
                assert count <= self.origin.fetched
        if not self.given.may_transform:
            assert not self.pop.counters.codings

    def check_vary(self) -> None:
        """What a cache behind us may give to anybody can be read by everybody."""
        for got in self.told:
            if got.status == 200 and self.given.codings:
                is_coded = got.field("content-encoding") not in {None, "identity"}
                assert not is_coded or "accept-encoding" in (got.field("vary") or "").lower()


def lasting(got: Exchange) -> list[tuple[bytes, bytes]]:
    return [line for line in got.response.fields if line[0] not in {b"age", b"cache-status"}]


@asynccontextmanager
async def beginning(given: Given):
    """Begin a story, in which nothing is coded better until it says so."""
    pop = make_pop(
        rule(
            codings=tuple(coding.encode() for coding in given.codings),
            generates_validators=given.generates_validators,
        )
    )
    origin = Origin(pop, given)
    for method in (b"GET", b"HEAD"):
        pop.origin._routes[method, b"/a"] = origin
    gate = threading.Event()
    pop.edge._coder._gentle_thread.submit(gate.wait)
    try:
        yield Story(given, pop, origin, gate)
    finally:
        gate.set()
        await pop.edge.aclose()
        for task in origin.going_on:
            task.cancel()


EVERYDAY = Given(
    sent="identity",
    content="text",
    content_type="text/css",
    etag='"v%d"',
    directives="max-age=60",
    has_length=True,
    codings=tuple(OURS),
    generates_validators=False,
)

GIVEN = st.builds(
    Given,
    sent=st.sampled_from(SENT),
    content=st.sampled_from(["text", "page", "text", "page", *BODIES]),
    content_type=st.sampled_from(["text/css"] * 4 + ["image/png", None]),
    etag=st.sampled_from(['"v%d"', '"v%d"', 'W/"v%d"', None]),
    directives=st.sampled_from(["max-age=60"] * 4 + ["max-age=60, no-transform", "no-store"]),
    has_length=st.booleans(),
    codings=st.permutations(OURS).map(tuple) | st.sampled_from([("gzip",), ("zstd", "br"), ()]),
    generates_validators=st.booleans(),
    is_slow=st.booleans(),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [Story.plain, Story.head, Story.conditional, Story.part, Story.part_if] * 2
            + [Story.part_if_old]
            + [Story.grow_stale, Story.be_released, Story.be_forgotten, Story.be_coded_best]
        ),
        ACCEPTED,
        st.integers(0, 5000),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=200)
@given(GIVEN, STEPS)
def test_every_client_gets_the_origins_content_coded_once(given_, steps):
    async def play() -> None:
        async with beginning(given_) as story:
            for step, accepted, number in steps:
                await step(story, accepted, number)
            story.check_work()
            story.check_vary()

    asyncio.run(play())


@pytest.mark.parametrize("coding", OURS)
@pytest.mark.parametrize("sent", ["identity", "br", "zstd", "gzip"])
@pytest.mark.parametrize("content", ["page", "text", "too large for the best level"])
@pytest.mark.parametrize("is_slow", [True, False])
async def test_a_strong_tag_means_the_same_octets_however_they_were_made(
    coding, sent, content, is_slow, monkeypatch
):
    if content not in BODIES:
        monkeypatch.setattr(coder, "BEST_BYTES_MAX", 10_000)
        content = "text"
    given_ = replace(EVERYDAY, sent=sent, content=content, is_slow=is_slow)
    async with beginning(given_) as story:
        for earlier in [[], ["identity"], ["gzip", "identity"], ["br"]]:
            for accepted in [*earlier, coding]:
                await story.ask(accepted)
            await story.be_coded_best(None, 0)
            await story.ask(coding)
            await story.be_forgotten(None, 0)
        assert (f'"v1-{coding}"' in story.tags) is (coding != sent)


async def test_parts_are_not_spliced_while_the_octets_may_change():
    async with beginning(EVERYDAY) as story:
        for accepted in ["br", "identity", "br"]:
            await story.part_if_old(accepted, 5)
        await story.be_coded_best(None, 0)
        got = await story.ask("br", range="bytes=0-5", if_range=MODIFIED)
        assert (got.status, len(got.body)) == (206, 6)
