import pytest

from edgeproxy.http.messages import FieldSection
from edgeproxy.wire.h1 import encode
from edgeproxy.wire.h1.encode import Ending, encode_head, encode_interim, encode_last_chunk

ETAG = FieldSection([(b"etag", b'"x"'), (b"vary", b"a"), (b"vary", b"b")])
LENGTH = FieldSection([(b"x-content-length", b"7"), (b"content-length", b"5")])


def test_a_body_in_memory() -> None:
    head = encode_head(200, (LENGTH, ETAG), length=5)
    assert head.data == (
        b"HTTP/1.1 200 OK\r\nx-content-length: 7\r\ncontent-length: 5\r\n"
        b'etag: "x"\r\nvary: a\r\nvary: b\r\n\r\n'
    )
    assert (head.ending, head.length, head.keeps_alive) == (Ending.LENGTH, 5, True)


def test_a_missing_length_is_added_and_a_wrong_one_refused() -> None:
    assert b"\r\ncontent-length: 3\r\n" in encode_head(200, (ETAG,), length=3).data
    with pytest.raises(ValueError, match="content-length 5"):
        encode_head(200, (LENGTH,), length=4)


def test_streams() -> None:
    known = encode_head(200, (LENGTH,), length=None)
    assert (known.ending, known.length) == (Ending.LENGTH, 5)
    chunked = encode_head(200, (ETAG,), length=None)
    assert chunked.ending is Ending.CHUNKED
    assert b"\r\ntransfer-encoding: chunked\r\n" in chunked.data
    old = encode_head(200, (ETAG,), length=None, is_http_1_0=True)
    assert (old.ending, old.keeps_alive) == (Ending.CLOSE, False)
    assert b"transfer-encoding" not in old.data
    assert old.data.endswith(b"\r\nconnection: close\r\n\r\n")


@pytest.mark.parametrize("length", [0, None])
def test_responses_without_content(length: int | None) -> None:
    for head in (
        encode_head(200, (LENGTH,), length=length, is_head=True),
        encode_head(304, (LENGTH,), length=length),
    ):
        assert head.ending is Ending.NO_CONTENT
        assert b"\r\ncontent-length: 5\r\n" in head.data
    gone = encode_head(204, (LENGTH, ETAG), length=length)
    assert gone.data.startswith(b"HTTP/1.1 204 No Content\r\nx-content-length: 7\r\netag:")
    assert b"transfer" not in encode_head(204, (ETAG,), length=length).data


def test_close_is_announced() -> None:
    head = encode_head(200, (LENGTH,), length=5, keeps_alive=False)
    assert head.data.endswith(b"\r\nconnection: close\r\n\r\n")
    assert not head.keeps_alive


def test_a_section_is_encoded_once() -> None:
    section = FieldSection([(b"a", b"b")])
    first = encode.encode_section(section)
    assert first == b"a: b\r\n"
    assert encode.encode_section(section) is first is section.h1


@pytest.mark.parametrize("bad", [b"x\r\nset-cookie: y", b"x\ny", b"x\ry", b"x\0y", b"\r\n\r\n"])
def test_no_value_ends_its_line(bad: bytes) -> None:
    assert encode.encode_fields([(b"a", b"1"), (b"b", bad), (b"c", b"2")]) == b"a: 1\r\nc: 2\r\n"
    assert encode.encode_fields([(bad, b"1"), (b"c", b"2")]) == b"c: 2\r\n"


def test_status_lines() -> None:
    assert encode.status_line(404) == b"HTTP/1.1 404 Not Found\r\n"
    assert encode.status_line(299) == b"HTTP/1.1 299 \r\n"


def test_chunks() -> None:
    assert b"".join(encode.encode_chunk(b"x" * 26)) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert encode.LAST_CHUNK == b"0\r\n\r\n"


def test_a_refusal_is_a_whole_response() -> None:
    data = encode.encode_refusal(431, b"Thu, 01 Jan 1970 00:00:00 GMT")
    head, body = data.split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\ndate: Thu, 01 Jan")
    assert b"\r\ncontent-length: %d\r\n" % len(body) in head
    assert head.endswith(b"\r\nconnection: close")


def test_interim_heads() -> None:
    section = FieldSection([(b"link", b"</a>"), (b"x", b"a\r\nb")])
    expected = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    assert encode_interim(103, section) == expected
    assert encode_interim(199, FieldSection(())) == b"HTTP/1.1 199 \r\n\r\n"


def test_the_last_chunk() -> None:
    assert encode_last_chunk(()) == b"0\r\n\r\n"
    trailers = ((b"a", b"b"), (b"c", b"d\r\ne"))
    assert encode_last_chunk(trailers) == b"0\r\na: b\r\n\r\n"
