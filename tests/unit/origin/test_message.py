"""Tests for edgeproxy/origin/message.py, and of the aiohttp internals that it relies on."""

import asyncio
import inspect

import aiohttp
import pytest
from aiohttp.http import StreamWriter

from edgeproxy.errors import UpstreamError
from edgeproxy.origin.asides import Asides
from edgeproxy.origin.message import OutboundMessage, take_over
from tests.support.barrier import Barrier
from tests.support.origin import ScriptedOrigin
from tests.support.outbound import origin_client, outbound, pieces


def message(content=None):
    return OutboundMessage(
        b"", content, None, write_timeout_seconds=1, on_sent=lambda: None, asides=Asides()
    )


class Wire:
    """Stands where a connection does, and remembers what was written."""

    transport = None
    _paused = False


def test_contract_the_writer_keeps_its_head_in_the_attributes_we_clear():
    writer = StreamWriter(Wire(), None)
    assert writer._headers_buf is None
    assert writer._headers_written is False
    assert writer.output_size == 0
    source = inspect.getsource(StreamWriter.write_eof) + inspect.getsource(StreamWriter.set_eof)
    assert "self._headers_buf and not self._headers_written" in source


async def test_contract_a_head_is_prepared_but_not_sent_before_the_content():
    writer = StreamWriter(Wire(), asyncio.get_running_loop())
    await writer.write_headers("GET / HTTP/1.1", {})
    assert writer._headers_buf
    assert writer.output_size == 0


async def test_no_second_head_is_ever_written():
    writer = StreamWriter(Wire(), asyncio.get_running_loop())
    writer.output_size = 1
    with pytest.raises(UpstreamError, match="a request head of its own"):
        take_over(writer)


async def test_foreign_connections_are_refused():
    with pytest.raises(UpstreamError, match="not a connection"):
        take_over(StreamWriter(Wire(), asyncio.get_running_loop()))


def test_it_is_an_empty_payload_to_aiohttp_until_it_is_written():
    made = message(pieces())
    assert (made.size, made.consumed, made.is_content_started) == (0, False, False)
    with pytest.raises(TypeError):
        made.decode()


async def test_nothing_of_aiohttps_own_head_reaches_the_wire():
    async with ScriptedOrigin() as origin:
        origin.on("POST", "/").reply()
        client = origin_client(origin.settings())
        await client.fetch(outbound("POST", body=pieces(b"abc")))
        head = origin.received[0].head.lower()
        for invented in (b"user-agent", b"accept", b"content-type", b"connection:"):
            assert invented not in head
        assert head.count(b"host:") == head.count(b"transfer-encoding:") == 1
        await client.aclose()


async def test_an_origin_that_does_not_read_is_given_up():
    async def plenty():
        while True:
            yield bytes(256 * 1024)

    async with ScriptedOrigin() as origin:
        origin.on("POST", "/").reply().early().hold(Barrier())
        client = origin_client(origin.settings(between_bytes_timeout_seconds=0.05))
        with pytest.raises(UpstreamError) as caught:
            await client.fetch(outbound("POST", body=plenty()))
        assert (caught.value.word, caught.value.status) == ("connection_write_timeout", 504)
        await client.aclose()


async def test_content_is_read_no_faster_than_the_origin_takes_it():
    given = 0

    async def counted():
        nonlocal given
        while True:
            given += 1
            yield bytes(256 * 1024)

    async with ScriptedOrigin() as origin:
        origin.on("POST", "/").reply().early().hold(gate := Barrier())
        client = origin_client(origin.settings())
        fetching = asyncio.ensure_future(client.fetch(outbound("POST", body=counted())))
        await gate.reached()
        for _ in range(1000):
            await asyncio.sleep(0)
        assert given < 100
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        await client.aclose()


def test_the_version_this_was_written_against():
    assert aiohttp.__version__.split(".")[:2] >= ["3", "12"]
