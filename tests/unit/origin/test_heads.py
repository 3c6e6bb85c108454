"""Tests for edgeproxy/origin/heads.py."""

import pytest

from edgeproxy.errors import UpstreamError
from edgeproxy.origin.heads import HeadCutter

HINT = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\na: b\r\n\r\n"


def cut_all(*segments, size_max=1000):
    """Return every head that ends, whether it was final, and what lies behind the final one."""
    cutter, heads, head, rest = HeadCutter(size_max), [], b"", b""
    for segment in segments:
        position = 0
        while position < len(segment):
            if cutter.is_final:
                rest += segment[position:]
                break
            end = cutter.cut(segment, position)
            head += segment[position:end]
            position = end
            if cutter.is_between:
                heads.append((head, cutter.is_final))
                head = b""
    return heads, rest


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_interim_heads_then_the_final_one_then_content(size):
    whole = HINT + HINT + OK + b"x\ny\r\n z"
    segments = [whole[at : at + size] for at in range(0, len(whole), size)]
    heads, rest = cut_all(*segments)
    assert heads == [(HINT, False), (HINT, False), (OK, True)]
    assert rest == b"x\ny\r\n z"


@pytest.mark.parametrize(
    "line", [b"HTTP/1.1 101 Switching", b"HTTP/1.0 103 X", b"HTTP/1.1 200 OK", b"", b"ICY 100"]
)
def test_what_is_no_interim_head(line):
    [(_, is_final)], _ = cut_all(line + b"\r\n\r\n")
    assert is_final


@pytest.mark.parametrize("size", [1, 2, 1000])
@pytest.mark.parametrize("lead", [b"", HINT])
@pytest.mark.parametrize("bad", [b"a: b\nc: d", b"a: b\r\n c", b"a: b\r\n\tc", b"a: b\n"])
def test_line_ends_in_doubt(bad, lead, size):
    whole = lead + b"HTTP/1.1 200 OK\r\n" + bad + b"\r\n\r\n"
    with pytest.raises(UpstreamError) as caught:
        cut_all(*(whole[at : at + size] for at in range(0, len(whole), size)))
    assert caught.value.word == "http_protocol_error"


def test_all_heads_together_are_bounded_and_content_does_not_count():
    heads, rest = cut_all(HINT + OK + bytes(5000), size_max=len(HINT + OK))
    assert (len(heads), len(rest)) == (2, 5000)
    with pytest.raises(UpstreamError) as caught:
        cut_all(HINT + OK, size_max=len(HINT + OK) - 1)
    assert caught.value.word == "http_response_header_section_size"


def test_the_size_is_that_of_the_heads():
    cutter = HeadCutter(1000)
    assert cutter.is_between
    assert cutter.cut(b"xx" + OK + b"content", 2) == 2 + len(OK)
    assert (cutter.size, cutter.is_between) == (len(OK), True)
    assert cutter.cut(b"HT", 0) == 2
    assert not cutter.is_between
