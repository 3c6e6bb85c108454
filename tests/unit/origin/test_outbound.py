"""Tests for edgeproxy/origin/outbound.py."""

import pytest

from edgeproxy.errors import UpstreamError
from edgeproxy.origin.outbound import (
    forwarded,
    forwarded_fields,
    request_head,
    trailer_section,
)
from tests.support.outbound import outbound, pieces


def head(request):
    return request_head(request, host="assets.example", identifier="fra1")


def lines(request):
    return head(request).split(b"\r\n")


def test_the_whole_head_of_a_plain_request():
    assert head(outbound("GET", "/a", [(b"accept", b"*/*")])) == (
        b"GET /a HTTP/1.1\r\n"
        b"host: assets.example\r\n"
        b"accept: */*\r\n"
        b"via: 2 fra1\r\n"
        b"cdn-loop: fra1\r\n"
        b"forwarded: for=192.0.2.7;by=_fra1;host=widgets.example;proto=https\r\n"
        b'surrogate-capability: edgeproxy="Surrogate/1.0"\r\n'
        b"\r\n"
    )


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "//x",
        "/a%2Fb",
        "/?",
        "/a?b?c",
        "/a;b=1",
        "/../b/./c",
        "/%7e%C3%a9",
        "/[x]|{y}^`\\",
        "*",
    ],
)
def test_the_target_is_never_touched(target):
    assert lines(outbound("OPTIONS", target))[0] == b"OPTIONS %b HTTP/1.1" % target.encode()


def test_order_duplicates_and_octets_of_fields_survive():
    fields = [(b"b", b"1"), (b"a", b"caf\xe9 \xff"), (b"b", b""), (b"b", b"1")]
    assert lines(outbound(fields=fields))[2:6] == [b"b: 1", b"a: caf\xe9 \xff", b"b: ", b"b: 1"]


def test_what_a_client_claims_about_itself_is_dropped():
    claims = [
        (b"forwarded", b"for=1.1.1.1"),
        (b"x-forwarded-for", b"1.1.1.1"),
        (b"x-forwarded-host", b"evil"),
        (b"x-real-ip", b"1.1.1.1"),
        (b"surrogate-capability", b'evil="ESI/1.0"'),
    ]
    assert forwarded_fields([*claims, (b"x-forward", b"kept")]) == [(b"x-forward", b"kept")]


def test_hop_by_hop_and_what_is_ours_to_write_are_dropped():
    fields = [
        (b"connection", b"x-mine, keep-alive"),
        (b"x-mine", b"1"),
        (b"keep-alive", b"5"),
        (b"te", b"trailers"),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"h2c"),
        (b"host", b"evil"),
        (b"content-length", b"5"),
        (b"expect", b"100-continue"),
    ]
    assert forwarded_fields(fields) == []


def test_via_and_cdn_loop_are_appended_to_the_clients():
    made = lines(
        outbound(fields=[(b"via", b"1.1 x"), (b"cdn-loop", b"other")], protocol="HTTP/1.1")
    )
    assert made[2:6] == [b"via: 1.1 x", b"cdn-loop: other", b"via: 1.1 fra1", b"cdn-loop: fra1"]


@pytest.mark.parametrize(
    ("client", "node"),
    [
        ("192.0.2.7", b"for=192.0.2.7"),
        ("2001:DB8::1", b'for="[2001:db8::1]"'),
        ("fe80::1%eth0", b'for="[fe80::1]"'),
        ("", b"for=unknown"),
        ("unix:", b"for=unknown"),
    ],
)
def test_forwarded_writes_addresses_as_nodes(client, node):
    assert forwarded(outbound(client=client), "fra1").startswith(node + b";by=")


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        (b"a.example", b";host=a.example;"),
        (b"localhost:8443", b';host="localhost:8443";'),
        (b'a"b\\', b';host="a\\"b\\\\";'),
        (b"", b";by=_fra1;proto="),
        (b"a\r\nb", b";by=_fra1;proto="),
    ],
)
def test_forwarded_quotes_what_is_not_a_token(authority, host):
    assert host in forwarded(outbound(authority=authority), "fra1")


def test_forwarded_names_us_by_an_obfuscated_identifier():
    assert b";by=_a_b.c;" in forwarded(outbound(), "a!b.c")


def test_content_is_framed_by_us():
    assert b"content-length: 7" in lines(outbound("PUT", body=pieces(), content_length=7))
    assert b"transfer-encoding: chunked" in lines(outbound("POST", body=pieces()))
    assert b"content-length: 0" in lines(outbound("POST"))
    assert not any(b"content-length" in line for line in lines(outbound("DELETE")))


@pytest.mark.parametrize(
    "request_",
    [
        outbound("GET /x", "/"),
        outbound("", "/"),
        outbound("GET", "/a b"),
        outbound("GET", "/a\r\nx: y"),
        outbound("GET", "/\xe9"),
        outbound("GET", ""),
        outbound(fields=[(b"a", b"b\r\nc: d")]),
        outbound(fields=[(b"a", b"b\x00")]),
        outbound(fields=[(b"a b", b"c")]),
        outbound(fields=[(b"", b"c")]),
    ],
)
def test_nothing_that_could_split_the_request_is_ever_written(request_):
    with pytest.raises(UpstreamError) as caught:
        head(request_)
    assert (caught.value.word, caught.value.status) == ("proxy_internal_error", 500)


def test_trailers_of_a_request():
    sent = trailer_section([(b"x-sum", b"1"), (b"host", b"evil"), (b"x-sum", b"2")])
    assert sent == b"x-sum: 1\r\nx-sum: 2\r\n"
    assert trailer_section(()) == b""


@pytest.mark.parametrize("line", [(b"a b", b"c"), (b"a", b"b\r\nc: d"), (b"a", b"\x00")])
def test_a_trailer_that_would_split_the_request_goes_nowhere(line):
    with pytest.raises(UpstreamError) as caught:
        trailer_section([line])
    assert caught.value.word == "proxy_internal_error"


def test_te_is_said_for_a_client_that_takes_trailers():
    made = lines(outbound(takes_trailers=True))
    assert made[-4:-2] == [b"te: trailers", b"connection: te"]
    assert not [line for line in lines(outbound()) if line.startswith((b"te:", b"connection:"))]
