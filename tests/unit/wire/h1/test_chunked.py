import pytest

from edgeproxy.errors import DownstreamError
from edgeproxy.wire.h1.chunked import ChunkedDecoder


def decode(data: bytes) -> tuple[bytes, int, bool]:
    decoder = ChunkedDecoder()
    content, position = decoder.decode(data, 0)
    return content, position, decoder.is_complete


def decode_bytewise(data: bytes) -> tuple[bytes, int, bool]:
    """Feed one byte more each time, like a reader whose buffer grows."""
    decoder, content, position = ChunkedDecoder(), b"", 0
    for end in range(1, len(data) + 1):
        piece, position = decoder.decode(data[:end], position)
        content += piece
    return content, position, decoder.is_complete


both = pytest.mark.parametrize("decode", [decode, decode_bytewise])


@both
@pytest.mark.parametrize(
    ("data", "content"),
    [
        (b"0\r\n\r\n", b""),
        (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"1\r\na\r\n00000B\r\nbcdefghijkl\r\n0\r\n\r\n", b"abcdefghijkl"),
        (b'3;a;b="c d"\r\n\r\n1\r\n000;x\r\nt: v\r\nu:\r\n\r\n', b"\r\n1"),
    ],
)
def test_content(decode, data: bytes, content: bytes) -> None:
    assert decode(data) == (content, len(data), True)


def test_trailers_are_kept_apart() -> None:
    data = b"1\r\na\r\n0\r\nDigest:  x \t\r\na:\r\nDigest: y\r\n\r\n"
    decoder, position = ChunkedDecoder(), 0
    for end in range(1, len(data) + 1):
        _, position = decoder.decode(data[:end], position)
    assert decoder.trailers == [(b"digest", b"x"), (b"a", b""), (b"digest", b"y")]


def test_who_has_the_content_may_skip_it() -> None:
    decoder, data = ChunkedDecoder(), b"5\r\nab\r\nc\r\n0\r\na: b\r\n\r\nrest"
    assert decoder.skip(data[:5], 0) == 5
    begin = decoder.skip(data, 5)
    assert (begin, decoder.is_behind_content) == (data.index(b"a: b"), True)
    assert decoder.skip(data, begin) == len(data) - 4
    assert (decoder.is_complete, decoder.trailers) == (True, [(b"a", b"b")])


def test_what_follows_is_left_alone() -> None:
    assert decode(b"1\r\na\r\n0\r\n\r\nGET /") == (b"a", 11, True)


def test_a_chunk_is_handed_out_as_it_comes() -> None:
    assert decode(b"5\r\nab") == (b"ab", 5, False)
    assert decode(b"5\r\n") == (b"", 3, False)


def test_nothing_comes_after_the_end() -> None:
    decoder = ChunkedDecoder()
    decoder.decode(b"0\r\n\r\n", 0)
    assert decoder.decode(b"0\r\n\r\n1\r\na", 5) == (b"", 5)


@both
@pytest.mark.parametrize(
    "data",
    [
        b"g\r\n",
        b"\r\n",
        b" 3\r\nabc",
        b"3 \r\nabc",
        b"3\nabc",
        b"3\r\nabcd\r\n",
        b"3\r\nabc\n",
        b"3\r\nabc\rx",
        b"-3\r\n",
        b"0x3\r\n",
        b"fffffffffffffffff\r\n",
        b"3;a\nb\r\nabc",
        b"0\r\n a: b\r\n\r\n",
        b"0\r\na : b\r\n\r\n",
        b"0\r\nGET / HTTP/1.1\r\n\r\n",
        b"0\r\na: b\nc: d\r\n\r\n",
        b"0\r\n\n",
    ],
)
def test_malformed(decode, data: bytes) -> None:
    with pytest.raises(DownstreamError) as caught:
        decode(data)
    assert (caught.value.status, caught.value.close) == (400, True)


@both
def test_an_extension_is_bounded(decode) -> None:
    longest = b"1;" + b"a" * 1022 + b"\r\nx\r\n0\r\n\r\n"
    assert decode(longest) == (b"x", len(longest), True)
    with pytest.raises(DownstreamError):
        decode(b"1;" + b"a" * 1023 + b"\r\nx\r\n0\r\n\r\n")


@both
def test_a_line_without_end_is_bounded(decode) -> None:
    with pytest.raises(DownstreamError):
        decode(b"1;" + b"a" * 2000)


def test_extensions_are_bounded_together() -> None:
    with pytest.raises(DownstreamError, match="chunk-extensions"):
        decode((b"1;" + b"a" * 1000 + b"\r\nx\r\n") * 9)


@both
def test_trailers_are_bounded(decode) -> None:
    fits = b"0\r\n" + b"a: " + b"b" * 8000 + b"\r\n\r\n"
    assert decode(fits)[2]
    for trailers in (b"a: " + b"b" * 9000, (b"a: " + b"b" * 100 + b"\r\n") * 90):
        with pytest.raises(DownstreamError) as caught:
            decode(b"0\r\n" + trailers)
        assert caught.value.status == 431
