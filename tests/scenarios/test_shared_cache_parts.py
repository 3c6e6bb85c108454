"""A site without rules keeps parts and serves them as parts (RFC 9111 3.3, 3.4; RFC 9110 15.3.7).

Every test runs over HTTP/1.1 and HTTP/2 against the same whole point of presence. A row is a story
of ranges: what the origin says, what is asked for then, and whether the origin hears of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.h1_client import CutError
from tests.support.h2_client import StreamBrokenError
from tests.support.rows import ASKED_AGAIN, REUSED, At, Line, Stage, target

pytestmark = pytest.mark.asyncio(loop_scope="module")

WHOLE = b"0123456789"
FRESH: list[Line] = [("cache-control", "max-age=60")]
TAGGED: list[Line] = [*FRESH, ("etag", '"1"')]
DATED: list[Line] = [*FRESH, ("last-modified", At(-1000)), ("date", At(0))]

Part = tuple[int, int]


async def fetch(stage: Stage, path: str, part: Part, lines: Sequence[Line], whole: bytes) -> Any:
    """Have a part asked of the origin, which says it with these fields."""
    first, last = part
    stage.pop.origin.on("GET", path).replies.clear()
    stated = [("content-range", f"bytes {first}-{last}/{len(whole)}"), *lines]
    stage.reply(path, whole[first : last + 1], stated, status=206)
    reply = await stage.ask(path, [("range", f"bytes={first}-{last}")])
    assert (reply.status, bytes(reply.body)) == (206, whole[first : last + 1])
    stage.pop.origin.on("GET", path).replies.clear()
    stage.reply(path, b"another", [("etag", '"9"'), *FRESH])
    return reply


@dataclass(frozen=True)
class Story:
    """Parts that were fetched, each with its fields; then a range is asked for."""

    section: str
    says: str
    parts: Sequence[tuple[Part, Sequence[Line]]]
    value: str | None
    is_reused: bool
    body: bytes = b""
    ask: Sequence[Line] = ()
    after: float = 3
    whole: bytes = WHOLE

    def __str__(self) -> str:
        return f"{self.section}: {self.says}"


AMID = [((2, 6), TAGGED)]

STORIES = [
    Story("9111 3.3", "the part itself", AMID, "bytes=2-6", REUSED, b"23456"),
    Story("9111 3.3", "within it", AMID, "bytes=3-4", REUSED, b"34"),
    Story("9111 3.3", "one octet more", AMID, "bytes=2-7", ASKED_AGAIN),
    Story("9111 3.3", "one octet before", AMID, "bytes=1-6", ASKED_AGAIN),
    Story("9111 3.3", "never for the whole", AMID, None, ASKED_AGAIN),
    Story("9111 3.3", "to an end that is not there", AMID, "bytes=5-", ASKED_AGAIN),
    Story("9111 3.3", "to an end that is", [((5, 9), TAGGED)], "bytes=7-", REUSED, b"789"),
    Story("9111 3.3", "the last ones", [((5, 9), TAGGED)], "bytes=-2", REUSED, b"89"),
    Story("9111 3.3", "by a strong date", [((2, 6), DATED)], "bytes=3-4", REUSED, b"34"),
    Story("9111 3.3", "no validator", [((2, 6), FRESH)], "bytes=3-4", ASKED_AGAIN),
    Story("9111 3.3", "a weak tag", [((2, 6), [*FRESH, ("etag", 'W/"1"')])], "bytes=3-4", False),
    Story("9111 3", "no lifetime", [((2, 6), TAGGED[1:])], "bytes=3-4", ASKED_AGAIN),
    Story("9111 4.2", "stale", AMID, "bytes=3-4", ASKED_AGAIN, after=60),
    Story("9111 4.2.3", "old", [((2, 6), [*TAGGED, ("age", "58")])], "bytes=3-4", ASKED_AGAIN),
    Story("9111 5.2.2.5", "no-store", [((2, 6), [*TAGGED, ("cache-control", "no-store")])],
          "bytes=3-4", ASKED_AGAIN),
    Story("9111 4.1", "Vary", [((2, 6), [*TAGGED, ("vary", "x")])], "bytes=3-4", ASKED_AGAIN,
          ask=[("x", "1")]),
    Story("9110 13.1.5", "If-Range holds", AMID, "bytes=3-4", REUSED, b"34",
          ask=[("if-range", '"1"')]),
    Story("9110 13.1.5", "If-Range fails", AMID, "bytes=3-4", ASKED_AGAIN,
          ask=[("if-range", '"2"')]),
    Story("9111 5.2.1.4", "no-cache", AMID, "bytes=3-4", ASKED_AGAIN,
          ask=[("cache-control", "no-cache")]),
    Story("9111 3.4", "two side by side", [*AMID, ((7, 8), TAGGED)], "bytes=5-8", REUSED, b"5678"),
    Story("9111 3.4", "overlapping", [*AMID, ((5, 8), TAGGED)], "bytes=2-8", REUSED, b"2345678"),
    Story("9111 3.4", "a gap", [*AMID, ((8, 9), TAGGED)], "bytes=5-8", ASKED_AGAIN),
    Story("9111 3.4", "of two things", [*AMID, ((7, 8), [*FRESH, ("etag", '"2"')])],
          "bytes=5-8", ASKED_AGAIN),
    Story("9111 3.4", "the later one of two things", [*AMID, ((7, 8), [*FRESH, ("etag", '"2"')])],
          "bytes=7-8", REUSED, b"78"),
    Story("9111 3.4", "a whole, in parts", [((0, 4), TAGGED), ((5, 9), TAGGED)],
          "bytes=0-9", REUSED, WHOLE),
]  # fmt: skip


@pytest.mark.parametrize("story", STORIES, ids=str)
async def test_parts_answer_what_they_hold(stage: Stage, story: Story) -> None:
    path = target()
    for part, lines in story.parts:
        await fetch(stage, path, part, lines, story.whole)
    before = stage.asked
    stage.clock.advance(story.after)
    lines = [*story.ask, *([] if story.value is None else [("range", story.value)])]
    reply = await stage.ask(path, lines)
    assert stage.asked - before == (0 if story.is_reused else 1)
    if story.is_reused:
        assert (reply.status, bytes(reply.body)) == (206, story.body)
        assert (reply["age"], reply["cache-status"]) == ("3", "fra1; hit; ttl=57")
    else:
        assert (reply.status, bytes(reply.body)) == (200, b"another")


async def test_when_nothing_is_missing_it_is_a_stored_response(stage: Stage) -> None:
    """RFC 9111 section 3.4: with the fields of the later part."""
    path = target()
    await fetch(stage, path, (4, 9), [*TAGGED, ("x-is", "old"), ("x-was", "1")], WHOLE)
    stage.clock.advance(2)
    part = await fetch(stage, path, (0, 4), [*TAGGED, ("x-is", "new")], WHOLE)
    assert part["cache-status"] == "fra1; fwd=partial"
    before = stage.asked
    reply = await stage.ask(path)
    assert (reply.status, bytes(reply.body), reply["content-length"]) == (200, WHOLE, "10")
    assert (reply["x-is"], reply["x-was"], reply["content-range"]) == ("new", "1", "")
    assert (reply["age"], reply["cache-status"]) == ("0", "fra1; hit; ttl=60")
    head = await stage.ask(path, method="HEAD")
    assert (head.status, head["content-length"]) == (200, "10")
    assert stage.asked == before


async def test_a_write_invalidates_parts_too(stage: Stage) -> None:
    """RFC 9111 section 4.4."""
    path = target()
    await fetch(stage, path, (2, 6), TAGGED, WHOLE)
    stage.reply(path, b"done", [], method="POST")
    await stage.ask(path, method="POST")
    assert bytes((await stage.ask(path, [("range", "bytes=3-4")])).body) == b"another"


async def test_a_part_that_broke_off_is_not_kept(stage: Stage) -> None:
    """Hostile input 14; RFC 9111 section 3.3."""
    path = target()
    said = [("content-range", "bytes 2-6/10"), *TAGGED]
    fields = [(name.encode(), value.encode()) for name, value in stage.resolved(said)]
    stage.pop.origin.on("GET", path).reply(206, [b"23", b"456"], fields=fields).cut(1)
    with pytest.raises((CutError, StreamBrokenError)):
        await stage.ask(path, [("range", "bytes=2-6")])
    stage.pop.origin.on("GET", path).replies.clear()
    stage.reply(path, b"another", FRESH)
    assert bytes((await stage.ask(path, [("range", "bytes=2-3")])).body) == b"another"
