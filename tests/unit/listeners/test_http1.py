import asyncio
from collections.abc import AsyncIterator

import pytest

from edgeproxy.errors import DownstreamError, UpstreamError
from edgeproxy.http.messages import Request, Response
from edgeproxy.listeners.http1 import Http1Session
from edgeproxy.listeners.limits import Limits
from tests.support.clock import ManualClock
from tests.support.http1_session import (
    Connection,
    FakeApplication,
    FakeChannel,
    Stream,
    response,
)

HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
LAST = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"


def get(target: bytes, *lines: bytes, method: bytes = b"GET", version: bytes = b"1.1") -> bytes:
    first = method + b" " + target + b" HTTP/" + version
    return b"\r\n".join([first, b"host: a", *lines, b"", b""])


def post(target: bytes, body: bytes, *lines: bytes) -> bytes:
    return get(target, b"content-length: %d" % len(body), *lines, method=b"POST") + body


async def read_all(request: Request) -> Response:
    content = b""
    try:
        if request.body is not None:
            async for piece in request.body:
                content += piece
    except DownstreamError as error:
        return response(error.reason.encode(), status=error.status)
    return response(content)


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    connection = Connection()
    yield connection
    connection.session.lost()
    await connection.settle()


# Hits


async def test_a_hit_is_answered_in_the_read_callback(connection: Connection) -> None:
    connection.receive(get(b"/hit"))
    assert connection.channel.writes == [HELLO]
    assert connection.application.ended == [(b"/hit", 5, True)]
    assert not connection.channel.is_closed


async def test_the_request_is_what_was_sent(connection: Connection) -> None:
    connection.receive(get(b"/hit?q", b"X-A: 1"))
    (request,) = connection.application.requests
    assert (request.method, request.target, request.authority) == (b"GET", b"/hit?q", b"a")
    assert request.fields == [(b"x-a", b"1")]
    assert (request.scheme, request.protocol) == (b"https", "HTTP/1.1")
    assert request.connection is connection.channel.info
    assert (request.body, request.content_length) == (None, None)
    assert request.received_at == connection.clock.now()
    assert request.started == connection.clock.monotonic()


async def test_pipelined_hits_leave_in_one_write_and_in_order(connection: Connection) -> None:
    connection.application.hits[b"/hit2"] = response(b"two")
    connection.receive(get(b"/hit1") + get(b"/hit2") + get(b"/hit3"))
    assert connection.application.targets == [b"/hit1", b"/hit2", b"/hit3"]
    assert connection.channel.writes == [HELLO + HELLO.replace(b"5", b"3", 1)[:-5] + b"two" + HELLO]


async def test_many_pipelined_hits_take_turns() -> None:
    connection = Connection(limits=Limits(pipelined_requests_max=4))
    connection.receive(get(b"/hit") * 18)
    assert len(connection.application.requests) == 4
    assert not connection.channel.is_reading
    await connection.settle()
    assert len(connection.application.requests) == 18
    assert connection.sent == HELLO * 18
    assert connection.channel.is_reading


async def test_a_paused_channel_stops_answers_until_it_is_writable() -> None:
    connection = Connection(limits=Limits(pipelined_requests_max=2), pause_after=1)
    connection.receive(get(b"/hit") * 5)
    await connection.settle()
    assert connection.sent == HELLO * 2
    assert not connection.channel.is_reading
    connection.channel.pause_after = None
    connection.drained()
    await connection.settle()
    assert connection.sent == HELLO * 5
    assert connection.channel.is_reading


async def test_head_and_304_have_no_body(connection: Connection) -> None:
    connection.application.hits[b"/hit304"] = response(b"", status=304, length=9)
    connection.application.hits[b"/hit204"] = response(b"", status=204, length=0)
    connection.receive(get(b"/hit", method=b"HEAD"), get(b"/hit304"), get(b"/hit204"), get(b"/hit"))
    assert connection.channel.writes == [
        HELLO[:-5],
        b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        HELLO,
    ]


async def test_a_hit_may_be_a_stream(connection: Connection) -> None:
    connection.application.hits[b"/hit"] = response(Stream(b"ab", b"c"))
    connection.receive(get(b"/hit"))
    await connection.settle()
    assert connection.sent.endswith(b"chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")


async def test_a_body_of_another_length_than_announced_cuts_the_connection(
    connection: Connection,
) -> None:
    blamed: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: blamed.append(context))
    connection.application.hits[b"/hit"] = response(b"hello", length=4)
    connection.receive(get(b"/hit") + get(b"/hit2"))
    assert connection.channel.is_aborted
    assert connection.sent == b""
    assert connection.application.ended == [(b"/hit", 0, False)]
    assert isinstance(blamed[0]["exception"], ValueError)


# Bodies in memory


async def test_a_large_body_goes_out_in_slices_while_the_channel_takes_them() -> None:
    body = bytes(range(256)) * 4096  # 1 MiB
    connection = Connection(pause_after=256 * 1024)
    connection.application.hits[b"/hit"] = response(body)
    connection.receive(get(b"/hit") + get(b"/hit2"))
    for _ in range(3):
        assert connection.application.ended == []
        connection.drained()
    assert connection.application.ended[0] == (b"/hit", len(body), True)
    connection.drained()
    head, _, rest = connection.sent.partition(b"\r\n\r\n")
    assert rest == body + HELLO
    assert connection.channel.largest_write <= 256 * 1024 + len(head) + 4 + len(HELLO)


async def test_a_peer_that_takes_everything_does_not_keep_the_loop() -> None:
    connection = Connection()
    connection.application.hits[b"/hit"] = response(bytes(3 << 20))
    connection.receive(get(b"/hit"))
    assert len(connection.sent) < (1 << 20) + 100
    await connection.settle()
    assert connection.application.ended == [(b"/hit", 3 << 20, True)]


async def test_a_large_body_from_handle_outlives_its_task() -> None:
    connection = Connection(pause_after=256 * 1024)

    async def handler(_request: Request) -> Response:
        return response(bytes(1 << 20))

    connection.application.handler = handler
    connection.receive(get(b"/"))
    await connection.settle()
    while not connection.application.ended:
        assert not connection.channel.is_aborted
        connection.drained()
    connection.drained()
    connection.receive(get(b"/hit"))
    assert connection.sent.endswith(HELLO)


async def test_losing_the_connection_ends_a_large_body() -> None:
    connection = Connection()
    connection.application.hits[b"/hit"] = response(bytes(3 << 20))
    connection.receive(get(b"/hit"))
    connection.session.lost()
    await connection.settle()
    assert connection.application.ended == [(b"/hit", 1 << 20, False)]


# Requests that take time


async def test_answers_stay_in_order(connection: Connection) -> None:
    gate = asyncio.Event()

    async def slow(_request: Request) -> Response:
        await gate.wait()
        return response(b"slow!")

    connection.application.handler = slow
    connection.receive(get(b"/hit") + get(b"/slow") + get(b"/hit"))
    await connection.settle()
    assert connection.sent == HELLO
    gate.set()
    await connection.settle()
    assert connection.sent == HELLO + HELLO[:-5] + b"slow!" + HELLO


async def test_what_is_sent_ahead_is_bounded() -> None:
    connection = Connection(limits=Limits(pipelined_requests_max=3))
    gate = asyncio.Event()

    async def slow(_request: Request) -> Response:
        await gate.wait()
        return response()

    connection.application.handler = slow
    connection.receive(get(b"/slow"), get(b"/hit"), get(b"/hit"))
    assert connection.channel.is_reading
    connection.receive(get(b"/hit"))
    assert not connection.channel.is_reading
    gate.set()
    await connection.settle()
    assert connection.sent == HELLO * 4
    assert connection.channel.is_reading


async def test_a_client_that_leaves_cancels_the_request(connection: Connection) -> None:
    async def forever(_request: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    connection.application.handler = forever
    connection.receive(get(b"/"))
    await connection.settle()
    connection.session.lost()
    connection.session.lost()
    await connection.settle()
    assert connection.application.cancelled == 1
    assert connection.application.ended == []
    connection.receive(get(b"/hit"))
    assert connection.sent == b""


async def test_an_application_that_fails_cuts_the_connection(connection: Connection) -> None:
    blamed: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: blamed.append(context))

    async def broken(_request: Request) -> Response:
        raise RuntimeError

    connection.application.handler = broken
    connection.receive(get(b"/"))
    await connection.settle()
    assert connection.channel.is_aborted
    assert isinstance(blamed[0]["exception"], RuntimeError)


async def test_an_application_that_cancels_itself_cuts_the_connection(
    connection: Connection,
) -> None:
    async def cancelled(_request: Request) -> Response:
        raise asyncio.CancelledError

    connection.application.handler = cancelled
    connection.receive(get(b"/"))
    await connection.settle()
    assert connection.channel.is_aborted


# Streams


def streaming(connection: Connection, stream: Stream, length: int | None = None) -> None:
    async def handler(_request: Request) -> Response:
        return response(stream, length=length)

    connection.application.handler = handler


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


# Ends


async def test_connection_close_is_obeyed_and_announced(connection: Connection) -> None:
    connection.receive(get(b"/hit", b"connection: close") + get(b"/hit"))
    assert connection.sent == LAST
    assert connection.channel.is_closed


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (get(b"/hit", b"a : b"), 400, "field"),
        (get(b"/#"), 400, "target"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version"),
        (b"\x16\x03\x01\x02\x00", 400, "syntax"),
        (b"\r\n" * 9, 400, "empty-lines"),
    ],
)
async def test_what_is_no_request_is_refused_in_its_turn(
    connection: Connection, data: bytes, status: int, reason: str
) -> None:
    connection.receive(get(b"/hit") + data)
    assert connection.sent.startswith(HELLO)
    assert connection.statuses == [200, status]
    assert b"\r\ndate: Tue, 14 Nov 2023 22:13:20 GMT\r\n" in connection.sent
    assert b"\r\nconnection: close\r\n" in connection.sent
    assert connection.channel.is_closed
    assert connection.refusals == [reason]
    connection.receive(get(b"/hit"))
    assert connection.application.targets == [b"/hit"]


async def test_a_connection_ends_after_so_many_requests() -> None:
    connection = Connection(limits=Limits(requests_per_connection_max=2))
    connection.receive(get(b"/hit") * 3)
    assert connection.sent == HELLO + LAST


async def test_a_connection_ends_after_so_long(connection: Connection) -> None:
    connection.clock.advance(3600)
    connection.receive(get(b"/hit") * 2)
    assert connection.sent == LAST


async def test_a_half_closed_connection_gets_its_answers(connection: Connection) -> None:
    gate = asyncio.Event()

    async def slow(_request: Request) -> Response:
        await gate.wait()
        return response()

    connection.application.handler = slow
    connection.receive(get(b"/slow") + get(b"/hit") + b"GET /hit")
    connection.session.peer_closed()
    await connection.settle()
    assert not connection.channel.is_closed
    gate.set()
    await connection.settle()
    assert connection.sent == HELLO * 2
    assert connection.channel.is_closed
    connection.session.peer_closed()


async def test_an_idle_connection_closes_with_its_peer(connection: Connection) -> None:
    connection.session.peer_closed()
    assert connection.channel.is_closed


async def test_content_that_is_cut_off_fails_for_the_application(connection: Connection) -> None:
    connection.application.handler = read_all
    connection.receive(post(b"/", b"hello")[:-1])
    await connection.settle()
    connection.session.peer_closed()
    await connection.settle()
    assert connection.statuses == [400]
    assert connection.sent.endswith(b"incomplete-content")
    assert connection.channel.is_closed


async def test_unread_content_that_is_cut_off_closes(connection: Connection) -> None:
    connection.receive(post(b"/", b"hello")[:-1])
    await connection.settle()
    assert not connection.channel.is_closed
    connection.session.peer_closed()
    assert connection.channel.is_closed


async def test_losing_the_connection_fails_the_content(connection: Connection) -> None:
    caught: list[DownstreamError] = []

    async def handler(request: Request) -> Response:
        try:
            await asyncio.Event().wait()
        finally:
            try:
                await anext(request.body)
            except DownstreamError as error:
                caught.append(error)
        raise AssertionError

    connection.application.handler = handler
    connection.receive(post(b"/", b"hello")[:-1])
    await connection.settle()
    connection.session.lost()
    await connection.settle()
    assert [error.reason for error in caught] == ["client-disconnected"]


async def test_draining_closes_an_idle_connection(connection: Connection) -> None:
    connection.receive(get(b"/hit"))
    connection.session.drain()
    assert connection.channel.is_closed
    connection.session.drain()


async def test_draining_announces_the_end_in_the_response_that_is_due(
    connection: Connection,
) -> None:
    connection.receive(get(b"/hit")[:-2])
    connection.session.drain()
    assert not connection.channel.is_closed
    connection.receive(b"\r\n" + get(b"/hit"))
    assert connection.sent == LAST
    assert connection.channel.is_closed


async def test_draining_ends_after_a_response_that_has_begun() -> None:
    connection = Connection(pause_after=1)
    connection.application.hits[b"/hit"] = response(bytes(600_000))
    connection.receive(get(b"/hit") * 2)
    connection.session.drain()
    while not connection.channel.is_closed:
        connection.drained()
    assert connection.application.ended == [(b"/hit", 600_000, True)]


async def test_draining_does_not_wait_for_unread_content(connection: Connection) -> None:
    connection.receive(post(b"/", b"hello")[:-1])
    await connection.settle()
    connection.session.drain()
    assert connection.channel.is_closed


async def test_reading_resumes_before_the_end_so_that_the_peer_s_is_seen() -> None:
    connection = Connection(limits=Limits(request_body_buffer_bytes=10))
    connection.receive(get(b"/", b"connection: close") + get(b"/hit") * 9)
    assert not connection.channel.is_reading
    await connection.settle()
    assert connection.channel.is_closed
    assert connection.channel.is_reading


# Deadlines


async def test_an_idle_connection_is_closed_silently(connection: Connection) -> None:
    connection.receive(get(b"/hit"))
    connection.tick_after(59)
    assert not connection.channel.is_closed
    connection.tick_after(1)
    assert connection.channel.is_closed
    assert connection.sent == HELLO
    connection.tick_after(1)


async def test_a_slow_head_is_refused(connection: Connection) -> None:
    connection.clock.advance(30)
    for byte in get(b"/hit")[:9]:
        connection.receive(bytes([byte]))
        connection.tick_after(1)
    assert not connection.channel.is_closed
    connection.tick_after(1)
    assert connection.statuses == [408]
    assert connection.refusals == ["slow-head"]
    assert connection.channel.is_closed


async def test_slow_content_fails_for_the_application(connection: Connection) -> None:
    connection.application.handler = read_all
    connection.receive(get(b"/", b"content-length: 100000", method=b"POST"))
    await connection.settle()
    for _ in range(9):
        connection.tick_after(1)
        connection.receive(b"x" * 1000)
        await connection.settle()
    assert connection.sent == b""
    connection.tick_after(1)
    await connection.settle()
    assert connection.statuses == [408]
    assert connection.channel.is_closed


async def test_our_own_slowness_is_not_the_client_s(connection: Connection) -> None:
    gate = asyncio.Event()

    async def handler(request: Request) -> Response:
        await gate.wait()
        return await read_all(request)

    connection.application.handler = handler
    connection.receive(post(b"/", b"hello")[:-1])
    for _ in range(100):
        connection.tick_after(1)
    gate.set()
    await connection.settle()
    connection.receive(b"o")
    await connection.settle()
    assert connection.sent == HELLO


async def test_unread_content_is_not_waited_for_long(connection: Connection) -> None:
    connection.receive(post(b"/", b"hello")[:-1])
    await connection.settle()
    connection.tick_after(9)
    assert not connection.channel.is_closed
    connection.tick_after(1)
    assert connection.channel.is_closed


async def test_a_peer_that_takes_too_little_is_cut_off() -> None:
    connection = Connection(pause_after=1)
    connection.application.hits[b"/hit"] = response(bytes(1 << 20))
    connection.receive(get(b"/hit"))
    connection.tick_after(1)
    connection.drained()  # one slice is taken: at 1 KiB/s enough for 256 seconds
    connection.tick_after(255)
    assert not connection.channel.is_aborted
    connection.tick_after(2)
    assert connection.channel.is_aborted
    assert connection.refusals == ["slow-reader"]
    assert [ended[2] for ended in connection.application.ended] == [False]


async def test_losing_a_paused_connection_wakes_nobody() -> None:
    connection = Connection(limits=Limits(pipelined_requests_max=1))
    connection.receive(get(b"/hit") * 3)
    connection.session.writable()
    connection.session.lost()
    await connection.settle()
    assert len(connection.application.requests) == 2


async def test_refusals_need_not_be_heard() -> None:
    channel = FakeChannel()
    session = Http1Session(channel, FakeApplication(), ManualClock(), Limits())
    session.receive(b"nonsense\r\n\r\n")
    assert channel.is_closed


async def test_a_slow_answer_is_not_the_client_s_fault(connection: Connection) -> None:
    async def forever(_request: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    connection.application.handler = forever
    connection.receive(get(b"/"))
    await connection.settle()
    connection.tick_after(1000)
    assert not connection.channel.is_closed
    assert not connection.channel.is_aborted
