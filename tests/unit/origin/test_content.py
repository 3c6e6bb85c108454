"""Tests for edgeproxy/origin/content.py."""

import asyncio

import pytest

from edgeproxy.errors import UpstreamError
from edgeproxy.origin.content import PIECE_BYTES_MAX
from tests.support.barrier import Barrier, settle
from tests.support.outbound import content_of, origin_client, outbound


async def broken_off(response):
    with pytest.raises(UpstreamError) as caught:
        await content_of(response)
    with pytest.raises(StopAsyncIteration):
        await anext(aiter(response.body))
    return caught.value


async def test_pieces_come_as_they_arrive_and_are_bounded(origin, client):
    body = bytes(300_000)
    origin.on("GET", "/").reply(body=[b"first", body]).pause(1, gate := Barrier())
    response = await client.fetch(outbound())
    pieces = aiter(response.body)
    assert await anext(pieces) == b"first"
    gate.open()
    rest = [piece async for piece in pieces]
    assert max(map(len, rest)) <= PIECE_BYTES_MAX
    assert b"".join(rest) == body


async def test_a_reader_that_stops_stops_the_origin(origin, client):
    chunk = bytes(64 * 1024)
    # More than the socket buffers of both ends take; the last chunk is not to be reached.
    origin.on("GET", "/").reply(body=[chunk] * 400).pause(399, end := Barrier())
    response = await client.fetch(outbound())
    left = 399 * len(chunk)
    await settle(1000)
    assert end.waiting == 0
    while left:
        left -= len(await anext(aiter(response.body)))
    await end.reached()
    await response.body.aclose()


@pytest.mark.parametrize("reset", [False, True])
async def test_a_cut_before_the_announced_length(origin, client, reset):
    origin.on("GET", "/").reply(body=[b"abc", b"def"]).cut(1, reset=reset)
    response = await client.fetch(outbound())
    error = await broken_off(response)
    assert (error.word, error.status) == ("http_response_incomplete", 502)


@pytest.mark.parametrize("reset", [False, True])
async def test_a_cut_before_the_last_chunk(origin, client, reset):
    origin.on("GET", "/").reply(body=[b"abc", b"def"]).chunked().cut(1, reset=reset)
    response = await client.fetch(outbound())
    assert (await broken_off(response)).word == "http_response_incomplete"


async def test_a_reset_never_looks_like_an_end(origin, client):
    origin.on("GET", "/").reply(body=[b"abc", b"def"]).until_close().cut(1, reset=True)
    response = await client.fetch(outbound())
    assert (await broken_off(response)).word == "http_response_incomplete"


async def test_content_that_stops_coming(origin):
    origin.on("GET", "/").reply(body=[b"a", b"b"]).pause(1, Barrier())
    client = origin_client(origin.settings(between_bytes_timeout_seconds=0.05))
    error = await broken_off(await client.fetch(outbound()))
    assert (error.word, error.status) == ("connection_read_timeout", 504)
    await origin.connections_closed()
    await client.aclose()


async def test_content_that_never_ends(origin):
    origin.on("GET", "/").reply(body=[b"a", b"b"]).pause(1, Barrier())
    client = origin_client(origin.settings(total_timeout_seconds=0.1))
    error = await broken_off(await client.fetch(outbound()))
    assert (error.word, error.status) == ("http_response_timeout", 504)
    await client.aclose()


async def test_giving_up_aborts_the_connection(origin, client):
    origin.on("GET", "/").reply(body=[b"a", b"b"]).pause(1, Barrier())
    response = await client.fetch(outbound())
    assert await anext(aiter(response.body)) == b"a"
    await response.body.aclose()
    await response.body.aclose()
    await origin.connections_closed()
    assert await content_of(response) == b""


async def test_giving_up_unread_aborts_the_connection_too(origin, client):
    origin.on("GET", "/").reply(body=[b"a", b"b"]).pause(1, Barrier())
    await (await client.fetch(outbound())).body.aclose()
    await origin.connections_closed()


async def test_giving_up_after_the_end_keeps_the_connection(origin, client):
    origin.on("GET", "/").reply(body=b"a")
    response = await client.fetch(outbound())
    await content_of(response)
    await response.body.aclose()
    await client.fetch(outbound())
    assert origin.connections == 1


async def test_cancelling_a_reader_aborts_the_connection(origin, client):
    origin.on("GET", "/").reply(body=[b"a", b"b"]).pause(1, gate := Barrier())
    response = await client.fetch(outbound())
    reading = asyncio.ensure_future(content_of(response))
    await gate.reached()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await origin.connections_closed()


async def test_a_response_that_is_forgotten_leaks_no_connection(origin):
    origin.on("GET", "/").reply(body=[b"a", b"b"]).pause(1, Barrier())
    client = origin_client(origin.settings(connections_max=1))
    for _ in range(3):
        response = await client.fetch(outbound())
        del response
    await client.aclose()
