"""Tests for edgeproxy/probe/get/http1.py, with a server that says anything."""

import pytest

from tests.support.got import got
from tests.support.scripted import says, tls_script

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("octets", "content", "trailers"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", ()),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", b"hello", ()),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", ()),
        (
            CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\nt: 1\r\n\r\n",
            b"hello",
            (("t", "1"),),
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", ()),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b"", ()),
    ],
)
async def test_whole_responses(leaf, octets, content, trailers):
    async with tls_script(leaf, says(octets)) as port:
        report, taken = await got(leaf, port, "http/1.1")
    assert (report.failure, report.answer.is_whole, report.protocol) == ("", True, "http/1.1")
    assert (taken, report.answer.trailers) == (content, trailers)


async def test_the_head_of_a_long_response(leaf):
    octets = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    async with tls_script(leaf, says(octets)) as port:
        report, taken = await got(leaf, port, "http/1.1", method="HEAD")
    assert (report.failure, report.answer.is_whole, taken) == ("", True, b"")
    assert report.answer.fields == (("Content-Length", "5"),)


async def test_what_comes_before_the_response(leaf):
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    octets = hints + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    async with tls_script(leaf, says(octets)) as port:
        report, _ = await got(leaf, port, "http/1.1")
    assert report.answer.interim == [(103, (("Link", "</a>"),))]
    assert report.answer.status == 200


async def test_what_is_asked(leaf):
    heads = []

    async def speak(reader, writer):
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with tls_script(leaf, speak) as port:
        await got(leaf, port, "http/1.1", target="/x?y", fields=(("Accept", "*/*"),))
    assert heads[0] == (
        f"GET /x?y HTTP/1.1\r\nHost: a.test:{port}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    ).encode("ascii")


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n", "closed"),
        (b"HTTP/1.1 200 OK\r\n", "closed the connection"),
        (b"SSH-2.0-nothing\r\n\r\n", "no HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + bytes(2000), "more than 1000 octets"),
    ],
)
async def test_what_is_not_a_whole_response(leaf, octets, why):
    async with tls_script(leaf, says(octets)) as port:
        report, _ = await got(leaf, port, "http/1.1", octets_max=1000)
    assert why in report.failure
    assert not report.is_fine
