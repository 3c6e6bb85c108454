import re

import pytest

from edgeproxy.wire.h1 import grammar


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\na:\r\nB: \t x y \t\r\nc:\xff\r\n\r\n",
        b"M-SEARCH * HTTP/9.9\r\n!#$%&'*+-.^_`|~: 1\r\n\r\n",
        b'GET /\\|<>"{} HTTP/1.1\r\n\r\n',
    ],
)
def test_head_accepts(head: bytes) -> None:
    assert grammar.HEAD.fullmatch(head)
    assert not grammar.FORBIDDEN.search(head)


@pytest.mark.parametrize(
    "head",
    [
        b"GET  / HTTP/1.1\r\n\r\n",
        b" GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1 \r\n\r\n",
        b"GET /\tHTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.10\r\n\r\n",
        b"GET / http/1.1\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET /\xc3\xa4 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n: x\r\n\r\n",
        b"GET / HTTP/1.1\r\na : x\r\n\r\n",
        b"GET / HTTP/1.1\r\n a: x\r\n\r\n",
        b"GET / HTTP/1.1\r\na: x\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\na\r\n\r\n",
        b"GET / HTTP/1.1\r\na: \x0b\r\n\r\n",
        b"GET / HTTP/1.1\r\na: \x7f\r\n\r\n",
        b"GET / HTTP/1.1\r\na: x\ry\r\n\r\n",
        b"GET / HTTP/1.1\r\na: x\nb: y\r\n\r\n",
        b"GET / HTTP/1.1\n\n",
    ],
)
def test_head_refuses(head: bytes) -> None:
    assert not grammar.HEAD.fullmatch(head)


@pytest.mark.parametrize("text", [b"\x16\x03\x01", b"a\nb", b"\n", b"a\rb", b"a\0", b"a\r\r\n"])
def test_forbidden_is_seen_before_the_head_is_whole(text: bytes) -> None:
    assert grammar.FORBIDDEN.search(text)


@pytest.mark.parametrize("text", [b"", b"GET", b"GET / HTTP/1.1\r", b"a\r\nb\r\n\r", b"\t \xff"])
def test_a_head_may_begin_like_this(text: bytes) -> None:
    assert not grammar.FORBIDDEN.search(text)


@pytest.mark.parametrize(
    "host", [b"a", b"A.b-c_d.", b"a:443", b"a:", b"[::1]", b"[::1]:8443", b"127.0.0.1:80"]
)
def test_host_accepts(host: bytes) -> None:
    assert grammar.HOST.fullmatch(host)


@pytest.mark.parametrize(
    "host",
    [b"", b":80", b"a b", b"a,b", b"u@a", b"a/b", b"a:b", b"a:123456", b"[::1", b"a?b", b"a#b",
     b"a%41", b"a\\b", b"\xe4", b"a:+80", "a:\N{ARABIC-INDIC DIGIT ONE}".encode()],
)  # fmt: skip
def test_host_refuses(host: bytes) -> None:
    assert not grammar.HOST.fullmatch(host)


@pytest.mark.parametrize("value", [b"0", b"007", b"9" * 18])
def test_content_length_accepts(value: bytes) -> None:
    assert grammar.CONTENT_LENGTH.fullmatch(value)


@pytest.mark.parametrize("value", [b"", b"+5", b"-1", b"5, 5", b"0x5", b"1_0", b"5 ", b"9" * 19])
def test_content_length_refuses(value: bytes) -> None:
    assert not grammar.CONTENT_LENGTH.fullmatch(value)


@pytest.mark.parametrize("line", [b"5\r\n", b"fF\r\n", b"5;a=b\r\n", b'0;a="b c"\r\n', b"5;\r\n"])
def test_chunk_line_accepts_and_so_does_its_beginning(line: bytes) -> None:
    assert grammar.CHUNK_LINE.fullmatch(line)
    assert all(grammar.CHUNK_LINE_BEGUN.fullmatch(line[:end]) for end in range(len(line) - 1))


@pytest.mark.parametrize(
    "line",
    [b"\r\n", b"5 \r\n", b" 5\r\n", b"+5\r\n", b"0x5\r\n", b"5 ;a\r\n", b"5\n", b"5;a\nb\r\n",
     b"-0\r\n", b"1_0\r\n", b"5,5\r\n", b"f" * 16 + b"\r\n", b";a\r\n", b"5;a\rb\r\n"],
)  # fmt: skip
def test_chunk_line_refuses(line: bytes) -> None:
    assert not grammar.CHUNK_LINE.fullmatch(line)
    assert not grammar.CHUNK_LINE_BEGUN.fullmatch(line)


def test_trailer_begins_like_a_field() -> None:
    line = b"a-b: c \xff\r\n"
    assert grammar.TRAILER.fullmatch(line)
    assert all(grammar.TRAILER_BEGUN.fullmatch(line[:end]) for end in range(len(line) - 1))
    assert not grammar.TRAILER_BEGUN.fullmatch(b" a")
    assert not grammar.TRAILER_BEGUN.fullmatch(b"a :")


def test_a_long_line_that_fails_at_its_end_takes_linear_time() -> None:
    head = b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000 + b"\0"
    assert grammar.HEAD.fullmatch(head) is None
    assert isinstance(grammar.HEAD, re.Pattern)
