import asyncio
from collections.abc import AsyncIterator

import pytest

from edgeproxy.errors import DownstreamError
from edgeproxy.listeners.http1_body import RequestBody
from edgeproxy.wire.h1.reader import RequestReader
from edgeproxy.wire.limits import Limits
from tests.support.clock import ManualClock


class Fixture:
    """A body of ten bytes, or a chunked one, and what it asked of its connection."""

    def __init__(self, framing: bytes = b"content-length: 10") -> None:
        self.reader = RequestReader(b"https", Limits())
        self.reader.feed(b"POST / HTTP/1.1\r\nhost: a\r\n" + framing + b"\r\n\r\n")
        self.reader.next_head()
        self.clock = ManualClock()
        self.asked = self.taken = 0
        self.body = RequestBody(self.reader, self.clock, ask=self._ask, taken=self._taken)

    def _ask(self) -> None:
        self.asked += 1

    def _taken(self) -> None:
        self.taken += 1

    def feed(self, data: bytes) -> None:
        self.reader.feed(data)
        self.body.wake()

    async def next_after(self, *events: object) -> bytes:
        """Start reading, let the events happen to the waiting reader, return what it got."""
        reading = asyncio.ensure_future(anext(self.body))
        await asyncio.sleep(0)
        assert not reading.done()
        for event in events:
            event()
        return await reading


@pytest.fixture
def upload() -> Fixture:
    return Fixture()


async def test_pieces_come_as_they_arrive(upload: Fixture) -> None:
    upload.feed(b"01")
    assert await anext(upload.body) == b"01"
    assert await upload.next_after(upload.body.wake, lambda: upload.feed(b"23")) == b"23"
    upload.feed(b"456789")
    assert [piece async for piece in upload.body] == [b"456789"]
    assert upload.asked == 1
    assert upload.taken >= 3


async def test_waking_twice_or_nobody_is_harmless(upload: Fixture) -> None:
    upload.body.wake()

    def twice() -> None:
        upload.feed(b"0")
        upload.body.wake()

    assert await upload.next_after(twice) == b"0"


async def test_a_peer_that_ended_leaves_what_is_buffered(upload: Fixture) -> None:
    upload.feed(b"01")
    upload.body.peer_ended()
    assert await anext(upload.body) == b"01"
    with pytest.raises(DownstreamError, match="incomplete-content"):
        await anext(upload.body)


async def test_a_failure_reaches_the_waiting_reader_and_the_first_one_stays(
    upload: Fixture,
) -> None:
    with pytest.raises(DownstreamError, match="gone"):
        await upload.next_after(lambda: upload.body.fail(DownstreamError(400, "gone")))
    upload.body.end()
    with pytest.raises(DownstreamError, match="gone"):
        await anext(upload.body)


async def test_malformed_content_is_remembered() -> None:
    upload = Fixture(b"transfer-encoding: chunked")
    upload.feed(b"x\r\n")
    with pytest.raises(DownstreamError, match="chunk-size"):
        await anext(upload.body)
    assert upload.body.fault is not None
    assert not upload.body.may_skip(100, is_client_waiting=False)


async def test_only_time_spent_waiting_counts(upload: Fixture) -> None:
    def is_too_slow() -> bool:
        return upload.body.is_too_slow(upload.clock.monotonic(), after=10, rate=1)

    upload.clock.advance(100)
    assert not is_too_slow()
    seen: list[bool] = []

    def nine_seconds() -> None:
        upload.clock.advance(9)
        seen.append(is_too_slow())
        upload.feed(b"01234")

    await upload.next_after(nine_seconds)
    upload.clock.advance(100)
    assert not is_too_slow()

    def one_second() -> None:
        upload.clock.advance(1)
        seen.append(is_too_slow())
        upload.feed(b"56789")

    await upload.next_after(one_second)
    assert seen == [False, True]
    assert not is_too_slow()


@pytest.mark.parametrize(
    ("framing", "data", "may_skip"),
    [
        (b"content-length: 10", b"", True),
        (b"content-length: 10", b"0123456789", True),
        (b"content-length: 110", b"0123456789", True),
        (b"content-length: 111", b"0123456789", False),
        (b"transfer-encoding: chunked", b"1\r\nx\r\n0\r\n\r\n", True),
        (b"transfer-encoding: chunked", b"1\r\nx\r\n0\r\n", False),
        (b"transfer-encoding: chunked", b"1\r\nx\r\nz", False),
    ],
)
async def test_what_may_be_skipped(framing: bytes, data: bytes, may_skip: bool) -> None:
    upload = Fixture(framing)
    upload.reader.feed(data)
    assert upload.body.may_skip(100, is_client_waiting=False) is may_skip
    with pytest.raises(DownstreamError):
        await anext(upload.body)


async def test_a_client_that_waits_for_100_may_leave_its_content_out(upload: Fixture) -> None:
    assert not upload.body.may_skip(100, is_client_waiting=True)
    asked = Fixture()
    asked.feed(b"0")
    await anext(asked.body)
    assert asked.body.may_skip(100, is_client_waiting=True)


async def test_it_is_an_async_iterator(upload: Fixture) -> None:
    body: AsyncIterator[bytes] = upload.body
    assert aiter(body) is body


async def test_trailers_are_there_when_the_content_was_read() -> None:
    chunked = Fixture(b"transfer-encoding: chunked")
    chunked.feed(b"1\r\na\r\n0\r\nDigest: x\r\n\r\n")
    assert await anext(chunked.body) == b"a"
    assert chunked.body.trailers == ()
    assert [piece async for piece in chunked.body] == []
    assert chunked.body.trailers == ((b"digest", b"x"),)
