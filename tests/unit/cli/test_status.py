import json
import socket

import pytest

from edgeproxy.cli.shell import FAILED, OK, UNAVAILABLE
from edgeproxy.observe.counters import Counters
from tests.support.cli import certified, config_file, invoke
from tests.support.control import control_socket


@pytest.fixture
def place(tmp_path):
    """A configuration, and where the control socket of its edge would be."""
    (tmp_path / "state").mkdir()
    return config_file(certified(tmp_path)), tmp_path / "state" / "test1.sock"


def said(phase="serving"):
    counters = Counters()
    counters.exchange(("localhost", "", "hit", "HTTP/2", 200), 10)
    return {
        "pop": "test1",
        "version": "1.0",
        "pid": 17,
        "phase": phase,
        "uptime_seconds": 61.2,
        "connections": 3,
        "cache": {"memory": {"objects": 2, "bytes": 1234}},
        "counters": counters.snapshot(),
    }


def test_an_edge_that_serves(place):
    path, socket = place
    with control_socket(socket, (200, said())) as heard:
        result = invoke("status", "-c", path)
    assert heard == ["GET /v1/status HTTP/1.1"]
    assert result.exit_code == OK
    first, *rest = result.stdout.splitlines()
    assert first == "test1: serving, edgeproxy 1.0, pid 17, up 61 s"
    assert rest == [
        "  connections 3",
        "  memory      2 stored responses, 1234 bytes",
        "  requests    1, 10 bytes sent",
        "  origin      0 requests",
        "  outcomes    hit 1",
    ]


def test_workers_are_named_where_there_are_several(place):
    path, socket = place
    workers = [{"worker": n, "pid": n, "connections": 1, "cpu_seconds": 1.25} for n in (0, 1)]
    with control_socket(socket, (200, said() | {"workers": workers, "worker_restarts": 3})):
        result = invoke("status", "-c", path)
    assert "  workers     2, 3 restarts, CPU seconds 1.2, 1.2" in result.stdout.splitlines()


def test_whether_http3_answers_is_tried(place):
    path, control = place
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        address = closed.getsockname()
    with control_socket(control, (200, said() | {"http3": [address]})):
        result = invoke("status", "-c", path)
    assert result.exit_code == OK
    where = f"127.0.0.1:{address[1]}"
    assert f"HTTP/3      is switched on, but nobody answers at UDP {where}" in result.stdout
    with control_socket(control, (200, said() | {"http3": [address]})):
        result = invoke("status", "-c", path, "--json")
    assert json.loads(result.stdout)["http3"] == [{"address": where, "answers": False}]


def test_until_a_take_over_is_complete_nobody_begins_over_http3(place):
    path, control = place
    document = said() | {"http3": [("127.0.0.1", 9)], "predecessor": 16}
    with control_socket(control, (200, document)):
        lines = invoke("status", "-c", path).stdout.splitlines()
    assert "  HTTP/3      waits at UDP 127.0.0.1:9 for process 16 to end" in lines


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"successor": 18}, "  take-over   process 18 is about to take over"),
        ({"predecessor": 16}, "  take-over   from process 16, which finishes what it has begun"),
    ],
)
def test_a_take_over_is_shown(place, more, line):
    path, socket = place
    with control_socket(socket, (200, said() | more)):
        result = invoke("status", "-c", path)
    assert (result.exit_code, line in result.stdout.splitlines()) == (OK, True)


def test_for_machines(place):
    path, socket = place
    with control_socket(socket, (200, said())):
        result = invoke("status", "--json", "-c", path)
    assert json.loads(result.stdout) == said() | {"http3": []}


def test_an_edge_that_drains_is_not_well(place):
    path, socket = place
    with control_socket(socket, (200, said("draining"))):
        assert invoke("status", "-c", path).exit_code == FAILED


def test_an_edge_that_refuses(place):
    path, socket = place
    with control_socket(socket, (500, {"title": "Internal Server Error"})):
        result = invoke("status", "-c", path)
    assert (result.exit_code, result.stderr) == (FAILED, "error: Internal Server Error\n")


def test_where_nothing_runs(place):
    path, socket = place
    result = invoke("status", "-c", path)
    assert result.exit_code == UNAVAILABLE
    assert f"nobody listens on {socket}" in result.stderr
