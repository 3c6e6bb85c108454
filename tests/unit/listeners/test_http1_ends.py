"""How and when a connection ends: by word, by its peer, by draining, by a deadline."""

import asyncio

import pytest

from edgeproxy.errors import DownstreamError
from edgeproxy.http.messages import Request, Response
from edgeproxy.listeners.http1 import FIRST_REQUEST_SECONDS, Http1Session
from edgeproxy.wire.limits import Limits
from tests.support.clock import ManualClock
from tests.support.http1_session import (
    HELLO,
    LAST,
    Connection,
    FakeApplication,
    FakeChannel,
    get,
    post,
    read_all,
    response,
)

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


async def test_draining_leaves_a_new_connection_a_moment_for_its_request(
    connection: Connection,
) -> None:
    connection.session.drain()
    connection.tick_after(FIRST_REQUEST_SECONDS / 2)
    assert not connection.channel.is_closed
    connection.receive(get(b"/hit"))
    assert connection.sent == LAST
    assert connection.channel.is_closed
    unused = Connection()
    unused.session.drain()
    unused.tick_after(FIRST_REQUEST_SECONDS)
    assert (unused.sent, unused.channel.is_closed) == (b"", True)


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
