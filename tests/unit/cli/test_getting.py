"""Tests for edgeproxy/cli/getting.py: as a program, and its arguments."""

import asyncio
import json

import pytest

from edgeproxy.cli.shell import FAILED, OK
from tests.support.ca import LocalCa
from tests.support.cli import invoke
from tests.support.scripted import quic_server, says, tls_script
from tests.support.tls_servers import closed_port

USAGE = 2
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return LocalCa(tmp_path_factory.mktemp("getting"))


@pytest.fixture(scope="module")
def leaf(ca):
    return ca.issue("a.test")


def get(ca, port, *options):
    place = ("--connect-to", f"127.0.0.1:{port}")
    return asyncio.to_thread(
        invoke, "get", f"https://a.test:{port}/", *place, "--ca-file", ca.path, *options
    )


async def test_for_people(ca, leaf):
    async with tls_script(leaf, says(HELLO)) as port:
        result = await get(ca, port, "-H", "Accept: */*")
    assert result.exit_code == OK
    assert "< HTTP/1.1 200" in result.stdout.splitlines()


async def test_for_scripts(ca, leaf):
    async with tls_script(leaf, says(HELLO)) as port:
        result = await get(ca, port, "--http1", "--json")
    assert (result.exit_code, json.loads(result.stdout)["content"]["octets"]) == (OK, 5)


async def test_content_into_a_file_and_to_standard_output(ca, leaf, tmp_path):
    async with tls_script(leaf, says(HELLO)) as port:
        await get(ca, port, "-o", str(tmp_path / "content"))
        result = await get(ca, port, "-o", "-")
    assert (tmp_path / "content").read_bytes() == b"hello"
    assert result.stdout == "hello"


async def test_over_http3(ca, leaf):
    def respond(http, stream):
        http.send_headers(stream, [(b":status", b"200")], end_stream=True)

    async with quic_server(leaf, respond) as port:
        result = await get(ca, port, "--http3", "--json")
    said = json.loads(result.stdout)
    assert (result.exit_code, said["protocol"], said["tls"]["resumes"]) == (OK, "h3", True)


async def test_whoever_is_not_trusted_is_a_failure_unless_nobody_judges(ca, leaf):
    stranger = LocalCa(ca.path.parent / "other").issue("a.test")
    async with tls_script(stranger, says(HELLO)) as port:
        assert (await get(ca, port)).exit_code == FAILED
        assert (await get(ca, port, "--insecure")).exit_code == OK


async def test_nobody_there(ca):
    result = await get(ca, closed_port())
    assert (result.exit_code, result.stdout) == (FAILED, "! connection refused\n")
    muted = await get(ca, closed_port(), "-o", "-")
    assert (muted.exit_code, muted.stdout) == (FAILED, "")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["http://a.test/"], "only https"),
        (["https://a.test/", "-H", "nonsense"], "is no field"),
        (["https://a.test/", "-H", "a b: c"], "is no field"),
        (["https://a.test/", "-H", "x: a\rb"], "is no field"),
        (["https://a.test/", "-H", "Host: other"], "not to be chosen"),
        (["https://a.test/", "--connect-to", "a:b"], "is no address"),
    ],
)
def test_arguments_that_are_none(arguments, why):
    result = invoke("get", *arguments)
    assert result.exit_code == USAGE
    assert why in result.stderr
