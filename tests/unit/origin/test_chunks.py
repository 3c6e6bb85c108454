"""Tests for edgeproxy/origin/chunks.py."""

import pytest

from edgeproxy.errors import UpstreamError
from edgeproxy.origin.chunks import ChunkWalker

WHOLE = b"3\r\nabc\r\n8;x\r\n12345678\r\n0\r\nDigest: x\r\nServer-Timing:  a \r\n\r\n"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 100])
def test_the_end_is_found_however_it_comes(size):
    walker, data, chunks, at = ChunkWalker(), WHOLE + b"rest", b"", 0
    while not walker.is_complete:
        segment = data[at : at + size]
        chunks_end, end = walker.walk(segment)
        assert 0 <= chunks_end <= end <= len(segment)
        assert end == len(segment) or walker.is_complete
        chunks += segment[:chunks_end]
        at += end
    assert at == len(WHOLE)
    assert chunks == WHOLE[: WHOLE.index(b"Digest")]
    assert walker.trailers == [(b"digest", b"x"), (b"server-timing", b"a")]


def walk_all(data, size):
    walker = ChunkWalker()
    for at in range(0, len(data), size):
        walker.walk(data[at : at + size])


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"3\nabc\n0\n\n", "http_protocol_error"),
        (b"3 \r\nabc\r\n", "http_protocol_error"),
        (b"2\r\nabc\r\n", "http_protocol_error"),
        (b"0\r\na: b\nc: d\r\n\r\n", "http_protocol_error"),
        (b"0\r\na: b\x00\r\n\r\n", "http_protocol_error"),
        (b"0\r\na: b\rc: d\r\n\r\n", "http_protocol_error"),
        (b"0\r\na : b\r\n\r\n", "http_protocol_error"),
        (b"0\r\n a: b\r\n\r\n", "http_protocol_error"),
        (b"0\r\na: " + b"b" * 9000 + b"\r\n\r\n", "http_response_trailer_section_size"),
        (b"0\r\n" + b"a: b\r\n" * 2000 + b"\r\n", "http_response_trailer_section_size"),
    ],
)
def test_what_is_not_believed(data, word, size):
    with pytest.raises(UpstreamError) as caught:
        walk_all(data, size)
    assert (caught.value.word, caught.value.status) == (word, 502)


def test_content_is_not_kept():
    walker = ChunkWalker()
    walker.walk(b"ffff\r\n" + bytes(30_000))
    assert walker._line == b""
