import pytest

from edgeproxy.errors import DownstreamError
from edgeproxy.wire.h1.reader import RequestReader
from edgeproxy.wire.limits import Limits

GET = b"GET /1 HTTP/1.1\r\nhost: a\r\n\r\n"
POST = b"POST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED = (
    b"PUT /3 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
)


@pytest.fixture
def reader() -> RequestReader:
    return RequestReader(b"https", Limits())


def content_of(reader: RequestReader) -> bytes:
    content = b""
    while piece := reader.next_content():
        content += piece
    assert not reader.is_in_content
    return content


def test_a_pipeline(reader: RequestReader) -> None:
    reader.feed(GET + POST + CHUNKED + GET)
    assert reader.count_heads() == 5  # the last chunk ends like a head
    for target, content in ((b"/1", b""), (b"/2", b"hello"), (b"/3", b"hello"), (b"/1", b"")):
        head = reader.next_head()
        assert head is not None
        assert head.target == target
        assert reader.is_in_content is bool(content)
        assert content_of(reader) == content
    assert reader.next_head() is None
    assert reader.buffered == 0


def test_byte_by_byte(reader: RequestReader) -> None:
    stream = b"\r\n" + GET + b"\r\n\r\n" + POST + CHUNKED
    seen, content = [], b""
    for index in range(len(stream)):
        reader.feed(stream[index : index + 1])
        if not reader.is_in_content and (head := reader.next_head()):
            seen.append(head.target)
        content += reader.next_content()
    assert seen == [b"/1", b"/2", b"/3"]
    assert content == b"hellohello"
    assert (reader.buffered, reader.is_broken) == (0, False)


def test_what_is_left_of_the_content(reader: RequestReader) -> None:
    reader.feed(POST[:-2])
    reader.next_head()
    assert reader.content_left == 5
    assert reader.next_content() == b"hel"
    assert reader.content_left == 2
    reader.feed(b"lo" + CHUNKED[:-1])
    assert reader.next_content() == b"lo"
    assert reader.content_left == 0
    reader.next_head()
    assert reader.next_content() == b"hello"
    assert reader.content_left is None
    assert reader.is_in_content
    reader.feed(b"\n")
    assert reader.next_content() == b""
    assert not reader.is_in_content


def test_a_few_empty_lines_are_forgiven_before_each_request(reader: RequestReader) -> None:
    for _ in range(3):
        reader.feed(b"\r\n" * 4 + GET)
        assert reader.next_head() is not None
    for _ in range(4):
        reader.feed(b"\r\n")
        assert reader.next_head() is None
    reader.feed(b"\r\n")
    with pytest.raises(DownstreamError):
        reader.next_head()


@pytest.mark.parametrize("begin", [b"\n", b"\r\r\n", b" ", b"\r\n "])
def test_nothing_else_is_forgiven(reader: RequestReader, begin: bytes) -> None:
    reader.feed(begin + GET)
    with pytest.raises(DownstreamError) as caught:
        reader.next_head()
    assert caught.value.status == 400


def test_a_refusal_is_final(reader: RequestReader) -> None:
    reader.feed(b"GET / HTTP/1.1\r\nhost : a\r\n\r\n" + GET)
    for _ in range(2):
        with pytest.raises(DownstreamError):
            reader.next_head()
    assert reader.is_broken
    with pytest.raises(DownstreamError):
        reader.next_content()


def test_a_refusal_in_the_content_is_final(reader: RequestReader) -> None:
    reader.feed(CHUNKED[:-5] + b"z\r\n" + GET)
    reader.next_head()
    for _ in range(2):
        with pytest.raises(DownstreamError):
            reader.next_content()
    with pytest.raises(DownstreamError):
        reader.next_head()


def test_an_endless_head_is_not_collected() -> None:
    reader = RequestReader(b"https", Limits())
    reader.feed(b"GET / HTTP/1.1\r\n")

    def send_forever() -> None:
        while True:
            reader.feed(b"a: b\r\n")
            reader.next_head()

    with pytest.raises(DownstreamError) as caught:
        send_forever()
    assert caught.value.status == 431
    assert reader.buffered < 17_000


def test_trailers_are_those_of_the_content_pulled_last(reader: RequestReader) -> None:
    reader.feed(CHUNKED[:-2] + b"Digest: x\r\n\r\n" + GET)
    reader.next_head()
    assert reader.trailers == []
    content_of(reader)
    assert reader.trailers == [(b"digest", b"x")]
    reader.next_head()
    assert reader.trailers == []
