import pytest

from edgeproxy.errors import DownstreamError
from edgeproxy.wire.h1.framing import CHUNKED, Framing
from edgeproxy.wire.h1.head import HeadParser, RequestHead, check_begun
from edgeproxy.wire.limits import Limits


def parse(head: bytes, limits: Limits | None = None) -> RequestHead:
    return HeadParser(b"https", limits or Limits()).parse(head)


def request(*lines: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes = b"host: a") -> bytes:
    return b"\r\n".join([line, *filter(None, [host]), *lines, b"", b""])


def status_of(head: bytes, limits: Limits | None = None) -> int:
    with pytest.raises(DownstreamError) as caught:
        parse(head, limits)
    assert caught.value.close
    return caught.value.status


def test_a_plain_request() -> None:
    head = parse(request(b"Accept: \t*/* \t", b"X:", b"x: 2", line=b"GET /a?b HTTP/1.1"))
    assert (head.method, head.target, head.authority) == (b"GET", b"/a?b", b"a")
    assert head.fields == [(b"accept", b"*/*"), (b"x", b""), (b"x", b"2")]
    assert head.version == b"1.1"
    assert (head.is_last, head.has_content, head.expects_continue) == (False, False, False)


def test_a_parser_serves_a_connection_whatever_came_before() -> None:
    parser = HeadParser(b"https", Limits())
    for lines in (
        [],
        [b"content-length: 3"],
        [b"transfer-encoding: chunked"],
        [b"connection: upgrade", b"upgrade: h2c"],
        [b"proxy-connection: close"],
        [b"connection: close"],
        [],
    ):
        fields = [tuple(line.split(b": ")) for line in lines]
        assert parser.parse(request(*lines)).fields == fields


@pytest.mark.parametrize(
    ("lines", "framing", "has_content"),
    [
        ([b"Content-Length: 5"], Framing(content_length=5), True),
        ([b"content-length: 0"], Framing(content_length=0), False),
        ([b"Transfer-Encoding: Chunked "], CHUNKED, True),
        ([b"content-length: 5", b"connection: upgrade", b"upgrade: h2c"], Framing(5), True),
    ],
)
def test_framing(lines: list[bytes], framing: Framing, has_content: bool) -> None:
    head = parse(request(*lines))
    assert (head.framing, head.has_content) == (framing, has_content)


@pytest.mark.parametrize(
    ("lines", "is_last"),
    [
        ([b"connection: close"], True),
        ([b"Connection: keep-alive , CLOSE"], True),
        ([b"connection: keep-alive", b"connection:\tclose"], True),
        ([b"connection: keep-alive"], False),
        ([b"connection: closed"], False),
        ([b"proxy-connection: close"], False),
    ],
)
def test_connection_close(lines: list[bytes], is_last: bool) -> None:
    assert parse(request(*lines)).is_last is is_last


def test_http_1_0_is_always_the_last() -> None:
    head = parse(request(b"connection: keep-alive", line=b"GET / HTTP/1.0", host=b""))
    assert (head.is_last, head.authority, head.version) == (True, b"", b"1.0")


def test_expectations() -> None:
    with_content = request(b"Expect: 100-Continue", b"content-length: 1")
    head = parse(with_content)
    assert head.expects_continue
    assert head.fields == [(b"content-length", b"1")]
    assert not parse(request(b"expect: 100-continue")).expects_continue
    old = request(b"expect: 100-continue", b"content-length: 1", line=b"GET / HTTP/1.0")
    assert not parse(old).expects_continue
    assert status_of(request(b"expect: something")) == 417
    assert status_of(request(b"expect: 100-continue", b"expect: 100-continue")) == 417


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (request(line=b"CONNECT / HTTP/1.1"), 400),
        (request(line=b"CONNECT a HTTP/1.1"), 400),
        (request(line=b"X" * 33 + b" / HTTP/1.1"), 501),
        (request(line=b"GET / HTTP/2.0"), 505),
        (request(line=b"GET / HTTP/1.2"), 505),
        (b"PRI * HTTP/2.0\r\n\r\n", 505),
        (request(line=b"GET /"), 400),
        (request(line=b"GET / HTTP/1.1 "), 400),
        (request(line=b"GET a HTTP/1.1"), 400),
        (request(b"a : b"), 400),
        (request(b"a: b", b" c"), 400),
        (request(host=b""), 400),
        (request(b"content-length: +1"), 400),
        (request(b"content-length: 1", b"content-length: 1"), 400),
        (request(b"content-length: 1", b"transfer-encoding: chunked"), 400),
        (request(b"transfer-encoding: chunked", b"content-length: 1"), 400),
        (request(b"transfer-encoding: gzip, chunked"), 501),
        (request(b"transfer-encoding: gzip"), 400),
        (request(b"transfer-encoding: chunked", line=b"GET / HTTP/1.0"), 400),
    ],
)
def test_refusals(head: bytes, status: int) -> None:
    assert status_of(head) == status


def test_a_line_of_eight_thousand_octets_is_served() -> None:
    target = b"/" + b"a" * 8000
    assert parse(request(line=b"GET " + target + b" HTTP/1.1")).target == target


def test_sizes() -> None:
    limits = Limits(target_bytes_max=10, field_section_bytes_max=40, fields_max=3)
    assert parse(request(line=b"GET /123456789 HTTP/1.1"), limits).target == b"/123456789"
    assert status_of(request(line=b"GET /1234567890 HTTP/1.1"), limits) == 414
    assert status_of(request(line=b"GET /" + b"a" * 60 + b" HTTP/1.1"), limits) == 414
    assert status_of(request(b"a: " + b"b" * 40), limits) == 431
    assert len(parse(request(b"a:", b"b:", b"c:"), limits).fields) == 3
    assert status_of(request(b"a:", b"b:", b"c:", b"d:"), limits) == 431


@pytest.mark.parametrize(
    ("begun", "status"),
    [
        (b"\x16\x03\x01\x02", 400),
        (b"GET / HTTP/1.1\n", 400),
        (b"X" * 33, 501),
        (b"GET /" + b"a" * 9000, 414),
        (b"GET / HTTP/1.1\r\na: " + b"b" * 17000, 431),
    ],
)
def test_what_can_become_no_head_is_not_waited_for(begun: bytes, status: int) -> None:
    with pytest.raises(DownstreamError) as caught:
        check_begun(begun, Limits())
    assert caught.value.status == status


def test_a_head_may_be_waited_for() -> None:
    whole = request(b"a: b", line=b"GET /" + b"a" * 8000 + b" HTTP/1.1")
    for end in range(0, len(whole), 7):
        check_begun(whole[:end], Limits())


def test_what_was_looked_at_is_not_looked_at_again() -> None:
    check_begun(b"GET /\x01" + b"a" * 100, Limits(), since=50)
    for end in (b"\ra", b"\x01", b"\n"):
        head = b"GET / HTTP/1.1\r\na: b"
        with pytest.raises(DownstreamError):
            check_begun(head + end, Limits(), since=len(head) + 1)
    check_begun(b"GET / HTTP/1.1\r\n", Limits(), since=len(b"GET / HTTP/1.1\r"))


@pytest.mark.parametrize("method", [b"BREW", b"get", b"DESCRIBE", b"M-SEARCH", b"PRI", b"X" * 32])
def test_methods_that_nobody_knows_are_methods(method: bytes) -> None:
    head = parse(request(b"a: b", b"content-length: 5", line=method + b" /x HTTP/1.1"))
    assert (head.method, head.target, head.fields[0]) == (method, b"/x", (b"a", b"b"))
    assert head.has_content
    assert not head.is_last


def test_behind_a_connect_no_request_is_looked_for() -> None:
    head = parse(request(b"a: b", line=b"CONNECT a:443 HTTP/1.1"))
    assert (head.method, head.target, head.authority) == (b"CONNECT", b"a:443", b"a")
    assert (head.is_last, head.fields) == (True, [(b"a", b"b")])
