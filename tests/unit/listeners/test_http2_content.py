"""What clients send along with a request: who reads it, who does not, who waits for whom."""

import asyncio

import hyperframe.frame as oracle
import pytest

from edgeproxy.errors import DownstreamError
from edgeproxy.http.messages import Request, Response
from edgeproxy.wire.h2 import codes, frames
from tests.support.barrier import settle
from tests.support.h2_peer import data_frame
from tests.support.http1_session import response
from tests.support.http2_session import HIT, SessionPeer, pending


async def test_content_of_a_request_reaches_the_application(peer: SessionPeer):
    async def handler(request: Request) -> Response:
        assert request.body is not None
        return response(b"".join([chunk async for chunk in request.body]))

    peer.application.handler = handler
    peer.post(1, (b"content-length", b"6"))
    await peer.send(data_frame(1, b"abc")).settle()
    await peer.send(data_frame(1, b"def", end=True)).settle()
    assert peer.body(1) == b"abcdef"
    assert peer.application.requests[0].content_length == 6
    assert peer.resets == {}


async def test_window_opens_as_content_is_used(peer: SessionPeer):
    gate = asyncio.Event()

    async def handler(request: Request) -> Response:
        await gate.wait()
        assert request.body is not None
        return response(b"%d" % sum([len(chunk) async for chunk in request.body]))

    peer.application.handler = handler
    await peer.post(1).send(*[data_frame(1, bytes(16384))] * 4).settle()
    assert peer.of(oracle.WindowUpdateFrame)[1:] == []
    gate.set()
    await peer.settle()
    updates = peer.of(oracle.WindowUpdateFrame)
    assert sum(f.window_increment for f in updates if f.stream_id == 1) == 65536
    await peer.send(data_frame(1, b"x", end=True)).settle()
    assert peer.body(1) == b"65537"


async def read_and_count(request: Request) -> Response:
    size = 0
    async for chunk in request.body:
        size += len(chunk)
    return response(b"%d" % size)


def statuses(peer: SessionPeer) -> list[bytes]:
    peer.take()
    return [dict(f.fields)[b":status"] for f in peer.received if hasattr(f, "fields")]


@pytest.mark.parametrize("value", [b"100-continue", b"100-Continue"])
async def test_a_client_that_waits_is_told_to_go_on_once(peer: SessionPeer, value: bytes):
    peer.application.handler = read_and_count
    await peer.post(1, (b"expect", value)).settle()
    assert statuses(peer) == [b"100"]
    await peer.send(data_frame(1, b"abc")).settle()
    await peer.send(data_frame(1, b"def", end=True)).settle()
    assert statuses(peer) == [b"100", b"200"]
    assert peer.body(1) == b"6"


async def test_a_client_that_does_not_wait_is_told_nothing(peer: SessionPeer):
    peer.application.handler = read_and_count
    await peer.post(1, (b"expect", b"100-continue")).send(data_frame(1, b"abc")).settle()
    await peer.send(data_frame(1, end=True)).settle()
    assert statuses(peer) == [b"200"]


async def test_a_client_whose_content_nobody_wants_is_told_nothing(peer: SessionPeer):
    await peer.post(1, (b"expect", b"100-continue")).settle()
    assert statuses(peer) == [b"200"]


async def test_a_client_that_has_its_answer_is_not_asked_for_content(peer: SessionPeer):
    gate, tasks = asyncio.Event(), []

    async def read_late(request: Request) -> None:
        await gate.wait()
        with pytest.raises(DownstreamError):
            await anext(request.body)

    async def handler(request: Request) -> Response:
        tasks.append(asyncio.get_running_loop().create_task(read_late(request)))
        return response(b"enough")

    peer.application.handler = handler
    await peer.post(1, (b"expect", b"100-continue")).settle()
    gate.set()
    await peer.settle()
    assert statuses(peer) == [b"200"]
    assert tasks[0].done()


async def test_content_that_nobody_reads_is_refused_by_the_answer(peer: SessionPeer):
    await peer.post(1).send(data_frame(1, b"abc")).settle()
    assert peer.body(1) == b"hello"
    assert peer.resets == {1: codes.NO_ERROR}
    peer.send(data_frame(1, b"def", end=True))
    assert peer.goaway is None


async def test_a_reader_that_outlives_its_exchange_hears_the_end(peer: SessionPeer):
    errors: list[DownstreamError] = []

    async def upload(request: Request) -> None:
        assert request.body is not None
        try:
            async for _ in request.body:
                pass
        except DownstreamError as error:
            errors.append(error)

    async def handler(request: Request) -> Response:
        tasks.append(asyncio.get_running_loop().create_task(upload(request)))
        await settle()
        return response()

    tasks: list[asyncio.Task[None]] = []
    peer.application.handler = handler
    peer.post(1).send(data_frame(1, b"abc"))
    await peer.settle()
    assert [error.reason for error in errors] == ["response_complete"]
    await tasks[0]


@pytest.mark.parametrize("how", ["reset", "lost", "closed"])
async def test_a_reader_hears_that_the_client_has_gone(peer: SessionPeer, how: str):
    reasons: list[str] = []

    async def handler(request: Request) -> Response:
        assert request.body is not None
        try:
            async for _ in request.body:
                pass
        except DownstreamError as error:
            reasons.append(error.reason)
            raise asyncio.CancelledError from None
        raise AssertionError

    async def shielded(request: Request) -> Response:
        inner = asyncio.get_running_loop().create_task(handler(request))
        inners.append(inner)
        return await asyncio.shield(inner)

    inners: list[asyncio.Task[Response]] = []
    peer.application.handler = shielded
    await peer.post(1).send(data_frame(1, b"abc")).settle()
    if how == "reset":
        peer.send(frames.rst_stream_frame(1, codes.CANCEL))
    elif how == "lost":
        peer.session.lost()
    else:
        peer.session.peer_closed()
    await peer.settle()
    assert reasons == ["stream_reset"]
    assert inners[0].cancelled()


async def test_content_after_a_reset_credits_nothing_on_the_stream(peer: SessionPeer):
    bodies: list[object] = []

    async def handler(request: Request) -> Response:
        bodies.append(request.body)
        await asyncio.Event().wait()
        raise AssertionError

    peer.application.handler = handler
    await peer.post(1).send(*[data_frame(1, bytes(16384), end=n == 3) for n in range(4)]).settle()
    peer.send(frames.rst_stream_frame(1, codes.CANCEL))
    assert sum([len(chunk) async for chunk in bodies[0]]) == 65536
    assert peer.of(oracle.WindowUpdateFrame)[1:] == []
    peer.session.lost()


async def test_content_consumed_after_the_end_writes_nothing(peer: SessionPeer):
    pending(peer)
    await peer.post(1).send(data_frame(1, bytes(16384))).settle()
    peer.session.lost()
    sent = len(peer.channel.pending)
    peer.session._on_consumed(peer.connection.streams.get(1), 16384)
    assert len(peer.channel.pending) == sent
    await peer.settle()


async def test_a_slow_upload_is_given_up(peer: SessionPeer):
    async def handler(request: Request) -> Response:
        assert request.body is not None
        try:
            async for _ in request.body:
                pass
        except DownstreamError as error:
            return response(b"", status=error.status)
        raise AssertionError

    peer.application.handler = handler
    await peer.post(1).settle()
    for _ in range(12):
        peer.send(data_frame(1, b"x"))
        await peer.settle()
        peer.pass_time(1)
    await peer.settle()
    assert peer.status(1) == b"408"
    assert peer.resets == {1: codes.NO_ERROR}


async def test_a_section_over_the_limits_is_answered_431(peer: SessionPeer):
    peer.send(peer.headers(1, [*HIT, *[(b"name", b"value")] * 200]))
    assert peer.status(1) == b"431"
    assert peer.application.requests == []
    peer.send(peer.headers(3, [*HIT, *[(b"name", b"value")] * 200], end=False))
    assert peer.status(3) == b"431"
    assert peer.resets == {3: codes.NO_ERROR}
    peer.send(data_frame(3, b"abc", end=True))
    assert peer.goaway is None


async def test_a_target_over_the_limit_is_answered_414(peer: SessionPeer):
    fields = [(n, b"/" * 8193 if n == b":path" else v) for n, v in HIT]
    peer.send(peer.headers(1, fields))
    assert peer.status(1) == b"414"
    assert peer.application.requests == []
