"""Origins that frame their responses in two ways at once, or not at all (vectors 13 and 14).

Whatever a vector is, the same must hold: no response or a broken-off one, with the origin to blame
(502); the connection is not used again; the next request is answered from a new one, unharmed.
"""

import pytest

from edgeproxy.errors import UpstreamError
from tests.support.barrier import settle
from tests.support.origin import ScriptedOrigin
from tests.support.outbound import content_of, origin_client, outbound

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n"

VECTORS = {
    # two framings
    "length and chunked": CHUNKED + b"content-length: 2\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "chunked and length": OK
    + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "two lengths": OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nhi!",
    "two lengths in one line": OK + b"content-length: 2, 3\r\n\r\nhi!",
    "gzip and chunked": OK + b"transfer-encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "chunked twice": CHUNKED + b"transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "chunked by another name": OK + b"transfer-encoding: xchunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "chunked behind a vertical tab": OK
    + b"transfer-encoding: \x0bchunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": b"HTTP/1.0 200 OK\r\n"
    b"transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    # lengths that are no numbers
    "a signed length": OK + b"content-length: +2\r\n\r\nhi",
    "a negative length": OK + b"content-length: -2\r\n\r\nhi",
    "a length with an underscore": OK + b"content-length: 1_0\r\n\r\nhi",
    "a hexadecimal length": OK + b"content-length: 0x2\r\n\r\nhi",
    "an empty length": OK + b"content-length:\r\n\r\nhi",
    "a length beyond all bounds": OK + b"content-length: " + b"9" * 40 + b"\r\n\r\nhi",
    # chunks that are none
    "a chunk size that is no number": CHUNKED + b"\r\nzz\r\nhi\r\n0\r\n\r\n",
    "a signed chunk size": CHUNKED + b"\r\n+2\r\nhi\r\n0\r\n\r\n",
    "a negative chunk size": CHUNKED + b"\r\n-2\r\nhi\r\n0\r\n\r\n",
    "a chunk size beyond all bounds": CHUNKED + b"\r\n" + b"f" * 32 + b"\r\nhi\r\n0\r\n\r\n",
    "a chunk longer than announced": CHUNKED + b"\r\n2\r\nhi!\r\n0\r\n\r\n",
    "chunk lines ended by LF": CHUNKED + b"\r\n2\nhi\n0\n\n",
    # not HTTP/1
    "HTTP/0.9": b"<html>hello</html>\r\n\r\n",
    "another version": b"HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nhi",
    "an older version": b"HTTP/0.9 200 OK\r\ncontent-length: 2\r\n\r\nhi",
    "another protocol": b"ICY 200 OK\r\ncontent-length: 2\r\n\r\nhi",
    # status
    "status 99": b"HTTP/1.1 99 X\r\ncontent-length: 2\r\n\r\nhi",
    "status 099": b"HTTP/1.1 099 X\r\ncontent-length: 2\r\n\r\nhi",
    "status 000": b"HTTP/1.1 000 X\r\ncontent-length: 2\r\n\r\nhi",
    "status 600": b"HTTP/1.1 600 X\r\ncontent-length: 2\r\n\r\nhi",
    "status 1000": b"HTTP/1.1 1000 X\r\ncontent-length: 2\r\n\r\nhi",
    "status 2x0": b"HTTP/1.1 2x0 X\r\ncontent-length: 2\r\n\r\nhi",
    "an upgrade nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n",
    "nothing but interim responses": b"HTTP/1.1 102 Processing\r\n\r\n" * 500,
    # responses that split
    "a bare LF": OK + b"x: a\nset-cookie: evil\r\ncontent-length: 2\r\n\r\nhi",
    "a bare CR": OK + b"x: a\rset-cookie: evil\r\ncontent-length: 2\r\n\r\nhi",
    "NUL": OK + b"x: a\x00b\r\ncontent-length: 2\r\n\r\nhi",
    "a bell": OK + b"x: a\x07b\r\ncontent-length: 2\r\n\r\nhi",
    "a folded line": OK + b"x: a\r\n set-cookie: evil\r\ncontent-length: 2\r\n\r\nhi",
    "a first line that is folded": OK + b" x: a\r\ncontent-length: 2\r\n\r\nhi",
    "a space before the colon": OK + b"content-length : 2\r\n\r\nhi",
    "a space in a name": OK + b"x y: a\r\ncontent-length: 2\r\n\r\nhi",
    "an empty name": OK + b": a\r\ncontent-length: 2\r\n\r\nhi",
    "a line without colon": OK + b"x\r\ncontent-length: 2\r\n\r\nhi",
    "octets of another script in a name": OK + b"\xc3\xa9: a\r\ncontent-length: 2\r\n\r\nhi",
    # ends
    "an end among the fields": OK + b"content-length: 2\r\n",
    "an end within the content": OK + b"content-length: 5\r\n\r\nhi",
    "an end within a chunk": CHUNKED + b"\r\n5\r\nhi",
    "an end without last chunk": CHUNKED + b"\r\n2\r\nhi\r\n",
    "an end within the last chunk": CHUNKED + b"\r\n2\r\nhi\r\n0\r\n",
}


@pytest.fixture
async def origin():
    async with ScriptedOrigin() as scripted:
        yield scripted


@pytest.fixture
async def client(origin):
    made = origin_client(origin.settings())
    yield made
    await made.aclose()


async def blamed(client, method="GET"):
    """Fetch, expecting the origin to be blamed at the fields or within the content."""
    with pytest.raises(UpstreamError) as caught:
        await content_of(await client.fetch(outbound(method)))
    assert caught.value.status == 502
    return caught.value


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS.keys())
async def test_the_origin_is_blamed_and_the_connection_dropped(origin, client, vector):
    route = origin.on("GET", "/")
    route.raw(vector).cut(1)
    route.reply(body=b"unharmed")
    await blamed(client)
    await origin.connections_closed()
    assert await content_of(await client.fetch(outbound())) == b"unharmed"
    assert (origin.requests, origin.connections) == (2, 2)


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS.keys())
async def test_octet_by_octet_it_is_no_better(origin, client, vector):
    head, tail = vector[:-40], vector[-40:]
    origin.on("GET", "/").raw(head, *(tail[at : at + 1] for at in range(len(tail)))).cut(99)
    await blamed(client)
    await origin.connections_closed()


@pytest.mark.parametrize("extra", [b"x", b"\r\n\r\n", b"\x00" * 9, b"HTTP/1.1 200 OK\r\n"])
@pytest.mark.parametrize("at", [1, 20, 38, 39])
async def test_octets_behind_the_length_take_nothing_from_the_response(origin, client, extra, at):
    whole = OK + b"content-length: 2\r\n\r\nhi"
    assert len(whole) == 40
    route = origin.on("GET", "/")
    route.raw(whole[:at], whole[at:] + extra)
    for connections in (1, 2):
        assert await content_of(await client.fetch(outbound())) == b"hi"
        assert origin.connections == connections


async def fetched_or_blamed(client, request):
    """Fetch; stray octets in the same segment may end it at once, which is as good."""
    try:
        return await content_of(await client.fetch(request))
    except UpstreamError as error:
        return error.status


@pytest.mark.parametrize(
    "extra",
    [
        b"x",
        b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nEVIL",
        b"HTTP/1.1 200 OK\r\n",
        b"0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_octets_after_the_response_reach_nobody(origin, client, extra, is_chunked):
    route = origin.on("GET", "/")
    reply = route.reply(body=[b"he", b"llo"])
    if is_chunked:
        reply.chunked()
    reply.followed_by(extra)
    route.reply(body=b"unharmed")
    assert await fetched_or_blamed(client, outbound()) in {b"hello", 502}
    await settle()  # what was sent has arrived; nobody has looked at it yet
    assert await content_of(await client.fetch(outbound())) == b"unharmed"


@pytest.mark.parametrize("is_split", [False, True])
@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("extra", [b"EVIL", b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nEVIL"])
async def test_content_where_there_is_none_reaches_nobody(
    origin, client, method, head, extra, is_split
):
    route = origin.on(method, "/")
    route.raw(*([head, extra] if is_split else [head + extra]))
    origin.on("GET", "/next").reply(body=b"unharmed")
    assert await fetched_or_blamed(client, outbound(method)) in {b"", 502}
    await settle()
    assert await content_of(await client.fetch(outbound("GET", "/next"))) == b"unharmed"
    assert origin.connections == 2
