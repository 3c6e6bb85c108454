"""Content in both directions: streams to the client, and what the client sends."""

import asyncio

import pytest

from edgeproxy.errors import DownstreamError, UpstreamError
from edgeproxy.http.messages import Request, Response
from edgeproxy.wire.limits import Limits
from tests.support.http1_session import (
    HELLO,
    LAST,
    Connection,
    Stream,
    get,
    post,
    read_all,
    response,
    streaming,
)

# Streams


async def test_a_stream_of_unknown_length_is_chunked(connection: Connection) -> None:
    stream = Stream(b"hel", b"", b"lo")
    streaming(connection, stream)
    connection.receive(get(b"/") + get(b"/hit"))
    await connection.settle()
    assert connection.sent == (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n" + HELLO
    )
    assert connection.application.ended[0] == (b"/", 5, True)
    assert stream.is_closed


async def test_a_stream_of_known_length_is_not_chunked(connection: Connection) -> None:
    streaming(connection, Stream(b"hel", b"lo"), 5)
    connection.receive(get(b"/"))
    await connection.settle()
    assert connection.sent == HELLO


async def test_http_1_0_reads_a_stream_until_the_close(connection: Connection) -> None:
    streaming(connection, Stream(b"hel", b"lo"))
    connection.receive(get(b"/", b"connection: keep-alive", version=b"1.0"))
    await connection.settle()
    assert connection.sent == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello"
    assert connection.channel.is_closed


async def test_a_head_request_does_not_iterate_the_stream(connection: Connection) -> None:
    stream = Stream(b"hello")
    streaming(connection, stream, 5)
    connection.receive(get(b"/", method=b"HEAD"))
    await connection.settle()
    assert connection.sent == HELLO[:-5]
    assert (stream.taken, stream.is_closed) == (0, True)


async def test_a_stream_without_aclose_is_fine(connection: Connection) -> None:
    class Plain:
        def __init__(self) -> None:
            self.pieces = iter([b"a"])

        def __aiter__(self) -> "Plain":
            return self

        async def __anext__(self) -> bytes:
            for piece in self.pieces:
                return piece
            raise StopAsyncIteration

    connection.application.hits[b"/hit"] = response(Plain())
    connection.receive(get(b"/hit"))
    await connection.settle()
    assert connection.application.ended == [(b"/hit", 1, True)]


@pytest.mark.parametrize(
    ("pieces", "length"),
    [
        ([b"he", UpstreamError("http_response_incomplete", 502)], None),
        ([b"he", UpstreamError("http_response_incomplete", 502)], 5),
        ([b"he"], 5),
        ([b"he", b"llo!"], 5),
    ],
)
async def test_a_stream_that_fails_is_never_ended_cleanly(
    connection: Connection, pieces: list[bytes | Exception], length: int | None
) -> None:
    stream = Stream(*pieces)
    streaming(connection, stream, length)
    connection.receive(get(b"/") + get(b"/hit"))
    await connection.settle()
    assert connection.channel.is_aborted
    assert not connection.channel.is_closed
    assert connection.sent.endswith((b"\r\n\r\nhe", b"2\r\nhe\r\n"))
    assert connection.application.ended == [(b"/", 2, False)]
    assert stream.is_closed


async def test_a_stream_is_not_asked_for_more_than_the_channel_takes() -> None:
    connection = Connection(pause_after=1)
    stream = Stream(b"a", b"b", b"c")
    streaming(connection, stream)
    connection.receive(get(b"/"))
    for taken in (0, 1, 2, 3):
        await connection.settle()
        assert stream.taken == taken
        connection.session.writable()  # a false alarm changes nothing
        await connection.settle()
        assert stream.taken == taken
        connection.drained()
    await connection.settle()
    assert connection.application.ended == [(b"/", 3, True)]


async def test_a_client_that_leaves_closes_the_stream() -> None:
    connection = Connection(pause_after=1)
    stream = Stream(b"a", b"b")
    streaming(connection, stream)
    connection.receive(get(b"/"))
    await connection.settle()
    connection.session.lost()
    await connection.settle()
    assert stream.is_closed
    assert connection.application.ended == [(b"/", 0, False)]


# Request content


async def test_content_arrives_in_any_pieces(connection: Connection) -> None:
    connection.application.handler = read_all
    request = post(b"/", b"hello")
    connection.receive(request[:-4])
    await connection.settle()
    connection.receive(request[-4:-2])
    await connection.settle()
    connection.receive(request[-2:] + get(b"/hit"))
    await connection.settle()
    assert connection.sent == HELLO * 2
    assert connection.application.requests[0].content_length == 5


async def test_chunked_content(connection: Connection) -> None:
    connection.application.handler = read_all
    head = get(b"/", b"transfer-encoding: chunked", method=b"POST")
    connection.receive(head + b"5;x\r\nhello\r\n0\r\nt: v\r\n", b"\r\n" + get(b"/hit"))
    await connection.settle()
    assert connection.sent == HELLO * 2
    assert connection.application.requests[0].content_length is None


async def test_content_nobody_takes_stops_the_reading() -> None:
    connection = Connection(limits=Limits(request_body_buffer_bytes=10))
    gate = asyncio.Event()

    async def handler(request: Request) -> Response:
        await gate.wait()
        return await read_all(request)

    connection.application.handler = handler
    connection.receive(post(b"/", b"x" * 20)[:-10])
    await connection.settle()
    assert not connection.channel.is_reading
    gate.set()
    await connection.settle()
    assert connection.channel.is_reading
    connection.receive(b"x" * 10)
    await connection.settle()
    assert connection.sent.endswith(b"x" * 20)


async def test_100_continue_is_sent_when_the_content_is_wanted(connection: Connection) -> None:
    connection.application.handler = read_all
    request = post(b"/", b"hello", b"expect: 100-continue")
    connection.receive(request[:-5])
    assert connection.sent == b""
    await connection.settle()
    assert connection.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.receive(request[-5:])
    await connection.settle()
    assert connection.sent == b"HTTP/1.1 100 Continue\r\n\r\n" + HELLO


async def test_100_continue_is_left_out_when_content_is_there(connection: Connection) -> None:
    connection.application.handler = read_all
    connection.receive(post(b"/", b"hello", b"expect: 100-continue"))
    await connection.settle()
    assert connection.sent == HELLO


async def test_an_answer_instead_of_100_ends_the_connection(connection: Connection) -> None:
    connection.receive(post(b"/", b"hello", b"expect: 100-continue")[:-5])
    await connection.settle()
    assert connection.sent == LAST
    assert connection.channel.is_closed


async def test_little_unread_content_is_read_away(connection: Connection) -> None:
    request = post(b"/", b"GET /x HTTP/1.1\r\n\r\n")
    connection.receive(request[:-10])
    await connection.settle()
    assert connection.sent == HELLO
    connection.receive(request[-10:-5], request[-5:] + get(b"/hit"))
    assert connection.sent == HELLO * 2
    assert connection.application.targets == [b"/", b"/hit"]


@pytest.mark.parametrize(
    "request_head",
    [
        get(b"/", b"content-length: 1000000", method=b"POST") + b"x",
        get(b"/", b"transfer-encoding: chunked", method=b"POST") + b"1\r\nx\r\n",
        get(b"/", b"transfer-encoding: chunked", method=b"POST") + b"bad",
    ],
)
async def test_other_unread_content_ends_the_connection(
    connection: Connection, request_head: bytes
) -> None:
    connection.receive(request_head)
    await connection.settle()
    assert connection.sent == LAST
    assert connection.channel.is_closed


async def test_unread_chunked_content_that_is_there_does_not(connection: Connection) -> None:
    head = get(b"/", b"transfer-encoding: chunked", method=b"POST")
    connection.receive(head + b"1\r\nx\r\n0\r\n\r\n" + get(b"/hit"))
    await connection.settle()
    assert connection.sent == HELLO * 2


async def test_a_stream_before_the_content_has_ended_is_the_last(connection: Connection) -> None:
    streaming(connection, Stream(b"hello"), 5)
    connection.receive(post(b"/", b"xy")[:-1])
    await connection.settle()
    assert connection.sent == LAST


async def test_nobody_reads_on_after_the_response(connection: Connection) -> None:
    bodies = []

    async def handler(request: Request) -> Response:
        bodies.append(request.body)
        return response()

    connection.application.handler = handler
    connection.receive(post(b"/", b"x") + post(b"/", b"secret")[:-3])
    await connection.settle()
    with pytest.raises(DownstreamError, match="request-over"):
        await anext(bodies[0])


async def test_malformed_content_reaches_the_application_and_ends_the_connection(
    connection: Connection,
) -> None:
    connection.application.handler = read_all
    head = get(b"/", b"transfer-encoding: chunked", method=b"POST")
    connection.receive(head + b"1\r\nx\r\nnonsense\r\n" + get(b"/hit"))
    await connection.settle()
    assert connection.statuses == [400]
    assert b"connection: close" in connection.sent
    assert connection.channel.is_closed
