"""Tests for edgeproxy/probe/stream.py, with real servers on loopback."""

import asyncio
import errno
import socket

import pytest

from edgeproxy.probe.offers import Contexts, Offer
from edgeproxy.probe.stream import TlsStream, words_of
from tests.support.ca import LocalCa
from tests.support.scripted import tls_script


@pytest.fixture(scope="module")
def leaf(tmp_path_factory):
    return LocalCa(tmp_path_factory.mktemp("stream")).issue("a.test")


async def shaken(port, bytes_max=1_000_000):
    connection, _ = Contexts(is_trusting=True).connection(Offer(), "a.test")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    stream = TlsStream(reader, writer, connection, bytes_max=bytes_max)
    await stream.shake_hands()
    return stream, writer


async def test_what_is_said_arrives_in_both_directions(leaf):
    async def speak(reader, writer):
        writer.write(await reader.readexactly(100_000))
        await writer.drain()

    async with tls_script(leaf, speak) as port:
        stream, writer = await shaken(port)
        await stream.send(b"")
        await stream.send(b"x" * 100_000)
        heard = b""
        while len(heard) < 100_000:
            heard += await stream.receive()
        assert heard == b"x" * 100_000
        stream.say_goodbye()
        writer.close()
        await writer.wait_closed()


async def test_a_server_that_sends_without_end(leaf):
    async def speak(_reader, writer):
        writer.write(bytes(1_000_000))
        await writer.drain()

    async with tls_script(leaf, speak) as port:
        stream, writer = await shaken(port, bytes_max=100_000)

        async def read_on():
            while await stream.receive():
                pass

        with pytest.raises(EOFError, match="without end"):
            await read_on()
        writer.transport.abort()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "name or service not known"),
        (socket.gaierror(), "the name is not known"),
        (EOFError("gone"), "gone"),
        (EOFError(), "the connection broke off"),
    ],
)
def test_what_went_wrong_in_words(error, words):
    assert words_of(error) == words
