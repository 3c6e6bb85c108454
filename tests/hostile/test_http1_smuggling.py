"""Requests that two parsers could read differently: each is refused, and nothing behind it runs.

Every vector carries a second request, `GET /hit-smuggled`, where a lenient parser would find one.
"""

import asyncio

import pytest

from edgeproxy.http.messages import Request, Response
from tests.support.http1_session import Connection, response

SMUGGLED = b"GET /hit-smuggled HTTP/1.1\r\nhost: a\r\n\r\n"


def head(*lines: bytes, line: bytes = b"POST / HTTP/1.1") -> bytes:
    return b"\r\n".join([line, b"host: a", *lines, b"", b""])


CL_TE = [
    head(b"content-length: 4", b"transfer-encoding: chunked") + b"0\r\n\r\n",
    head(b"transfer-encoding: chunked", b"content-length: 4") + b"0\r\n\r\n",
    head(b"content-length: 0", b"transfer-encoding: chunked") + b"0\r\n\r\n",
    head(b"content-length: 5", b"transfer-encoding:\tchunked\t") + b"0\r\n\r\n",
    head(b"content-length: 5", b"transfer-encoding: identity") + b"0\r\n\r\n",
]
TE_TE = [
    head(b"transfer-encoding: chunked", b"transfer-encoding: x"),
    head(b"transfer-encoding: x", b"transfer-encoding: chunked"),
    head(b"transfer-encoding: xchunked"),
    head(b"transfer-encoding : chunked"),
    head(b"transfer-encoding: \x0bchunked"),
    head(b"transfer-encoding: chunked\x0c"),
    head(b"transfer-encoding:\x00chunked"),
    head(b"transfer-encoding: chunk", b" ed"),
    head(b"transfer-encoding:", b" chunked"),
    head(b" transfer-encoding: chunked"),
    head(b"x: y\ntransfer-encoding: chunked"),
    head(b"x: y\rtransfer-encoding: chunked"),
    head(b"transfer-encoding\x0b: chunked"),
    head(b"transfer-encoding: chunked;a=b"),
    head(b"transfer-encoding: 'chunked'"),
    head(b'transfer-encoding: "chunked"'),
    head(b"transfer-encoding: chun\xc4\xb8ed"),
    head(b"transfer-encoding: chunked, chunked"),
    head(b"transfer-encoding: ,chunked"),
    head(b"transfer-encoding: chunked,"),
    head(b"transfer-encoding: cow, chunked"),
    head(b"transfer-encoding:"),
    head(b"transfer-encoding: chunked", line=b"POST / HTTP/1.0"),
]
LENGTHS = [
    head(b"content-length: " + value) + b"12345"
    for value in (
        b"+5", b"-5", b"5, 5", b"5,6", b"5 5", b"0x5", b"5_0", b"5.0", b"5e0", b"", b"5;", b"5\x0b",
        b"\xd9\xa5", b"\xb2", b"9" * 19, b"99999999999999999999999", b"18446744073709551621",
    )
] + [
    head(b"content-length: 5", b"content-length: 5") + b"12345",
    head(b"content-length: 5", b"content-length: 0") + b"12345",
    head(b"content-length: 0", b"Content-Length: 5") + b"12345",
    head(b"content-length : 5") + b"12345",
    head(b"content-length", b"x: 5") + b"12345",
    head(b"content-length: 5", b" 0") + b"12345",
]  # fmt: skip
LINES = [
    b"POST / HTTP/1.1\nhost: a\n\n",
    b"POST / HTTP/1.1\r\nhost: a\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\n\n",
    b"POST / HTTP/1.1\nhost: a\r\n\r\n",
    b"POST / HTTP/1.1\rhost: a\r\r",
    b"POST / HTTP/1.1\r\n\x20\r\nhost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\n\x20\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\nGET / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n",
    b"POST  / HTTP/1.1\r\nhost: a\r\n\r\n",
    b"POST /\x0bHTTP/1.1\r\nhost: a\r\n\r\n",
    b"POST / x HTTP/1.1\r\nhost: a\r\n\r\n",
    b"POST / HTTP/1.1x\r\nhost: a\r\n\r\n",
    b"POST / HTTP/1.1 HTTP/1.1\r\nhost: a\r\n\r\n",
    b"POST / HTTP/01.1\r\nhost: a\r\n\r\n",
    b"POST / HTTP/1.01\r\nhost: a\r\n\r\n",
    b"POST / HTTP/0.9\r\nhost: a\r\n\r\n",
    b"POST /\r\n\r\n",
    b"\x00POST / HTTP/1.1\r\nhost: a\r\n\r\n",
    b"POST\x00 / HTTP/1.1\r\nhost: a\r\n\r\n",
    b"POST /\xff HTTP/1.1\r\nhost: a\r\n\r\n",
    b"POST /a\x7f HTTP/1.1\r\nhost: a\r\n\r\n",
    b"POST /a#b HTTP/1.1\r\nhost: a\r\n\r\n",
]
HOSTS = [
    b"GET / HTTP/1.1\r\n\r\n",
    head(b"host: a", line=b"GET / HTTP/1.1"),
    head(b"Host: b", line=b"GET / HTTP/1.1"),
    head(b"host : b", line=b"GET / HTTP/1.1"),
    b"GET / HTTP/1.1\r\nhost: a, b\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a@b\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a/b\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost:\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\n b\r\n\r\n",
    head(line=b"GET https://a@b/ HTTP/1.1"),
    head(line=b"GET https:///x HTTP/1.1"),
    head(line=b"GET http://a/ HTTP/1.1"),
    head(line=b"GET ftp://a/ HTTP/1.1"),
    head(line=b"GET a:443 HTTP/1.1"),
    head(line=b"GET @a HTTP/1.1"),
    head(line=b"GET * HTTP/1.1"),
]


@pytest.mark.parametrize("vector", [*CL_TE, *TE_TE, *LENGTHS, *LINES, *HOSTS])
async def test_an_ambiguous_request_ends_the_connection(vector: bytes) -> None:
    connection = Connection()
    connection.receive(vector + SMUGGLED)
    await connection.settle()
    assert connection.application.requests == []
    assert len(connection.statuses) == 1
    assert 400 <= connection.statuses[0] <= 505
    assert connection.channel.is_closed
    assert len(connection.refusals) == 1


CHUNKS = [
    b"5 \r\n12345\r\n0\r\n\r\n",
    b" 5\r\n12345\r\n0\r\n\r\n",
    b"+5\r\n12345\r\n0\r\n\r\n",
    b"0x5\r\n12345\r\n0\r\n\r\n",
    b"5_0\r\n12345\r\n0\r\n\r\n",
    b"5\n12345\r\n0\r\n\r\n",
    b"5\r12345\r\n0\r\n\r\n",
    b"5\r\n12345\n0\r\n\r\n",
    b"5\r\n123456\r\n0\r\n\r\n",
    b"5\r\n12345XX0\r\n\r\n",
    b"5;\n12345\r\n0\r\n\r\n",
    b"5;a=b\n0\r\n\r\n",
    b"5;a\rb\r\n12345\r\n0\r\n\r\n",
    b'5;a="\n"\r\n12345\r\n0\r\n\r\n',
    b"10000000000000005\r\n12345\r\n0\r\n\r\n",
    b"-1\r\n12345\r\n0\r\n\r\n",
    b"\r\n5\r\n12345\r\n0\r\n\r\n",
    b"0\r\nx\r\n\r\n",
    b"0\r\nx : y\r\n\r\n",
    b"0\r\nx: y\n\r\n",
    b"0\n\r\n",
    b"0\r\n\n",
    b"0;" + b"a" * 5000,
]


@pytest.mark.parametrize("vector", CHUNKS)
@pytest.mark.parametrize("reads", [True, False])
async def test_doubtful_chunks_end_the_connection(vector: bytes, reads: bool) -> None:
    connection = Connection()

    async def handler(request: Request) -> Response:
        if reads:
            with pytest.raises(Exception, match="400"):
                _ = [piece async for piece in request.body]
        return response(b"sorry")

    connection.application.handler = handler
    connection.receive(head(b"transfer-encoding: chunked") + vector + SMUGGLED)
    await connection.settle()
    assert connection.application.targets == [b"/"]
    assert b"connection: close" in connection.sent
    assert connection.channel.is_closed


@pytest.mark.parametrize(
    "data",
    [
        head(b"content-length: %d" % len(SMUGGLED)) + SMUGGLED,
        head(b"transfer-encoding: chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED),
        head(b"content-length: %d" % len(SMUGGLED), line=b"GET / HTTP/1.1") + SMUGGLED,
        head(b"transfer-encoding: chunked") + b"0\r\nhost: b\r\ncontent-length: 9\r\n\r\n",
        head(b"content-length: %d" % len(SMUGGLED), b"upgrade: h2c", b"connection: upgrade")
        + SMUGGLED,
    ],
)
async def test_content_is_never_a_request(data: bytes) -> None:
    connection = Connection()
    connection.receive(data + b"GET /hit HTTP/1.1\r\nhost: a\r\n\r\n")
    await connection.settle()
    assert connection.application.targets == [b"/", b"/hit"]
    assert connection.application.requests[0].authority == b"a"
    assert connection.statuses == [200, 200]


async def test_an_upgrade_is_ignored() -> None:
    connection = Connection()
    upgrade = (b"connection: upgrade, http2-settings", b"upgrade: h2c", b"http2-settings: AAMAAABk")
    connection.receive(head(*upgrade, line=b"GET /hit HTTP/1.1") * 2)
    assert connection.statuses == [200, 200]


async def test_the_authority_of_an_absolute_target_replaces_host() -> None:
    connection = Connection()
    connection.receive(head(line=b"GET https://b:8443/hit HTTP/1.1"))
    assert connection.application.requests[0].authority == b"b:8443"
    assert connection.application.requests[0].fields == []


async def test_a_request_behind_an_expectation_that_was_not_met_is_not_run() -> None:
    """The client may send its content although it got an answer: those bytes are no request."""
    connection = Connection()
    connection.receive(head(b"expect: 100-continue", b"content-length: 40"))
    await connection.settle()
    connection.receive(SMUGGLED)
    await connection.settle()
    assert connection.application.targets == [b"/"]
    assert connection.channel.is_closed


async def test_an_endless_head_holds_little() -> None:
    connection = Connection()
    connection.receive(b"GET / HTTP/1.1\r\n")
    for _ in range(200):
        connection.receive(b"x: " + b"y" * 200 + b"\r\n")
    assert connection.statuses == [431]


async def test_a_pipeline_flood_is_read_no_faster_than_it_is_answered() -> None:
    connection = Connection()
    flood = b"GET /hit HTTP/1.1\r\nhost: a\r\n\r\n" * 5000
    connection.receive(flood)
    assert not connection.channel.is_reading
    assert len(connection.application.requests) <= 16
    await asyncio.sleep(0)
    assert len(connection.application.requests) <= 32
    connection.session.lost()
