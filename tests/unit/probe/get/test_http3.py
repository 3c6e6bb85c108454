"""Tests for edgeproxy/probe/get/http3.py, with a server of aioquic."""

import socket

import pytest

from edgeproxy.probe.get.http3 import _staple_in
from tests.support.got import got
from tests.support.scripted import quic_server

OK = [(b":status", b"200"), (b"x", b"y")]
CONTENT = b"0123456789" * 20_000


def whole(http, stream):
    http.send_headers(stream, [(b":status", b"103"), (b"link", b"</a>")])
    http.send_headers(stream, OK)
    http.send_data(stream, CONTENT, end_stream=False)
    http.send_headers(stream, [(b"t", b"1")], end_stream=True)


async def test_a_whole_response(ca, leaf):
    async with quic_server(leaf, whole) as port:
        report, taken = await got(leaf, port, "h3", ca_file=ca.path)
    assert (report.failure, report.protocol, report.is_fine) == ("", "h3", True)
    assert taken == CONTENT
    assert report.answer.interim == [(103, (("link", "</a>"),))]
    assert (report.answer.fields, report.answer.trailers) == ((("x", "y"),), (("t", "1"),))
    assert report.resumes
    assert report.connect_seconds is None
    seen = report.handshake
    assert (seen.version, seen.chain, seen.staple) == ("TLSv1.3", (leaf.certificate,), b"")
    assert seen.cipher == "TLS_AES_256_GCM_SHA384"


async def test_whom_to_trust_is_judged_and_told(ca, leaf):
    old = ca.issue("a.test", days=-1)
    async with quic_server(old, whole) as port:
        report, taken = await got(leaf, port, "h3", ca_file=ca.path)
    assert (taken, report.is_fine) == (CONTENT, False)
    [distrust] = report.handshake.distrust
    assert distrust.is_of_dates
    async with quic_server(leaf, whole) as port:
        report, _ = await got(leaf, port, "h3", ca_file=ca.path, host="b.test")
    [distrust] = report.handshake.distrust
    assert "b.test" in distrust.text
    assert not distrust.is_of_dates


def reset(http, stream):
    http.send_headers(stream, OK)
    http._quic.reset_stream(stream, 0x10C)


def closed(http, _stream):
    http._quic.close(error_code=0x107, reason_phrase="enough")


@pytest.mark.parametrize(
    ("respond", "why"),
    [
        (reset, "the server reset the stream: H3_REQUEST_CANCELLED"),
        (closed, "the connection ended: H3_EXCESSIVE_LOAD (enough)"),
    ],
)
async def test_what_is_not_a_whole_response(leaf, respond, why):
    async with quic_server(leaf, respond) as port:
        report, _ = await got(leaf, port, "h3")
    assert report.failure == why


async def test_more_content_than_is_taken(leaf):
    async with quic_server(leaf, whole) as port:
        report, _ = await got(leaf, port, "h3", octets_max=1000)
    assert report.failure == "content of more than 1000 octets"


async def test_nobody_there(leaf):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    report, _ = await got(leaf, port, "h3")
    assert report.failure == "connection refused"


async def test_somebody_who_says_nothing(leaf):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        report, _ = await got(leaf, silent.getsockname()[1], "h3", seconds=0.2)
    assert report.failure == "no answer within 0.2 s"


@pytest.mark.parametrize(
    ("extensions", "staple"),
    [
        (b"", b""),
        (bytes.fromhex("0005 0006 01 000002 abcd"), b"\xab\xcd"),
        (bytes.fromhex("0012 0001 00 0005 0006 01 000002 abcd"), b"\xab\xcd"),
        (bytes.fromhex("0012 0001 00"), b""),
        (bytes.fromhex("0005"), b""),
    ],
)
def test_where_the_staple_is(extensions, staple):
    assert _staple_in(extensions) == staple
