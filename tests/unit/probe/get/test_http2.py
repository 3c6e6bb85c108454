"""Tests for edgeproxy/probe/get/http2.py, with a server of the h2 library."""

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived

from tests.support.got import got
from tests.support.scripted import tls_script

OK = [(":status", "200"), ("x", "y")]


def answering(answer, seen=None):
    """Return who lets `answer(connection, stream_id)` speak once a request came."""

    async def speak(reader, writer):
        connection = H2Connection(H2Configuration(client_side=False, header_encoding="latin-1"))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, RequestReceived):
                    if seen is not None:
                        seen.append(event.headers)
                    raw = answer(connection, event.stream_id) or b""
                    writer.write(connection.data_to_send() + raw)
            writer.write(connection.data_to_send())

    return speak


async def test_a_whole_response(leaf):
    def answer(connection, stream):
        connection.send_headers(stream, [(":status", "103"), ("link", "</a>")])
        connection.send_headers(stream, OK)
        connection.send_data(stream, b"hello")
        connection.send_headers(stream, [("t", "1")], end_stream=True)

    seen = []
    async with tls_script(leaf, answering(answer, seen), "h2") as port:
        report, taken = await got(leaf, port, "h2", target="/x?y", fields=(("Accept", "*/*"),))
    assert (report.failure, report.protocol, taken) == ("", "h2", b"hello")
    assert report.answer.interim == [(103, (("link", "</a>"),))]
    assert (report.answer.fields, report.answer.trailers) == ((("x", "y"),), (("t", "1"),))
    assert seen[0] == [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", f"a.test:{port}"),
        (":path", "/x?y"),
        ("accept", "*/*"),
    ]


async def test_an_orderly_goodbye_lets_the_response_finish(leaf):
    def answer(connection, stream):
        connection.send_headers(stream, OK)
        before = connection.data_to_send()
        connection.send_data(stream, b"hello", end_stream=True)
        # h2 lets nobody send behind its own GOAWAY
        goaway = b"\0\0\x08\x07\0\0\0\0\0" + (1).to_bytes(4, "big") + bytes(4)
        return before + goaway + connection.data_to_send()

    async with tls_script(leaf, answering(answer), "h2") as port:
        report, taken = await got(leaf, port, "h2")
    assert (report.failure, taken) == ("", b"hello")


def reset(connection, stream):
    connection.send_headers(stream, OK)
    connection.reset_stream(stream, 2)


def going_away(connection, _stream):
    connection.close_connection(11)


def refusing(connection, _stream):
    connection.close_connection(0, last_stream_id=0)


def nonsense(_connection, _stream):
    return b"\0\0\1\0\0\0\0\0\0!"


def endless(_connection, _stream):
    return b"\xff\xff\xff" + bytes(30_000)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (reset, "reset the stream: INTERNAL_ERROR"),
        (going_away, "goes away: ENHANCE_YOUR_CALM"),
        (refusing, "goes away: NO_ERROR"),
        (nonsense, "no HTTP/2"),
        (endless, "no HTTP/2: a frame of more than 16 KiB"),
    ],
)
async def test_what_is_not_a_whole_response(leaf, answer, why):
    async with tls_script(leaf, answering(answer), "h2") as port:
        report, _ = await got(leaf, port, "h2")
    assert why in report.failure


async def test_a_connection_that_is_cut(leaf):
    async def speak(reader, writer):
        await reader.read(1)

    async with tls_script(leaf, speak, "h2") as port:
        report, _ = await got(leaf, port, "h2")
    assert report.failure == "the server closed the connection"
