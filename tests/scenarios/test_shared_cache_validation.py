"""A site without rules: preconditions, validation, HEAD and ranges (RFC 9111 4.3, RFC 9110 13, 14).

Every test runs over HTTP/1.1 and HTTP/2 against the same whole point of presence.
"""

import pytest

from edgeproxy.http.dates import format_date
from tests.support.rows import At, Line, Stage, target

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODY = b"0123456789"
FRESH: list[Line] = [("cache-control", "max-age=60")]
MODIFIED: Line = ("last-modified", At(-3000))


async def store(stage: Stage, lines: list[Line], body: bytes = BODY) -> str:
    """Have a response stored, and return its target."""
    path = target()
    stage.reply(path, body, lines)
    assert (await stage.ask(path)).status == 200
    stage.pop.origin.on("GET", path).replies.clear()
    return path


# --- preconditions of a client, answered from the store -------------------------------------------

TAGGED: list[Line] = [*FRESH, ("etag", '"abc"'), MODIFIED]
WEAK: list[Line] = [*FRESH, ("etag", 'W/"abc"')]
DATED: list[Line] = [*FRESH, MODIFIED]
BARE: list[Line] = [*FRESH, ("date", At(0))]

CONDITIONS: list[tuple[str, list[Line], list[Line], int]] = [
    ("9110 13.1.2 equal", TAGGED, [("if-none-match", '"abc"')], 304),
    ("9110 13.1.2 other", TAGGED, [("if-none-match", '"abd"')], 200),
    ("9110 13.1.2 weak for strong", TAGGED, [("if-none-match", 'W/"abc"')], 304),
    ("9110 13.1.2 strong for weak", WEAK, [("if-none-match", '"abc"')], 304),
    ("9110 13.1.2 weak", WEAK, [("if-none-match", 'W/"abc"')], 304),
    ("9110 13.1.2 the first", TAGGED, [("if-none-match", '"abc", "x", "y"')], 304),
    ("9110 13.1.2 one amid", TAGGED, [("if-none-match", '"x","abc" , "y"')], 304),
    ("9110 13.1.2 the last", TAGGED, [("if-none-match", '"x", "y", "abc"')], 304),
    ("9110 13.1.2 on a line", TAGGED, [("if-none-match", '"x"'), ("if-none-match", '"abc"')], 304),
    ("9110 8.8.3 a comma within", TAGGED, [("if-none-match", '"x,"abc",y"')], 200),
    ("9110 13.1.2 none of them", TAGGED, [("if-none-match", '"x", "y"')], 200),
    ("9110 13.1.2 any", TAGGED, [("if-none-match", "*")], 304),
    ("9110 13.1.2 any without tag", BARE, [("if-none-match", "*")], 304),
    ("9110 13.1.2 no tag", DATED, [("if-none-match", '"abc"')], 200),
    ("9110 8.8.3 case matters", TAGGED, [("if-none-match", '"ABC"')], 200),
    ("9110 8.8.3 without quotes", TAGGED, [("if-none-match", "abc")], 200),
    ("9110 13.1.3 equal", DATED, [("if-modified-since", At(-3000))], 304),
    ("9110 13.1.3 later", DATED, [("if-modified-since", At(-2000))], 304),
    ("9110 13.1.3 earlier", DATED, [("if-modified-since", At(-3001))], 200),
    ("9110 13.1.3 invalid", DATED, [("if-modified-since", "yesterday")], 200),
    ("9111 4.3.2 Date, later", BARE, [("if-modified-since", At(60))], 304),
    ("9111 4.3.2 Date, earlier", BARE, [("if-modified-since", At(-60))], 200),
    (
        "9110 13.2.2 tags before dates",
        TAGGED,
        [("if-none-match", '"x"'), ("if-modified-since", At(0))],
        200,
    ),
    (
        "9110 13.2.2 in both directions",
        TAGGED,
        [("if-none-match", '"abc"'), ("if-modified-since", At(-9000))],
        304,
    ),
]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("lines", "asked", "status"), [pytest.param(*row[1:], id=row[0]) for row in CONDITIONS]
)
async def test_preconditions_are_answered_from_the_store(
    stage: Stage, lines: list[Line], asked: list[Line], status: int, method: str
) -> None:
    path = await store(stage, lines)
    asked = [(name, value) for name, value in stage.resolved(asked)]
    before = stage.asked
    stage.clock.advance(3)
    reply = await stage.ask(path, asked, method=method)
    assert (reply.status, stage.asked) == (status, before)
    assert bytes(reply.body) == (BODY if (method, status) == ("GET", 200) else b"")
    # RFC 9110 section 15.4.5: what a 200 would have said of caching and validators.
    for name in ("date", "cache-control", "etag"):
        wanted = [value for key, value in lines if key == name and isinstance(value, str)]
        assert not wanted or reply[name] == wanted[0]
    assert reply["age"] == "3"
    assert reply["date"]


async def test_a_304_tells_nothing_of_content_it_does_not_carry(stage: Stage) -> None:
    said: list[Line] = [("vary", "foo"), ("content-location", "/x"), ("expires", At(60))]
    about: list[Line] = [("content-type", "text/plain"), ("content-language", "de")]
    path = await store(stage, [*TAGGED, *said, *about])
    reply = await stage.ask(path, [("if-none-match", '"abc"')])
    assert reply.status == 304
    for name in ("vary", "content-location", "expires", "etag", "date", "cache-control"):
        assert reply[name]
    for name in ("content-type", "content-language", "content-length", "transfer-encoding"):
        assert not reply[name]


@pytest.mark.parametrize("name", ["if-match", "if-unmodified-since"])
async def test_what_only_an_origin_may_judge_reaches_it(stage: Stage, name: str) -> None:
    """RFC 9111 section 4.3.2."""
    path = await store(stage, TAGGED)
    stage.reply(path, b"", [], status=412)
    value: Line = (name, '"other"' if name == "if-match" else At(-9000))
    assert (await stage.ask(path, [value])).status == 412
    assert stage.received(name)
    assert bytes((await stage.ask(path)).body) == BODY


async def test_a_clients_condition_does_not_spoil_what_is_stored(stage: Stage) -> None:
    """Hostile input 12: the cache asks for the whole, and answers the condition itself."""
    path = target()
    stage.reply(path, BODY, TAGGED)
    first = await stage.ask(path, [("if-none-match", '"abc"')])
    assert (first.status, bytes(first.body)) == (304, b"")
    assert not stage.received("if-none-match")
    again = await stage.ask(path)
    assert (again.status, bytes(again.body)) == (200, BODY)
    assert again["cache-status"].startswith("fra1; hit")


# --- validation of what is stale ------------------------------------------------------------------

SHORT: list[Line] = [("cache-control", "max-age=2")]


@pytest.mark.parametrize(
    ("validator", "condition"),
    [
        (("etag", '"abc"'), "if-none-match"),
        (("etag", 'W/"abc"'), "if-none-match"),
        (("etag", "abc"), "if-none-match"),
        (("last-modified", "Wed, 01 Jan 2020 00:00:00 GMT"), "if-modified-since"),
    ],
    ids=str,
)
async def test_a_304_freshens(stage: Stage, validator: tuple[str, str], condition: str) -> None:
    """RFC 9111 sections 3.2, 4.3.1 and 4.3.4."""
    path = await store(stage, [*SHORT, validator, ("x-old", "1"), ("x-both", "1")])
    stage.clock.advance(3)
    new: list[Line] = [("cache-control", "max-age=60"), validator, ("x-both", "2"), ("x-new", "2")]
    stage.reply(path, b"", new, status=304)
    for status in ("fra1; fwd=stale; fwd-status=304", "fra1; hit; ttl=60"):
        reply = await stage.ask(path)
        assert (reply.status, bytes(reply.body), reply["cache-status"]) == (200, BODY, status)
        assert stage.received(condition) == [validator[1]]
        assert [reply[name] for name in ("x-old", "x-both", "x-new")] == ["1", "2", "2"]
        assert (reply["age"], reply["content-length"]) == ("0", str(len(BODY)))
        assert reply["cache-control"] == "max-age=60"


async def test_a_304_does_not_change_what_describes_the_bytes(stage: Stage) -> None:
    """RFC 9111 section 3.2."""
    names = ("content-encoding", "content-range", "content-md5", "content-digest")
    path = await store(stage, [*SHORT, ("etag", '"1"'), *((name, "old") for name in names)])
    stage.clock.advance(3)
    stage.reply(
        path, b"", [*SHORT, ("etag", '"1"'), *((name, "new") for name in names)], status=304
    )
    for _ in range(2):
        reply = await stage.ask(path)
        assert [reply[name] for name in names] == ["old"] * 4
        assert reply["content-length"] == "10"


async def test_a_304_for_another_tag_confirms_nothing(stage: Stage) -> None:
    """RFC 9111 section 4.3.4: then the whole is asked for."""
    path = await store(stage, [*SHORT, ("etag", '"1"')])
    stage.clock.advance(3)
    stage.reply(path, b"", [("etag", '"2"')], status=304)
    stage.reply(path, b"new", [*FRESH, ("etag", '"2"')])
    reply = await stage.ask(path)
    assert (reply.status, bytes(reply.body), reply["etag"]) == (200, b"new", '"2"')
    assert stage.received("if-none-match") == []


async def test_a_200_replaces_what_was_stale(stage: Stage) -> None:
    """RFC 9111 section 4.3.3."""
    path = await store(stage, [*SHORT, ("etag", '"1"'), ("x-old", "1")])
    stage.clock.advance(3)
    stage.reply(path, b"new", [*FRESH, ("etag", '"2"')])
    for _ in range(2):
        reply = await stage.ask(path)
        assert (bytes(reply.body), reply["etag"], reply["x-old"]) == (b"new", '"2"', "")


async def test_all_tags_of_all_variants_are_named(stage: Stage) -> None:
    """RFC 9111 section 4.3.1; the 304 tells which variant is meant."""
    path = target()
    for language in ("de", "en"):
        lines: list[Line] = [*SHORT, ("etag", f'"{language}"'), ("vary", "Accept-Language")]
        stage.reply(path, language.encode(), lines)
    for language in ("de", "en"):
        await stage.ask(path, [("accept-language", language)])
    stage.pop.origin.on("GET", path).replies.clear()
    stage.reply(path, b"", [*FRESH, ("etag", '"en"'), ("vary", "Accept-Language")], status=304)
    reply = await stage.ask(path, [("accept-language", "fr")])
    assert (reply.status, bytes(reply.body)) == (200, b"en")
    assert stage.received("if-none-match") == ['"de", "en"']
    assert stage.received("accept-language") == ["fr"]
    again = await stage.ask(path, [("accept-language", "fr")])
    assert again["cache-status"].startswith("fra1; hit")


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_an_error_is_passed_on_and_replaces_nothing(stage: Stage, status: int) -> None:
    path = await store(stage, [*SHORT, ("etag", '"1"')])
    stage.clock.advance(3)
    stage.reply(path, b"broken", [("cache-control", "max-age=9")], status=status)
    stage.reply(path, b"", FRESH, status=304)
    assert (await stage.ask(path)).status == status
    reply = await stage.ask(path)
    assert (reply.status, bytes(reply.body)) == (200, BODY)


async def test_no_answer_where_there_must_be_one_is_504(stage: Stage) -> None:
    """RFC 9111 section 5.2.2.2."""
    path = await store(stage, [("cache-control", "max-age=2, must-revalidate")])
    stage.clock.advance(3)
    stage.pop.origin.on("GET", path).drop()
    reply = await stage.ask(path)
    assert (reply.status, reply["cache-control"]) == (504, "no-store")
    assert reply["proxy-status"].startswith("fra1; error=")


@pytest.mark.parametrize(
    ("directive", "status"),
    [
        ("stale-if-error=60", 200),
        ("stale-if-error=1", 502),
        ("stale-if-error=60, must-revalidate", 504),
        ("stale-if-error=60, proxy-revalidate", 504),
        ("stale-if-error=60, s-maxage=2", 504),
        ("stale-if-error=60, no-cache", 502),
    ],
)
async def test_stale_if_error(stage: Stage, directive: str, status: int) -> None:
    """RFC 5861 section 4; RFC 9111 section 4.2.4."""
    path = await store(stage, [("cache-control", f"max-age=2, {directive}"), ("etag", '"1"')])
    stage.clock.advance(5)
    stage.pop.origin.on("GET", path).drop()
    reply = await stage.ask(path)
    assert reply.status == status
    if status == 200:
        assert reply["cache-status"] == "fra1; fwd=stale; ttl=-3; detail=stale-if-error"
        assert reply["age"] == "5"
        assert reply["proxy-status"].startswith("fra1; error=")


async def test_stale_while_revalidate(stage: Stage) -> None:
    """RFC 5861 section 3."""
    path = await store(stage, [("cache-control", "max-age=2, stale-while-revalidate=60")])
    stage.clock.advance(3)
    stage.reply(path, b"new", FRESH)
    stale = await stage.ask(path)
    assert bytes(stale.body) == BODY
    assert stale["cache-status"] == "fra1; hit; ttl=-1; detail=stale-while-revalidate"
    await stage.pop.fills_ended()
    fresh = await stage.ask(path)
    assert (bytes(fresh.body), fresh["cache-status"]) == (b"new", "fra1; hit; ttl=60")


# --- HEAD -----------------------------------------------------------------------------------------


async def test_head_is_the_get_without_its_content(stage: Stage) -> None:
    """RFC 9110 section 9.3.2."""
    path = await store(stage, [*TAGGED, ("content-type", "text/plain"), ("x-more", "1")])
    get, head = await stage.ask(path), await stage.ask(path, method="HEAD")
    assert head.fields == get.fields
    assert (head.status, bytes(head.body), head["content-length"]) == (200, b"", "10")


async def test_head_of_what_is_not_stored_is_passed_on_and_poisons_nothing(stage: Stage) -> None:
    """Hostile input 6."""
    path = target()
    stage.reply(path, BODY, FRESH, method="HEAD")
    stage.reply(path, b"the whole", FRESH)
    head = await stage.ask(path, method="HEAD")
    assert (head.status, bytes(head.body), head["content-length"]) == (200, b"", "10")
    assert head["cache-status"] == "fra1; fwd=uri-miss"
    assert bytes((await stage.ask(path)).body) == b"the whole"


HEADS: list[tuple[str, list[Line], bytes, bool]] = [
    ("the tag agrees", [*FRESH, ("etag", '"abc"')], BODY, True),
    ("tag and date agree", [*FRESH, ("etag", '"abc"'), MODIFIED], BODY, True),
    ("the length agrees", FRESH, BODY, True),
    ("another tag", [*FRESH, ("etag", '"abd"')], BODY, False),
    ("another date", [*FRESH, ("last-modified", At(-1))], BODY, False),
    ("another length", [*FRESH, ("etag", '"abc"')], b"more than that", False),
    ("no-store", [("cache-control", "no-store"), ("etag", '"abc"')], BODY, False),
]


@pytest.mark.parametrize(("case", "lines", "body", "agrees"), HEADS, ids=str)
async def test_a_head_updates_or_outdates_the_stored_get(
    stage: Stage, case: str, lines: list[Line], body: bytes, agrees: bool
) -> None:
    """RFC 9111 section 4.3.5."""
    path = await store(stage, [("cache-control", "max-age=5"), *TAGGED[1:], ("x-is", "old")])
    stage.reply(path, body, [*lines, ("x-is", "new")], method="HEAD")
    stage.reply(path, b"another one", [*FRESH, ("x-is", "another")])
    stage.clock.advance(6)
    head = await stage.ask(path, method="HEAD")
    assert (head["x-is"], head["cache-status"]) == ("new", "fra1; fwd=stale")
    get = await stage.ask(path)
    if agrees:
        assert (bytes(get.body), get["x-is"]) == (BODY, "new")
        assert (get["etag"], get["cache-status"]) == ('"abc"', "fra1; hit; ttl=60")
    else:
        assert (bytes(get.body), get["x-is"]) == (b"another one", "another")


# --- ranges ---------------------------------------------------------------------------------------

RANGES: list[tuple[str, str, int, bytes, str]] = [
    ("9110 14.1.2 first and last", "bytes=2-4", 206, b"234", "bytes 2-4/10"),
    ("9110 14.1.2 to the end", "bytes=7-", 206, b"789", "bytes 7-9/10"),
    ("9110 14.1.2 the last ones", "bytes=-3", 206, b"789", "bytes 7-9/10"),
    ("9110 14.1.2 more than all", "bytes=-30", 206, BODY, "bytes 0-9/10"),
    ("9110 14.1.2 beyond the end", "bytes=8-99", 206, b"89", "bytes 8-9/10"),
    ("9110 14.2 units have no case", "BYTES=0-0", 206, b"0", "bytes 0-0/10"),
    ("9110 15.5.17 behind the end", "bytes=10-", 416, b"", "bytes */10"),
    ("9110 15.5.17 the last none", "bytes=-0", 416, b"", "bytes */10"),
    ("9110 14.1.1 backwards", "bytes=4-2", 200, BODY, ""),
    ("9110 14.2 several", "bytes=0-1,3-4", 200, BODY, ""),
    ("9110 14.2 another unit", "lines=0-1", 200, BODY, ""),
    ("9110 14.2 no range", "bytes=x", 200, BODY, ""),
]


@pytest.mark.parametrize(
    ("value", "status", "body", "content_range"),
    [pytest.param(*row[1:], id=row[0]) for row in RANGES],
)
async def test_ranges_are_cut_from_the_store(
    stage: Stage, value: str, status: int, body: bytes, content_range: str
) -> None:
    path = await store(stage, TAGGED)
    before = stage.asked
    reply = await stage.ask(path, [("range", value)])
    assert (reply.status, bytes(reply.body), stage.asked) == (status, body, before)
    assert reply["content-range"] == content_range
    assert reply["content-length"] == str(len(body))
    if status == 206:
        assert (reply["etag"], reply["cache-control"]) == ('"abc"', "max-age=60")


@pytest.mark.parametrize(
    ("lines", "if_range", "status"),
    [
        (TAGGED, '"abc"', 206),
        (TAGGED, '"abd"', 200),
        (TAGGED, 'W/"abc"', 200),
        (WEAK, 'W/"abc"', 200),
        (TAGGED, At(-3000), 206),
        (TAGGED, At(-2999), 200),
        (TAGGED, "abc", 200),
    ],
)
async def test_if_range(stage: Stage, lines: list[Line], if_range: str | At, status: int) -> None:
    """RFC 9110 section 13.1.5."""
    path = await store(stage, lines)
    reply = await stage.ask(path, [("range", "bytes=1-2"), ("if-range", if_range)])
    assert (reply.status, bytes(reply.body)) == (status, b"12" if status == 206 else BODY)


async def test_a_range_of_what_is_not_stored_is_passed_on_and_not_stored(stage: Stage) -> None:
    """RFC 9111 section 3.3; hostile input 11."""
    path = target()
    part: list[Line] = [*FRESH, ("content-range", "bytes 0-1/10"), ("etag", '"1"')]
    stage.reply(path, b"01", part, status=206)
    stage.reply(path, BODY, FRESH)
    reply = await stage.ask(path, [("range", "bytes=0-1")])
    assert (reply.status, bytes(reply.body), reply["content-range"]) == (206, b"01", part[1][1])
    assert stage.received("range") == ["bytes=0-1"]
    assert bytes((await stage.ask(path)).body) == BODY


async def test_several_ranges_never_reach_the_origin(stage: Stage) -> None:
    path = target()
    stage.reply(path, BODY, FRESH)
    before = stage.asked
    for _ in range(3):
        reply = await stage.ask(path, [("range", "bytes=0-1,0-1,0-1")])
        assert (reply.status, bytes(reply.body), stage.received("range")) == (200, BODY, [])
    assert stage.asked == before + 1


# --- what is told of time -------------------------------------------------------------------------


async def test_age_and_date(stage: Stage) -> None:
    """RFC 9111 sections 4 and 5.1, RFC 9110 section 6.6.1."""
    began = int(stage.clock.now())
    path = await store(stage, [("cache-control", "max-age=600"), ("date", At(-5)), ("age", "30")])
    stage.clock.advance(4.5)
    reply = await stage.ask(path)
    assert reply["age"] == "34"
    assert reply["date"] == format_date(began - 5).decode()
    assert reply["cache-status"] == "fra1; hit; ttl=566"


@pytest.mark.parametrize("lines", [[], FRESH, [("cache-control", "no-store")]])
async def test_a_missing_date_is_the_time_of_arrival(stage: Stage, lines: list[Line]) -> None:
    now = int(stage.clock.now())
    path = target()
    stage.reply(path, BODY, lines)
    assert (await stage.ask(path))["date"] == format_date(now).decode()
