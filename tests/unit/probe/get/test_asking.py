"""Tests for edgeproxy/probe/get/asking.py: what is common to all protocols."""

import pytest

from tests.support.got import got
from tests.support.scripted import says, tls_script
from tests.support.tls_servers import closed_port

NOTHING = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


async def test_a_report(ca, leaf):
    async with tls_script(leaf, says(NOTHING), "http/1.1") as port:
        report, _ = await got(leaf, port, "h2", "http/1.1", ca_file=ca.path)
    assert report.is_fine
    assert report.protocol == "http/1.1"
    assert report.resumes
    assert report.handshake.chain == (leaf.certificate,)
    assert report.handshake.distrust == ()
    times = (report.connect_seconds, report.first_seconds, report.content_seconds)
    assert all(each is not None and each >= 0 for each in times)


async def test_a_server_without_the_protocol(leaf):
    async with tls_script(leaf, says(NOTHING)) as port:
        report, _ = await got(leaf, port, "h2")
    assert report.failure == "the server does not speak h2"
    assert report.handshake is not None


async def test_a_certificate_for_another(ca, leaf):
    async with tls_script(leaf, says(NOTHING)) as port:
        report, _ = await got(leaf, port, "http/1.1", ca_file=ca.path, host="b.test")
    assert report.answer.is_whole
    assert [each.text for each in report.handshake.distrust] == ["it is not for b.test"]
    assert not report.is_fine


@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
async def test_nobody_there(leaf, protocol):
    report, _ = await got(leaf, closed_port(), protocol)
    assert (report.failure, report.handshake) == ("connection refused", None)


async def test_a_server_that_hangs(leaf):
    async def speak(reader, _writer):
        await reader.read()

    async with tls_script(leaf, speak) as port:
        report, _ = await got(leaf, port, "http/1.1", seconds=0.3)
    assert report.failure == "no answer within 0.3 s"
    assert report.handshake is not None


async def test_a_handshake_that_fails(leaf):
    async with tls_script(leaf, says(NOTHING), "spdy/3") as port:
        report, _ = await got(leaf, port, "h2")
    assert report.failure.startswith("alert: no application protocol") or (
        report.failure == "the server does not speak h2"
    )
