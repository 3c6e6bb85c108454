"""Answers in memory and answers that take time."""

import asyncio

from edgeproxy.http.messages import Request, Response
from edgeproxy.wire.limits import Limits
from tests.support.http1_session import (
    HELLO,
    Connection,
    Stream,
    get,
    response,
)

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


async def test_who_asks_again_before_its_turn_has_come_waits_for_it() -> None:
    connection = Connection(limits=Limits(pipelined_requests_max=4))
    connection.receive(get(b"/hit") * 5)
    connection.receive(get(b"/hit"))
    assert len(connection.application.requests) == 4
    await connection.settle()
    assert len(connection.application.requests) == 6
    assert connection.sent == HELLO * 6


async def test_a_task_begins_in_its_turn_and_not_for_who_has_gone() -> None:
    connection = Connection()
    started: list[Request] = []

    async def handler(request: Request) -> Response:
        started.append(request)
        return response()

    connection.application.handler = handler
    connection.channel.holds_starts = True
    connection.receive(get(b"/miss"))
    await connection.settle()
    assert len(started) == 1
    connection.receive(get(b"/miss"))
    connection.session.lost()
    await connection.settle()
    assert len(started) == 1


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
