import asyncio

import pytest

from edgeproxy.errors import DownstreamError
from edgeproxy.http.messages import ConnectionInfo, Request
from edgeproxy.listeners.stream_exchange import Exchange, RequestContent
from edgeproxy.wire.limits import Limits
from tests.support.barrier import settle

LIMITS = Limits()


class Reader:
    """Reads content in a task, and notes what it consumed."""

    def __init__(self) -> None:
        self.consumed: list[int] = []
        self.content = RequestContent(self.consumed.append)
        self.read: list[bytes] = []
        self.error: DownstreamError | None = None
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            async for chunk in self.content:
                self.read.append(chunk)
        except DownstreamError as error:
            self.error = error

    def tick(self, seconds: float, received: int) -> bool:
        """Tick and tell whether the reader is still waiting."""
        self.content.tick(seconds, received, LIMITS)
        return self.content._error is None


async def waiting() -> Reader:
    reader = Reader()
    await settle()
    return reader


async def test_content_comes_as_it_was_fed_and_is_counted_when_it_is_taken():
    content = RequestContent((consumed := []).append)
    content.feed(b"abc", is_end=False)
    content.feed(b"", is_end=False)
    content.feed(b"de", is_end=True)
    assert consumed == []
    assert [chunk async for chunk in content] == [b"abc", b"de"]
    assert consumed == [3, 2]


async def test_a_reader_waits_for_content():
    reader = await waiting()
    for chunk in (b"a", b"b"):
        reader.content.feed(chunk, is_end=False)
        await settle()
        assert reader.read[-1] == chunk
    reader.content.feed(b"", is_end=True)
    await reader.task
    assert reader.read == [b"a", b"b"]
    assert reader.error is None


async def test_a_failure_reaches_the_reader_and_drops_the_rest():
    content = RequestContent((consumed := []).append)
    content.feed(b"never read", is_end=False)
    error = DownstreamError(400, "stream_reset")
    content.fail(error)
    content.fail(DownstreamError(500, "a second one"))
    content.feed(b"too late", is_end=True)
    with pytest.raises(DownstreamError) as caught:
        await anext(content)
    assert caught.value is error
    assert consumed == []


async def test_a_waiting_reader_hears_of_a_failure():
    reader = await waiting()
    reader.content.fail(DownstreamError(400, "stream_reset"))
    await reader.task
    assert reader.error is not None


async def test_whole_content_cannot_fail():
    content = RequestContent([].append)
    content.feed(b"abc", is_end=True)
    content.fail(DownstreamError(400, "stream_reset"))
    assert [chunk async for chunk in content] == [b"abc"]


async def test_a_cancelled_reader_is_not_woken():
    reader = await waiting()
    reader.task.cancel()
    await settle()
    reader.content.feed(b"abc", is_end=True)
    reader.content.fail(DownstreamError(400, "stream_reset"))
    assert reader.task.cancelled()


# --- too slow -----------------------------------------------------------------------------------


async def test_a_reader_that_is_not_waiting_makes_nobody_slow():
    content = RequestContent([].append)
    content.feed(b"abc", is_end=False)
    content.tick(1000.0, 0, LIMITS)
    assert await anext(content) == b"abc"


async def test_content_of_no_bytes_is_slow_after_a_while():
    reader = await waiting()
    for _ in range(10):
        assert reader.tick(1.0, 0)
    assert not reader.tick(1.0, 0)
    await reader.task
    assert reader.error is not None
    assert (reader.error.status, reader.error.reason) == (408, "slow_content")


async def test_content_below_the_minimum_rate_is_slow():
    reader = await waiting()
    received = 0
    for second in range(1, 100):
        received += 1000
        if not reader.tick(1.0, received):
            assert second == 11
            break
        reader.content.feed(b"x" * 1000, is_end=False)
        await settle()


async def test_content_at_the_minimum_rate_may_take_its_time():
    reader = await waiting()
    for second in range(1, 500):
        assert reader.tick(1.0, second * 1024)
        reader.content.feed(b"x" * 1024, is_end=False)
        await settle()
    reader.content.feed(b"", is_end=True)
    assert reader.tick(1000.0, 0)
    await reader.task


async def test_what_came_fast_does_not_pay_for_silence():
    reader = await waiting()
    for _ in range(60):
        assert reader.tick(1.0, 10**9)
    assert not reader.tick(1.0, 10**9)
    await reader.task


# --- exchanges ----------------------------------------------------------------------------------


def exchange() -> Exchange:
    request = Request(b"GET", b"/", [], authority=b"a", connection=ConnectionInfo("192.0.2.1"))
    return Exchange(request)


async def test_relief_is_done_once():
    one = exchange()
    one.relieve()
    one.relief = asyncio.get_running_loop().create_future()
    one.relieve()
    one.relieve()
    assert one.relief.done()


async def test_content_is_stopped_where_there_is_some():
    one = exchange()
    one.stop_content("stream_reset")
    one.content = RequestContent([].append)
    one.stop_content("stream_reset")
    with pytest.raises(DownstreamError) as caught:
        await anext(one.content)
    assert (caught.value.status, caught.value.reason) == (400, "stream_reset")
