"""Parts at the edge: what is served of them, and what takes them away again."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from edgeproxy.edge.settings import EdgeSettings
from tests.support.barrier import Barrier
from tests.support.edge import Exchange, Pop, make_pop, rule

WHOLE = b"0123456789"
KEY = b"https://widgets.example.com/a"
FRESH = {"cache_control": "max-age=60", "etag": '"1"'}


@pytest.fixture
async def pop() -> AsyncIterator[Pop]:
    pop = make_pop()
    yield pop
    await pop.edge.aclose()


def says(pop: Pop, first: int, last: int, whole: bytes = WHOLE, **fields: str) -> object:
    """Have the origin answer the next request with that part."""
    return pop.origin.on("GET", "/a").reply(
        206,
        whole[first : last + 1],
        content_range=f"bytes {first}-{last}/{len(whole)}",
        **{**FRESH, **fields},
    )


async def ask(pop: Pop, first: int, last: int, **fields: str) -> Exchange:
    return await pop.get(range=f"bytes={first}-{last}", **fields)


async def kept(pop: Pop, first: int, last: int, **fields: str) -> Exchange:
    """Have a part asked for and kept; whatever comes next needs a script of its own."""
    pop.origin.on("GET", "/a").replies.clear()
    says(pop, first, last, **fields)
    answer = await ask(pop, first, last)
    pop.origin.on("GET", "/a").replies.clear()
    pop.origin.on("GET", "/a").reply(503)
    return answer


async def test_a_part_answers_what_lies_within_it(pop: Pop) -> None:
    cold = await kept(pop, 2, 6, content_type="text/plain", content_digest="x")
    assert (cold.status, cold.body, cold.cache_status) == (206, b"23456", "fra1; fwd=uri-miss")
    pop.clock.advance(5)
    warm = await ask(pop, 3, 5)
    assert (warm.status, warm.body, warm.outcome) == (206, b"345", "hit")
    assert (warm.field("content-range"), warm.field("content-length")) == ("bytes 3-5/10", "3")
    assert (warm.field("age"), warm.cache_status) == ("5", "fra1; hit; ttl=55")
    assert (warm.field("content-type"), warm.field("content-digest")) == ("text/plain", None)
    assert pop.origin.requests == 1
    assert pop.store.objects == 0


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"range": "bytes=0-3"},
        {"range": "bytes=6-7"},
        {"range": "bytes=-3"},
        {"range": "bytes=12-"},
        {"range": "bytes=2-3,5-6"},
        {"range": "bytes=3-4", "if_range": '"2"'},
        {"range": "bytes=3-4", "if_none_match": '"1"'},
        {"method": "HEAD"},
    ],
)
async def test_everything_else_is_passed_on_as_partial(pop: Pop, fields: dict[str, str]) -> None:
    await kept(pop, 2, 6)
    pop.origin.on("HEAD", "/a").reply(503)
    asked = await pop.get(**fields)
    assert asked.status == 503
    assert (asked.cache_status or "").startswith("fra1; fwd=partial")


@pytest.mark.parametrize(
    "fields", [{"if_range": '"1"'}, {"if_none_match": '"2"'}, {"cache_control": "only-if-cached"}]
)
async def test_conditions_that_hold_change_nothing(pop: Pop, fields: dict[str, str]) -> None:
    await kept(pop, 2, 6)
    assert (await ask(pop, 3, 4, **fields)).body == b"34"


@pytest.mark.parametrize("fields", [{"cache_control": "no-cache"}, {"cache_control": "max-age=1"}])
async def test_a_client_that_wants_it_fresher_gets_it(pop: Pop, fields: dict[str, str]) -> None:
    await kept(pop, 2, 6)
    pop.clock.advance(2)
    assert (await ask(pop, 3, 4, **fields)).status == 503


async def test_a_stale_part_answers_nothing(pop: Pop) -> None:
    await kept(pop, 2, 6)
    pop.clock.advance(60)
    asked = await ask(pop, 3, 4)
    assert (asked.status, asked.cache_status) == (503, "fra1; fwd=uri-miss")


async def test_parts_with_one_strong_tag_make_the_whole(pop: Pop) -> None:
    await kept(pop, 0, 5)
    assert (await kept(pop, 4, 9)).cache_status == "fra1; fwd=partial"
    whole = await pop.get()
    assert (whole.status, whole.body, whole.cache_status) == (200, WHOLE, "fra1; hit; ttl=60")
    assert whole.field("content-range") is None
    assert pop.edge._parts._kept.weight == 0
    assert (await ask(pop, 0, 9)).status == 206
    assert pop.origin.requests == 2


async def test_parts_of_two_things_are_not_put_together(pop: Pop) -> None:
    await kept(pop, 0, 5)
    await kept(pop, 6, 9, etag='"2"')
    assert pop.store.objects == 0
    assert (await ask(pop, 0, 1)).status == 503
    assert (await ask(pop, 6, 7)).body == b"67"


async def test_what_is_too_large_for_the_store_stays_in_parts() -> None:
    pop = make_pop(object_bytes_max=9)
    await kept(pop, 0, 4)
    await kept(pop, 5, 9)
    assert (await ask(pop, 3, 6)).body == b"3456"
    assert pop.store.objects == 0
    await pop.edge.aclose()


async def test_the_whole_does_not_take_the_place_of_something_more_recent(pop: Pop) -> None:
    await kept(pop, 0, 8)
    says(pop, 9, 9).hold(barrier := Barrier())  # type: ignore[attr-defined]
    pop.origin.on("GET", "/a").replies.pop(0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ask(pop, 9, 9))
        await barrier.reached()
        pop.origin.on("GET", "/a").replies.clear()
        later = "Sun, 21 Nov 2286 04:46:39 GMT"
        pop.origin.on("GET", "/a").reply(
            200,
            b"newer",
            cache_control="max-age=60",
            etag='"2"',
            fields=[(b"date", later.encode())],
        ).undated()
        await pop.get()
        barrier.open()
    assert (await pop.get()).body == b"newer"


async def test_what_breaks_off_is_not_kept(pop: Pop) -> None:
    reply = says(pop, 2, 6)
    reply.chunks = [b"23", b"456"]  # type: ignore[attr-defined]
    reply.cut(1)  # type: ignore[attr-defined]
    asked = await ask(pop, 2, 6)
    assert (asked.body, asked.failure is None) == (b"23", False)
    assert pop.edge._parts._kept.weight == pop.edge._parts._room.used == 0


@pytest.mark.parametrize("octets", [b"23", b"23456789"])
async def test_what_is_not_as_long_as_it_says_is_not_kept(pop: Pop, octets: bytes) -> None:
    reply = says(pop, 2, 6).chunked()  # type: ignore[attr-defined]
    reply.chunks = [octets]
    await ask(pop, 2, 6)
    assert pop.edge._parts._kept.weight == pop.edge._parts._room.used == 0


async def test_a_reader_that_goes_takes_its_part_along(pop: Pop) -> None:
    says(pop, 2, 6).chunks = [b"23", b"456"]  # type: ignore[attr-defined]
    response = await pop.respond(pop.request(range="bytes=2-6"))
    assert await anext(aiter(response.body)) == b"23"  # type: ignore[arg-type]
    assert pop.edge._parts._room.used == 5
    await response.body.aclose()  # type: ignore[union-attr]
    assert pop.edge._parts._kept.weight == pop.edge._parts._room.used == 0


async def test_large_parts_and_too_many_at_once_only_pass() -> None:
    pop = make_pop(settings=EdgeSettings(parts_bytes_max=4096))
    large = bytes(2000)
    says(pop, 0, 1999, large)
    assert (await ask(pop, 0, 1999)).body == large
    pop.edge._parts._room.used = 4090
    pop.origin.on("GET", "/a").replies.clear()
    says(pop, 0, 9, large)
    assert (await ask(pop, 0, 9)).body == bytes(10)
    assert pop.edge._parts._kept.weight == 0
    await pop.edge.aclose()


async def test_a_write_takes_kept_parts_away(pop: Pop) -> None:
    await kept(pop, 2, 6)
    pop.origin.on("POST", "/a").reply(204)
    await pop.get(method="POST")
    assert (await ask(pop, 3, 4)).status == 503


async def test_a_write_overtakes_a_part_on_its_way(pop: Pop) -> None:
    says(pop, 2, 6).hold(barrier := Barrier())  # type: ignore[attr-defined]
    pop.origin.on("POST", "/a").reply(204)
    pop.origin.on("POST", "/b").reply(204)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ask(pop, 2, 6))
        await barrier.reached()
        await pop.get("/b", method="POST")
        await pop.get(method="POST")
        barrier.open()
    assert pop.counters.discarded_fills == {"invalidated": 1}
    assert pop.edge._parts._kept.weight == 0


async def test_a_purge_takes_parts_away_and_overtakes_those_on_their_way(pop: Pop) -> None:
    await kept(pop, 2, 6)
    pop.edge.generations.advance()
    assert (await ask(pop, 3, 4)).cache_status == "fra1; fwd=uri-miss"
    pop.origin.on("GET", "/a").replies.clear()
    says(pop, 2, 6).hold(barrier := Barrier())  # type: ignore[attr-defined]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ask(pop, 2, 6))
        await barrier.reached()
        pop.edge.generations.advance()
        barrier.open()
    assert pop.counters.discarded_fills == {"purged": 1}
    assert pop.edge._parts._kept.weight == 0


@pytest.mark.parametrize(
    ("status", "etag", "is_left"),
    [
        (200, '"1"', True),
        (200, '"2"', False),
        (404, '"1"', False),
        (301, "", False),
        (304, '"2"', True),
        (416, "", True),
        (503, "", True),
    ],
)
async def test_the_origins_latest_word_counts(
    pop: Pop, status: int, etag: str, is_left: bool
) -> None:
    await kept(pop, 2, 6)
    pop.origin.on("GET", "/a").replies.clear()
    pop.origin.on("GET", "/a").reply(status, b"x", etag=etag)
    assert (await ask(pop, 8, 9)).status == status
    assert ((await ask(pop, 3, 4)).body == b"34") is is_left


@pytest.mark.parametrize(("etag", "is_left"), [('"1"', True), ('"2"', False), ("", False)])
async def test_so_does_a_head(pop: Pop, etag: str, is_left: bool) -> None:
    await kept(pop, 2, 6)
    pop.origin.on("HEAD", "/a").reply(200, etag=etag)
    await pop.get(method="HEAD")
    assert ((await ask(pop, 3, 4)).body == b"34") is is_left


async def test_selecting_values_are_those_that_the_origin_heard(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(
        206, b"23456", content_range="bytes 2-6/10", vary="accept-language", **FRESH
    )
    await ask(pop, 2, 6, accept_language="de")
    pop.origin.on("GET", "/a").replies.clear()
    pop.origin.on("GET", "/a").reply(503)
    assert (await ask(pop, 3, 4, accept_language="de")).body == b"34"
    assert (await ask(pop, 3, 4, accept_language="en")).status == 503


@pytest.mark.parametrize("changes", [{"kind": "entry"}, {"kind": "pass"}])
async def test_under_a_rule_nothing_is_kept_in_parts(changes: dict[str, str]) -> None:
    pop = make_pop(rule(**changes))
    says(pop, 2, 6)
    await ask(pop, 2, 6)
    await ask(pop, 2, 6)
    assert pop.edge._parts._kept.weight == 0
    await pop.edge.aclose()


async def test_where_codings_are_negotiated_nothing_is_kept_in_parts() -> None:
    pop = make_pop(rule("transparent", codings=(b"gzip",), forward_fields="all"))
    says(pop, 2, 6)
    await ask(pop, 2, 6)
    assert pop.edge._parts._kept.weight == 0
    await pop.edge.aclose()


async def test_the_hot_path_never_sees_a_part(pop: Pop) -> None:
    await kept(pop, 0, 5)
    assert pop.store.candidates(KEY, pop.clock.now()) == ()
    for fields in ({}, {"range": "bytes=0-3"}):
        assert pop.edge.hit(pop.request(**fields), pop.clock.now()) is None


async def test_trailers_pass_and_are_no_part(pop: Pop) -> None:
    says(pop, 2, 6)
    response = await pop.respond(pop.request(range="bytes=2-6"))
    body = response.body
    body._content._response.body.trailers = ((b"x", b"1"),)  # type: ignore[union-attr]
    assert b"".join([chunk async for chunk in body]) == b"23456"  # type: ignore[union-attr]
    assert body.trailers == ((b"x", b"1"),)  # type: ignore[union-attr]
    assert (await ask(pop, 3, 4)).field("x") is None
