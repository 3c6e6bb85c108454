"""What of a stored response answers which request, and what is said of it (RFC 9110, 13 to 15).

A site without rules, over HTTP/1.1 and HTTP/2. The plain cases are tables in
`test_shared_cache_validation.py`; here are those in which several sections meet.
"""

import http_sf
import pytest

from tests.support.rows import At, Line, Stage, target

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODY = b"0123456789"
FRESH: list[Line] = [("cache-control", "max-age=60")]
TAG: Line = ("etag", '"abc"')
MODIFIED: Line = ("last-modified", At(-3000))
TAGGED: list[Line] = [*FRESH, TAG, MODIFIED]


async def store(stage: Stage, lines: list[Line], body: bytes = BODY, *, status: int = 200) -> str:
    """Have a response stored, and let the origin forget it."""
    path = target()
    stage.reply(path, body, lines, status=status)
    assert (await stage.ask(path)).status == status
    stage.pop.origin.on("GET", path).replies.clear()
    return path


# --- several at once (sections 13.2.1 and 13.2.2) -------------------------------------------------

CUT: Line = ("range", "bytes=2-4")
SAME, OTHER = ("if-none-match", '"abc"'), ("if-none-match", '"x"')

TOGETHER: list[tuple[str, list[Line], str, int]] = [
    ("a condition goes before a range", [CUT, SAME], "GET", 304),
    ("one that holds lets it through", [CUT, OTHER], "GET", 206),
    ("before what could not be cut, too", [("range", "bytes=99-"), SAME], "GET", 304),
    ("a part on a condition, twice", [CUT, OTHER, ("if-range", '"abc"')], "GET", 206),
    ("the whole on another, twice", [CUT, OTHER, ("if-range", '"x"')], "GET", 200),
    (
        "no 416 where the part is not wanted",
        [("range", "bytes=99-"), ("if-range", '"x"')],
        "GET",
        200,
    ),
    ("If-Range alone asks for nothing", [("if-range", '"abc"')], "GET", 200),
    ("tags go before dates", [CUT, OTHER, ("if-modified-since", At(0))], "GET", 206),
    ("HEAD has no parts", [CUT], "HEAD", 200),
    ("nor any that are missing", [("range", "bytes=99-")], "HEAD", 200),
    ("but conditions", [CUT, SAME], "HEAD", 304),
    ("several ranges", [("range", "bytes=0-0,-1")], "GET", 200),
    ("several lines of them", [("range", "bytes=0-0"), ("range", "bytes=2-4")], "GET", 200),
    ("hundreds of them", [("range", "bytes=" + ",".join(["0-"] * 500))], "GET", 200),
    ("overlapping ones", [("range", "bytes=0-9,0-9")], "GET", 200),
]


@pytest.mark.parametrize(
    ("asked", "method", "status"), [pytest.param(*row[1:], id=row[0]) for row in TOGETHER]
)
async def test_conditions_and_ranges_together(
    stage: Stage, asked: list[Line], method: str, status: int
) -> None:
    path, before = await store(stage, TAGGED), stage.asked
    reply = await stage.ask(path, asked, method=method)
    assert (reply.status, stage.asked) == (status, before)
    content = {200: BODY, 206: b"234", 304: b""}[status] if method == "GET" else b""
    assert bytes(reply.body) == content
    assert reply["content-range"] == ("bytes 2-4/10" if status == 206 else "")
    assert (reply["etag"], reply["content-type"]) == ('"abc"', "")
    if status == 200:
        assert reply["content-length"] == "10"


@pytest.mark.parametrize("status", [203, 301, 404, 410, 501])
@pytest.mark.parametrize(
    "asked", [[SAME], [CUT], [("if-none-match", "*")], [("range", "bytes=99-")]]
)
async def test_only_a_200_has_parts_and_conditions(
    stage: Stage, status: int, asked: list[Line]
) -> None:
    """Section 13.2.1: conditions change nothing of an error; a cache cuts 200s (RFC 9111 3.3)."""
    path = await store(stage, TAGGED, status=status)
    reply = await stage.ask(path, asked)
    assert (reply.status, bytes(reply.body), reply["content-range"]) == (status, BODY, "")
    assert reply["cache-status"].startswith("fra1; hit")


@pytest.mark.parametrize(
    ("value", "status", "content_range"),
    [("bytes=0-", 416, "bytes */0"), ("bytes=-0", 416, "bytes */0"), ("bytes=-5", 200, "")],
)
async def test_nothing_can_be_cut_from_nothing(
    stage: Stage, value: str, status: int, content_range: str
) -> None:
    path = await store(stage, TAGGED, b"")
    reply = await stage.ask(path, [("range", value)])
    assert (reply.status, reply["content-range"]) == (status, content_range)
    assert (reply["content-length"], bytes(reply.body)) == ("0", b"")


# --- dates as validators (sections 8.8.2.2 and 13.1.5) --------------------------------------------


@pytest.mark.parametrize(
    ("modified", "date", "told", "status"),
    [
        (At(-3000), At(0), At(-3000), 206),
        (At(-1), At(0), At(-1), 206),
        (At(0), At(0), At(0), 200),
        (At(-3000), At(0), At(-2999), 200),
        (At(-3000), At(0), At(-3001), 200),
        (At(9), At(0), At(9), 200),
    ],
)
async def test_a_date_that_may_be_weak_gets_no_part(
    stage: Stage, modified: At, date: At, told: At, status: int
) -> None:
    path = await store(stage, [*FRESH, ("last-modified", modified), ("date", date)])
    assert (await stage.ask(path, [CUT, ("if-range", told)])).status == status


# --- fields (sections 15.3.7, 15.4.5 and 15.5.17) -------------------------------------------------

FULL: list[Line] = [
    *TAGGED,
    ("expires", At(600)),
    ("vary", "foo"),
    ("content-location", "/x"),
    ("content-type", "text/plain"),
    ("content-language", "de"),
    ("x-any", "1"),
]
OF_EVERY = ("cache-control", "content-location", "date", "etag", "expires", "vary", "x-any")


@pytest.mark.parametrize(
    ("asked", "status", "more"),
    [
        ([], 200, {"content-type", "content-language", "last-modified", "accept-ranges"}),
        ([CUT], 206, {"content-type", "content-language", "last-modified", "content-range"}),
        ([SAME], 304, set()),
    ],
)
async def test_fields_that_every_form_of_a_response_has(
    stage: Stage, asked: list[Line], status: int, more: set[str]
) -> None:
    path = await store(stage, FULL)
    reply = await stage.ask(path, asked)
    assert reply.status == status
    names = [name for name, _ in reply.fields]
    assert set(OF_EVERY) | more | {"age", "cache-status"} <= set(names)
    assert len(names) == len(set(names))
    assert reply["content-type"] == ("" if status == 304 else "text/plain")


async def test_what_is_said_of_a_part_that_is_not_there(stage: Stage) -> None:
    path = await store(stage, FULL)
    reply = await stage.ask(path, [("range", "bytes=10-")])
    assert (reply.status, reply["content-range"], bytes(reply.body)) == (416, "bytes */10", b"")
    assert (reply["cache-control"], reply["content-length"]) == ("no-store", "0")
    assert (reply["etag"], reply["content-type"]) == ("", "")
    assert reply["date"]


# --- Cache-Status (RFC 9211 section 2) ------------------------------------------------------------


def told(reply) -> dict[str, object]:
    """Return what our member says: either a hit or a reason to ask."""
    *_, (identifier, parameters) = http_sf.parse(reply["cache-status"].encode(), tltype="list")
    assert str(identifier) == "fra1"
    assert ("hit" in parameters) != ("fwd" in parameters)
    return {
        name: value if isinstance(value, (bool, int)) else str(value)
        for name, value in parameters.items()
    }


async def test_every_reason_to_ask_has_its_word(stage: Stage) -> None:
    path, varying = target(), [("cache-control", "max-age=9"), TAG, ("vary", "foo")]
    stage.reply(path, BODY, varying)
    assert told(await stage.ask(path)) == {"fwd": "uri-miss", "stored": True}
    assert told(await stage.ask(path)) == {"hit": True, "ttl": 9}
    stage.clock.advance(4)
    assert told(await stage.ask(path)) == {"hit": True, "ttl": 5}
    assert told(await stage.ask(path, [("foo", "1")])) == {"fwd": "vary-miss", "stored": True}
    again: list[Line] = [("foo", "1"), ("cache-control", "no-cache")]
    assert told(await stage.ask(path, again)) == {"fwd": "request", "stored": True}
    stage.clock.advance(10)
    assert told(await stage.ask(path)) == {"fwd": "stale", "stored": True}
    stage.pop.origin.on("GET", path).replies.clear()
    stage.reply(path, b"", varying, status=304)
    stage.clock.advance(10)
    assert told(await stage.ask(path)) == {"fwd": "stale", "fwd-status": 304}
    stage.reply(path, BODY, [], method="POST")
    assert told(await stage.ask(path, method="POST")) == {"fwd": "method"}


async def test_why_nothing_was_stored_is_told_too(stage: Stage) -> None:
    for control in ("no-store", "private"):
        path = target()
        stage.reply(path, BODY, [("cache-control", control)])
        assert told(await stage.ask(path)) == {"fwd": "uri-miss", "detail": control}
        assert told(await stage.ask(path)) == {"fwd": "uri-miss", "detail": "hit-for-miss"}


@pytest.mark.parametrize("asked", [[SAME], [CUT], [("range", "bytes=99-")]])
async def test_what_is_made_of_stored_responses_is_a_hit(stage: Stage, asked: list[Line]) -> None:
    path = await store(stage, TAGGED)
    stage.clock.advance(5)
    reply = await stage.ask(path, asked)
    assert told(reply) == {"hit": True, "ttl": 55}
    assert reply["age"] == "5"


# --- which of several (RFC 9111 section 4) --------------------------------------------------------


@pytest.mark.parametrize(("first", "second", "body"), [(-9, 0, b"second"), (0, -9, b"first")])
async def test_of_several_that_fit_the_most_recent_answers(
    stage: Stage, first: int, second: int, body: bytes
) -> None:
    """Both match the last request: one by what it has, the other by what it lacks."""
    path = target()
    stage.reply(path, b"first", [*FRESH, ("vary", "foo"), ("date", At(first))])
    stage.reply(path, b"second", [*FRESH, ("vary", "bar"), ("date", At(second))])
    assert bytes((await stage.ask(path, [("foo", "1"), ("bar", "1")])).body) == b"first"
    assert bytes((await stage.ask(path)).body) == b"second"
    reply = await stage.ask(path, [("foo", "1")])
    assert (bytes(reply.body), told(reply)["hit"]) == (body, True)
