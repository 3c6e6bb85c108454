import asyncio

import pytest

from edgeproxy.errors import UpstreamError
from edgeproxy.http.messages import ConnectionInfo, Request
from edgeproxy.listeners.http1_exchange import Exchange
from edgeproxy.listeners.http1_sender import SLICE_BYTES, Sender
from edgeproxy.wire.h1.framing import NO_CONTENT
from edgeproxy.wire.h1.head import RequestHead
from edgeproxy.wire.limits import Limits
from tests.support.http1_session import FakeChannel, Stream, response


def begun(body: bytes | Stream, *, method: bytes = b"GET") -> Exchange:
    head = RequestHead(method, b"/", [], authority=b"a", version=b"1.1", framing=NO_CONTENT)
    request = Request(method, b"/", [], authority=b"a", connection=ConnectionInfo("::1"))
    exchange = Exchange(request, head)
    exchange.start(response(body), keeps_alive=True)
    return exchange


def test_what_is_put_leaves_in_one_write() -> None:
    channel = FakeChannel()
    sender = Sender(channel)
    sender.put(b"a")
    sender.put(memoryview(b"b"))
    assert channel.writes == []
    sender.flush()
    sender.flush()
    assert channel.writes == [b"ab"]
    sender.put(b"c")
    sender.discard()
    sender.flush()
    assert channel.writes == [b"ab"]


def test_pumping_stops_at_a_pause_at_the_end_of_a_turn_and_at_the_end() -> None:
    channel = FakeChannel()
    sender = Sender(channel)
    exchange = begun(bytes(SLICE_BYTES * 5 + 1))
    channel.is_paused = True
    sender.pump(exchange)
    assert channel.writes == []
    channel.is_paused = False
    sender.pump(exchange)
    assert [len(write) for write in channel.writes] == [SLICE_BYTES] * 4
    sender.pump(exchange)
    assert [len(write) for write in channel.writes[4:]] == [SLICE_BYTES, 1]
    assert not exchange.rest


async def test_a_large_piece_of_a_stream_is_sliced() -> None:
    channel = FakeChannel()
    stream = Stream(bytes(SLICE_BYTES + 1))
    sender = Sender(channel)
    await sender.stream(begun(stream), stream)
    sender.flush()
    assert channel.sent == b"40000\r\n" + bytes(SLICE_BYTES) + b"\r\n1\r\n\0\r\n0\r\n\r\n"
    assert stream.is_closed


async def test_a_stream_waits_for_the_channel() -> None:
    channel = FakeChannel(pause_after=1)
    stream = Stream(b"a", b"b")
    sender = Sender(channel)
    task = asyncio.ensure_future(sender.stream(begun(stream), stream))
    await asyncio.sleep(0)
    assert stream.taken == 1
    sender.writable()
    sender.writable()
    await asyncio.sleep(0)
    assert stream.taken == 1
    channel.pause_after = None
    channel.is_paused = False
    sender.writable()
    await task
    assert stream.taken == 2


async def test_a_failing_stream_is_closed_and_not_ended() -> None:
    channel = FakeChannel()
    stream = Stream(b"a", UpstreamError("http_response_incomplete", 502))
    sender = Sender(channel)
    with pytest.raises(UpstreamError):
        await sender.stream(begun(stream), stream)
    sender.flush()
    assert channel.sent == b"1\r\na\r\n"
    assert stream.is_closed


async def test_no_content_is_not_asked_for() -> None:
    channel = FakeChannel()
    stream = Stream(b"a")
    await Sender(channel).stream(begun(stream, method=b"HEAD"), stream)
    assert (stream.taken, stream.is_closed, channel.sent) == (0, True, b"")


def test_a_reader_is_slow_if_it_takes_less_than_the_rate_for_a_minute() -> None:
    channel = FakeChannel()
    sender = Sender(channel)
    limits = Limits(write_stall_seconds=60, minimum_rate_bytes_per_second=100)

    def owe(unsent: int, now: float) -> bool:
        channel.unsent_bytes = unsent
        return sender.is_reader_slow(now, limits)

    sender.put(bytes(50_000))
    sender.flush()
    assert not owe(20_000, 10)
    assert not owe(20_000, 69)
    assert not owe(14_000, 70)  # 6000 bytes in 60 seconds
    assert owe(13_901, 71)
    assert not owe(0, 72)
    assert not owe(20_000, 73)
    assert owe(20_000, 133)
