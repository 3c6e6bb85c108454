import asyncio
import gc
import weakref

import pytest

from edgeproxy.edge.growing import GrowingBody, Reader
from edgeproxy.errors import UpstreamError
from tests.support.barrier import settle


class Abandoned:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def keeping(keep: int = 100, window: int = 10, abandoned: Abandoned | None = None) -> GrowingBody:
    return GrowingBody(
        keep_bytes_max=keep, window_bytes=window, on_abandoned=abandoned or Abandoned()
    )


def passing(window: int = 10, abandoned: Abandoned | None = None) -> GrowingBody:
    return keeping(0, window, abandoned)


async def whole(reader: Reader) -> bytes:
    return b"".join([chunk async for chunk in reader])


def task(coroutine: object) -> "asyncio.Task":
    return asyncio.get_running_loop().create_task(coroutine)


async def test_readers_get_everything_each_at_its_own_pace() -> None:
    body = keeping()
    early = body.read()
    waiting = task(whole(early))
    await body.append(b"abc")
    half = body.read()
    assert await anext(half) == b"abc"
    await body.append(b"def")
    body.finish()
    late = body.read()
    assert await waiting == b"abcdef"
    assert await whole(half) == b"def"
    assert await whole(late) == b"abcdef"
    assert body.content() == b"abcdef"


async def test_content_of_one_piece_is_that_piece() -> None:
    body = keeping()
    piece = b"piece of content"
    await body.append(piece)
    body.finish()
    assert body.content() is piece


async def test_no_content_is_content() -> None:
    body = keeping()
    body.finish()
    assert body.content() == b""
    assert await whole(body.read()) == b""


async def test_an_empty_piece_changes_nothing() -> None:
    body = keeping()
    assert await body.append(b"")
    assert body.length == 0


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [(0, 0, b"0"), (2, 4, b"234"), (3, 3, b"3"), (3, 8, b"345678"), (8, 8, b"8")],
)
async def test_a_narrowed_reader_gets_its_range(first: int, last: int, expected: bytes) -> None:
    body = keeping()
    for piece in (b"012", b"345", b"678"):
        await body.append(piece)
    assert await whole(body.read().only(first, last)) == expected


async def test_a_narrowed_reader_does_not_wait_for_what_it_does_not_want() -> None:
    body = keeping()
    reader = body.read().only(1, 2)
    await body.append(b"0123")
    assert await whole(reader) == b"12"
    assert not body._readers


async def test_a_failure_reaches_every_reader_behind_what_came_before() -> None:
    body = keeping()
    readers = [body.read(), body.read()]
    await body.append(b"abc")
    failure = UpstreamError("http_response_incomplete", 502, "cut")
    body.fail(failure)
    for reader in readers:
        assert await anext(reader) == b"abc"
        with pytest.raises(UpstreamError) as caught:
            await anext(reader)
        assert caught.value.word == "http_response_incomplete"
        assert caught.value is not failure  # a traceback per reader, not one that grows


async def test_a_reader_that_waits_is_woken_by_a_failure() -> None:
    body = keeping()
    waiting = task(whole(body.read()))
    await settle()
    body.fail(UpstreamError("connection_terminated", 502))
    with pytest.raises(UpstreamError):
        await waiting


async def test_one_reader_that_is_cancelled_disturbs_nobody() -> None:
    body = keeping()
    staying, leaving = task(whole(body.read())), task(whole(body.read()))
    await settle()
    leaving.cancel()
    await settle()
    await body.append(b"x")
    body.finish()
    assert await staying == b"x"


async def test_a_keeping_writer_never_waits() -> None:
    body = keeping(keep=1000, window=1)
    body.read()
    for _ in range(100):
        assert await asyncio.wait_for(body.append(b"." * 10), 10)
    assert body.is_keeping


async def test_a_passing_writer_waits_for_the_slowest_reader() -> None:
    body = passing(window=4)
    fast, slow = body.read(), body.read()
    writing = task(body.append(b"12345"))
    await settle()
    assert not writing.done()
    await anext(fast)
    await settle()
    assert not writing.done()
    await anext(slow)
    assert await writing
    assert body._chunks == []


async def test_a_reader_that_leaves_is_not_waited_for() -> None:
    body = passing(window=4)
    fast, slow = body.read(), body.read()
    writing = task(body.append(b"12345"))
    await anext(fast)
    slow.close()
    assert await writing


async def test_a_passing_body_lets_go_what_all_are_past() -> None:
    body = passing(window=100)
    reader = body.read()
    for piece in (b"a", b"bc", b"def"):
        await body.append(piece)
    assert [await anext(reader), await anext(reader)] == [b"a", b"bc"]
    assert body._chunks == [b"def"]
    assert body._start == 3
    assert await anext(reader) == b"def"


async def test_the_last_reader_of_a_passing_body_abandons_it() -> None:
    body = passing(window=4, abandoned=(abandoned := Abandoned()))
    reader, other = body.read(), body.read()
    reader.close()
    assert abandoned.count == 0
    await other.aclose()
    await other.aclose()
    assert abandoned.count == 1
    assert not await body.append(b"x")
    assert not await body.append(b"")


async def test_leaving_after_the_end_abandons_nothing() -> None:
    for end in ("finish", "fail"):
        body = passing(abandoned=(abandoned := Abandoned()))
        reader = body.read()
        if end == "finish":
            body.finish()
        else:
            body.fail(UpstreamError("connection_terminated", 502))
        reader.close()
        assert abandoned.count == 0


async def test_a_keeping_body_is_never_abandoned() -> None:
    body = keeping(abandoned=(abandoned := Abandoned()))
    body.read().close()
    assert await body.append(b"x")
    assert abandoned.count == 0


async def test_beyond_its_bound_a_body_turns_to_passing() -> None:
    body = keeping(keep=5, window=3)
    reader = body.read()
    assert await body.append(b"12345")
    assert body.is_keeping
    writing = task(body.append(b"6"))
    await settle()
    assert not body.is_keeping
    assert not writing.done()
    assert await anext(reader) == b"12345"
    assert await writing
    assert body._start == 5
    body.finish()
    assert await whole(reader) == b"6"


async def test_beyond_its_bound_without_readers_a_body_is_abandoned() -> None:
    body = keeping(keep=5)
    assert await body.append(b"12345")
    assert not await body.append(b"6")


async def test_the_final_length_is_waited_for() -> None:
    body = keeping()
    waiting = task(body.final_length())
    await body.append(b"123")
    await settle()
    assert not waiting.done()
    body.finish()
    assert await waiting == 3
    assert await body.final_length() == 3


async def test_the_final_length_of_what_outgrows_its_bound_stays_unknown() -> None:
    body = keeping(keep=3, window=100)
    body.read()
    waiting = task(body.final_length())
    await settle()
    await body.append(b"1234")
    assert await waiting is None


async def test_the_final_length_of_what_broke_off_is_an_error() -> None:
    body = keeping()
    waiting = task(body.final_length())
    await settle()
    body.fail(UpstreamError("http_response_incomplete", 502))
    with pytest.raises(UpstreamError):
        await waiting


async def complete(body: GrowingBody) -> None:
    body.finish()


def cut() -> None:
    raise UpstreamError("http_response_incomplete", 502, "cut")


async def break_off(body: GrowingBody) -> None:
    try:
        cut()
    except UpstreamError as failure:
        body.fail(failure)


async def outgrow(body: GrowingBody) -> None:
    await body.append(bytes(101))


class Owner:
    """Knows its body, and the body whom to tell: as a flight does."""

    def __init__(self) -> None:
        self.body = GrowingBody(keep_bytes_max=100, window_bytes=10, on_abandoned=self.abort)

    def abort(self) -> None:
        self.body.stop_keeping()


@pytest.mark.parametrize("end", [complete, break_off, outgrow])
async def test_what_has_ended_is_freed_without_the_collector(end) -> None:
    gc.disable()
    try:
        owner = Owner()
        reader = owner.body.read()
        await owner.body.append(b"content")
        if end is outgrow:
            reader.close()
        await end(owner.body)
        freed = weakref.ref(owner)
        reader.close()
        del owner, reader
        assert freed() is None
    finally:
        gc.enable()


async def test_trailers_belong_to_the_whole() -> None:
    body = keeping()
    reader, part = body.read(), body.read().only(0, 1)
    await body.append(b"abc")
    assert reader.trailers == ()
    body.finish(((b"digest", b"x"),))
    assert await whole(reader) == b"abc"
    assert await whole(part) == b"ab"
    assert reader.trailers == ((b"digest", b"x"),)
    assert part.trailers == ()
