"""What an HTTP/1.1 session makes of a byte stream does not depend on how it is cut."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeproxy.errors import DownstreamError
from edgeproxy.http.messages import Request, Response
from edgeproxy.wire.h1.chunked import ChunkedDecoder
from edgeproxy.wire.h1.encode import LAST_CHUNK, encode_chunk
from edgeproxy.wire.h1.reader import RequestReader
from edgeproxy.wire.limits import Limits
from tests.support.http1_session import Connection, response

TOKENS = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=12).map(str.encode)
VALUES = st.binary(max_size=30).map(
    lambda raw: bytes(byte for byte in raw if byte == 9 or 0x20 <= byte != 0x7F)
)
TARGETS = st.text('abc/?=&;%.~\\"|<>', max_size=30).map(lambda text: b"/" + text.encode())
RESERVED = {b"host", b"content-length", b"transfer-encoding", b"expect", b"connection"}
FIELDS = st.lists(
    st.tuples(TOKENS.filter(lambda name: name.lower() not in RESERVED), VALUES), max_size=6
)
CONTENT = st.one_of(
    st.none(), st.binary(max_size=60), st.lists(st.binary(min_size=1, max_size=20), max_size=4)
)


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes]:
    """Draw a request: its bytes, target, fields and content."""
    target, fields, content = draw(TARGETS), draw(FIELDS), draw(CONTENT)
    lines = [b"%b:%b%b" % (name, draw(st.sampled_from([b"", b" ", b"\t "])), value)
             for name, value in fields]  # fmt: skip
    seen = [(name.lower(), value.strip(b" \t")) for name, value in fields]
    body = b""
    if isinstance(content, bytes):
        lines.append(b"Content-Length: %d" % len(content))
        seen.append((b"content-length", b"%d" % len(content)))
        body = content
    elif content is not None:
        lines.append(b"Transfer-Encoding: chunked")
        seen.append((b"transfer-encoding", b"chunked"))
        body = b"".join(b"".join(encode_chunk(piece)) for piece in content) + LAST_CHUNK
        content = b"".join(content)
    empty = draw(st.sampled_from([b"", b"\r\n"]))
    data = b"\r\n".join([empty + b"POST " + target + b" HTTP/1.1", b"Host: a", *lines, b"", body])
    return data, target, seen, content or b""


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(edges)]


def read(pieces: list[bytes]) -> list[tuple[bytes, list[tuple[bytes, bytes]], bytes]]:
    reader = RequestReader(b"https", Limits())
    seen: list[tuple[bytes, list[tuple[bytes, bytes]], bytes]] = []
    for data in pieces:
        reader.feed(data)
        while True:
            content = reader.next_content()
            if content:
                target, fields, before = seen.pop()
                seen.append((target, fields, before + content))
            elif reader.is_in_content or (head := reader.next_head()) is None:
                break
            else:
                seen.append((head.target, head.fields, b""))
    assert reader.buffered == 0
    return seen


@given(st.lists(messages(), min_size=1, max_size=4), st.lists(st.integers(0, 4000), max_size=20))
def test_any_cut_gives_the_same_requests(drawn, places: list[int]) -> None:
    stream = b"".join(message[0] for message in drawn)
    expected = [message[1:] for message in drawn]
    assert read(cut(stream, places)) == expected


@given(messages())
@settings(max_examples=20)
def test_so_does_byte_by_byte(message) -> None:
    data = message[0]
    assert read([data[index : index + 1] for index in range(len(data))]) == [message[1:]]


class Serving:
    """A connection whose application answers with the content, at once or not."""

    def __init__(self) -> None:
        self.connection = Connection()
        self.connection.application.handler = self._echo

    async def _echo(self, request: Request) -> Response:
        try:
            content = [piece async for piece in request.body or _nothing()]
        except DownstreamError as error:
            return response(error.reason.encode(), status=error.status)
        return response(b"".join(content))

    async def serve(self, pieces: list[bytes]) -> bytes:
        for piece in pieces:
            self.connection.receive(piece)
            await asyncio.sleep(0)
        await self.connection.settle()
        self.connection.session.tick(self.connection.clock.monotonic())
        self.connection.session.peer_closed()
        await self.connection.settle()
        self.connection.session.lost()
        await self.connection.settle()
        return self.connection.sent


async def _nothing():
    return
    yield


@given(st.lists(messages(), max_size=3), st.lists(st.integers(0, 4000), max_size=8))
@settings(deadline=None, max_examples=50)
def test_the_answers_do_not_depend_on_the_cut_either(drawn, places: list[int]) -> None:
    stream = b"".join(message[0] for message in drawn)
    whole = asyncio.run(Serving().serve([stream]))
    assert asyncio.run(Serving().serve(cut(stream, places))) == whole
    assert whole.count(b"HTTP/1.1 200 OK\r\n") >= len(drawn)


FRAGMENTS = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b"GET", b"GET /hit HTTP/1.1\r\n", b"host: a\r\n",
     b"POST / HTTP/1.1\r\n", b"content-length: 3\r\n", b"transfer-encoding: chunked\r\n", b"3\r\n",
     b"abc", b"0\r\n\r\n", b"\r\n\r\n", b"expect: 100-continue\r\n", b"connection: close\r\n",
     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01",
     b"upgrade: h2c\r\nconnection: upgrade\r\n"]
)  # fmt: skip


@given(st.lists(st.one_of(FRAGMENTS, FRAGMENTS, FRAGMENTS, st.binary(max_size=20)), max_size=30))
@settings(deadline=None, max_examples=150)
def test_arbitrary_bytes_never_raise(pieces: list[bytes]) -> None:
    asyncio.run(Serving().serve([piece for piece in pieces if piece]))


@given(st.binary(max_size=200), st.lists(st.integers(0, 400), max_size=6))
def test_chunks_decode_the_same_or_not_at_all(data: bytes, places: list[int]) -> None:
    def decode(pieces: list[bytes]) -> tuple[bytes, bool] | None:
        decoder, buffer, position, content = ChunkedDecoder(), b"", 0, b""
        try:
            for piece in pieces:
                buffer += piece
                found, position = decoder.decode(buffer, position)
                content += found
        except DownstreamError:
            return None
        return content, decoder.is_complete

    stream = b"5;x\r\n01234\r\n" + data
    assert decode(cut(stream, places)) == decode([stream])


@pytest.mark.parametrize("places", [[], [3], [1, 2, 3]])
def test_cutting_loses_nothing(places: list[int]) -> None:
    assert b"".join(cut(b"abcdef", places)) == b"abcdef"
