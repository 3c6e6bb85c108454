"""Tests for edgeproxy/probe/get/report.py."""

import hashlib
import json

from edgeproxy.clock import SystemClock
from edgeproxy.probe.get.report import document, lines
from tests.support.got import got
from tests.support.scripted import says, tls_script
from tests.support.tls_servers import closed_port

OCTETS = (
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nt: 1\r\n\r\n"
)


async def test_a_response_in_both_forms(ca, leaf):
    async with tls_script(leaf, says(OCTETS)) as port:
        report, _ = await got(leaf, port, "http/1.1", ca_file=ca.path, target="/x")
    now, digest = SystemClock().now(), hashlib.sha256(b"hi").hexdigest()
    said = json.loads(json.dumps(document(report, now)))
    assert said["url"] == f"https://a.test:{port}/x"
    assert (said["status"], said["protocol"], said["failure"]) == (200, "http/1.1", None)
    assert said["fields"] == [["X", "y"], ["Transfer-Encoding", "chunked"]]
    assert said["interim"] == [{"status": 103, "fields": [["Link", "</a>"]]}]
    assert said["trailers"] == [["t", "1"]]
    assert said["content"] == {"octets": 2, "sha256": digest, "is_whole": True}
    assert set(said["milliseconds"]) == {"connect", "handshake", "first_octet", "content"}
    assert said["tls"]["certificate"]["names"] == ["a.test"]
    assert said["tls"]["staple"]["state"] == "none"
    assert (said["tls"]["resumes"], said["tls"]["distrust"]) == (True, [])
    text = list(lines(report, now))
    assert text[0].startswith(f"* 127.0.0.1:{port}, TLSv1.3 TLS_")
    assert "< HTTP/1.1 103" in text
    assert text.index("< HTTP/1.1 200") < text.index("< X: y")
    assert f"* content: 2 octets, SHA-256 {digest}" in text
    assert "< t: 1 (trailer)" in text
    assert "* resumption: yes" in text
    assert "* staple: none" in text


async def test_what_went_wrong_comes_last(leaf):
    octets = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi"
    async with tls_script(leaf, says(octets)) as port:
        report, _ = await got(leaf, port, "http/1.1")
    text = list(lines(report, SystemClock().now()))
    assert text[-1] == "! the server closed the connection"
    assert any(line.startswith("* content: 2 octets, cut") for line in text)


async def test_nothing_at_all(leaf):
    report, _ = await got(leaf, closed_port(), "h2")
    now = SystemClock().now()
    assert list(lines(report, now)) == ["! connection refused"]
    said = document(report, now)
    assert (said["status"], said["tls"], said["protocol"]) == (None, None, None)
