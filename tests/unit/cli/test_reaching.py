"""Tests for edgeproxy/cli/reaching.py: over real sockets, with an edge's control socket beside."""

import asyncio
import json
import socket
from contextlib import contextmanager

import pytest

from edgeproxy.cli.reaching import unreachable
from edgeproxy.cli.shell import OK
from edgeproxy.config.load import load
from edgeproxy.tls.contexts import FrontContext
from tests.support.cli import certified, config_file, invoke
from tests.support.control import control_socket
from tests.support.quic import any_identity, settings_of
from tests.support.quic_endpoint import serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = certified(tmp_path_factory.mktemp("cli"))
    (made / "state").mkdir()
    return made


@pytest.fixture
def mute():
    """A port that somebody holds and never reads."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def with_http3(folder, port, host="127.0.0.1"):
    line = f'https = "127.0.0.1:{port}"'
    return config_file(folder, (line, f'https = "{host}:{port}"\nhttp3 = true'), port=port)


def found(path):
    return list(unreachable(load(path)))


@contextmanager
def edge(folder, *ports, status=200):
    """One that runs here and says that it has HTTP/3 there."""
    document = {"http3": [["127.0.0.1", port] for port in ports]}
    with control_socket(folder / "state" / "test1.sock", (status, document)):
        yield


def test_nothing_is_asked_without_http3(folder, mute):
    assert found(config_file(folder, port=mute)) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_port_that_is_free_or_any(folder, host):
    family = socket.AF_INET6 if host == "[::1]" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((host.strip("[]"), 0))
        port = sock.getsockname()[1]
        assert found(with_http3(folder, port, host)) == [
            f"UDP {host}:{port} is taken by another program"
        ]
    assert found(with_http3(folder, port, host)) == []
    assert found(with_http3(folder, 0, host)) == []


def test_what_only_shows_elsewhere_is_no_finding(folder):
    assert found(with_http3(folder, 443, "192.0.2.1")) == []


async def test_a_port_of_ours_answers_and_one_of_others_too(folder):
    async with serving(settings_of(FrontContext([any_identity()]))) as listener:
        port = listener.address[1]
        path = with_http3(folder, port)
        with edge(folder, port):
            assert await asyncio.to_thread(found, path) == []
        assert await asyncio.to_thread(found, path) == [
            f"UDP 127.0.0.1:{port} is taken by another program, which speaks QUIC"
        ]


def test_an_edge_that_has_it_and_is_not_heard(folder, mute):
    path = with_http3(folder, mute)
    with edge(folder, mute):
        [sentence] = found(path)
    where = f"127.0.0.1:{mute}"
    assert sentence.startswith(
        f"is switched on, but nobody answers at UDP {where}: is there a fire"
    )
    with edge(folder, mute, status=500):  # whose it is cannot be known
        assert found(path) == []


def test_check_warns(folder, mute):
    path = with_http3(folder, mute)
    result = invoke("check", "-c", path)
    assert result.exit_code == OK
    taken = f"listen.http3: UDP 127.0.0.1:{mute} is taken by another program"
    assert result.stderr == f"warning: {path}:8: {taken}\n"
    [warning] = json.loads(invoke("check", "--json", "-c", path).stdout)["warnings"]
    assert f"{warning['path']}: {warning['message']}" == taken
    with control_socket(folder / "state" / "test1.sock", raw=b"garbage"):
        assert invoke("check", "-c", path).stderr == ""
