import pytest

from edgeproxy.errors import UpstreamError
from edgeproxy.http.messages import ConnectionInfo, Request
from edgeproxy.listeners.http1_exchange import Exchange
from edgeproxy.wire.h1.encode import Ending
from edgeproxy.wire.h1.framing import NO_CONTENT
from edgeproxy.wire.h1.head import RequestHead
from tests.support.http1_session import Stream, response


def exchange(*, method: bytes = b"GET", version: bytes = b"1.1") -> Exchange:
    head = RequestHead(method, b"/", [], authority=b"a", version=version, framing=NO_CONTENT)
    request = Request(method, b"/", [], authority=b"a", connection=ConnectionInfo("::1"))
    return Exchange(request, head)


def joined(pieces: list[bytes | memoryview]) -> bytes:
    return b"".join(pieces)


def test_before_the_response() -> None:
    waiting = exchange()
    assert waiting.response is None
    assert waiting.stream is None


def test_a_body_in_memory_is_taken_in_references() -> None:
    body = b"0123456789"
    sending = exchange()
    head = sending.start(response(body), keeps_alive=True)
    assert head == b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"
    assert sending.stream is None
    pieces = [sending.take(4), sending.take(4), sending.take(4)]
    assert [bytes(piece) for piece in pieces] == [b"0123", b"4567", b"89"]
    assert all(isinstance(piece, memoryview) and piece.obj is body for piece in pieces)
    assert sending.sent == 10
    assert not sending.rest


def test_a_small_body_is_not_even_sliced() -> None:
    body = b"0123"
    sending = exchange()
    sending.start(response(body), keeps_alive=True)
    assert sending.take(4) is body


@pytest.mark.parametrize("body", [b"", b"hello"])
def test_head_takes_nothing(body: bytes) -> None:
    sending = exchange(method=b"HEAD")
    sending.start(response(body, length=5), keeps_alive=True)
    assert sending.ending is Ending.NO_CONTENT
    assert sending.take(10) == b""
    assert sending.sent == 0


def test_a_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="content-length"):
        exchange().start(response(b"hello", length=4), keeps_alive=True)


def test_a_stream_with_its_length() -> None:
    sending = exchange()
    stream = Stream()
    sending.start(response(stream, length=5), keeps_alive=True)
    assert sending.stream is stream
    assert sending.frame(b"hel") == [b"hel"]
    with pytest.raises(UpstreamError) as short:
        sending.end()
    assert short.value.word == "http_response_incomplete"
    assert sending.frame(b"lo") == [b"lo"]
    assert sending.end() == []
    with pytest.raises(UpstreamError):
        sending.frame(b"!")
    assert sending.sent == 5


def test_a_stream_in_chunks() -> None:
    sending = exchange()
    sending.start(response(Stream()), keeps_alive=True)
    assert joined(sending.frame(b"hello")) == b"5\r\nhello\r\n"
    assert joined(sending.end()) == b"0\r\n\r\n"
    assert sending.sent == 5


def test_http_1_0_ends_with_the_connection() -> None:
    sending = exchange(version=b"1.0")
    sending.start(response(Stream()), keeps_alive=True)
    assert not sending.keeps_alive
    assert sending.frame(b"hello") == [b"hello"]
    assert sending.end() == []


def test_trailers_are_for_those_who_look_at_them() -> None:
    trailers = ((b"digest", b"x"),)
    for te, expected in (
        (b"trailers", b"0\r\ndigest: x\r\n\r\n"),
        (b"gzip, Trailers", b"0\r\ndigest: x\r\n\r\n"),
        (b"gzip", b"0\r\n\r\n"),
    ):
        sending = exchange()
        sending.request.fields = [(b"te", te)]
        sending.start(response(Stream()), keeps_alive=True)
        assert joined(sending.end(trailers)) == expected
    sending = exchange()
    sending.start(response(Stream()), keeps_alive=True)
    assert joined(sending.end(trailers)) == b"0\r\n\r\n"


def test_only_chunks_can_be_followed_by_trailers() -> None:
    sending = exchange()
    sending.request.fields = [(b"te", b"trailers")]
    sending.start(response(Stream(), length=0), keeps_alive=True)
    assert sending.end(((b"digest", b"x"),)) == []
