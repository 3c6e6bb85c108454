"""Tests for edgeproxy/cli/certs_running.py: against a control socket."""

import json
import time

import pytest

from edgeproxy.cli.certs_disk import on_disk
from edgeproxy.cli.shell import FAILED, OK, UNAVAILABLE
from edgeproxy.config.load import inspect
from tests.support.cli import certified, config_file, invoke, run_program
from tests.support.control import control_socket
from tests.support.status import served

NOT_FOUND = (404, {"title": "Not Found", "detail": "there is no identity 'x'"})


@pytest.fixture
def place(tmp_path):
    """A configuration, its control socket, and the fingerprint of its certificate."""
    (tmp_path / "state").mkdir()
    path = config_file(certified(tmp_path))
    [disk] = on_disk(inspect(path).config)
    return path, tmp_path / "state" / "test1.sock", disk.fingerprints[0]


def test_status_of_an_edge_that_is_well(place):
    path, socket, sha256 = place
    with control_socket(socket, (200, served(time.time(), sha256=sha256))) as heard:
        result = invoke("certs", "status", "-c", path)
    assert heard == ["GET /v1/certificates HTTP/1.1"]
    assert result.exit_code == OK
    assert result.stdout.splitlines()[-1] == "  on disk: the same"


def test_status_of_an_edge_that_serves_something_else(place):
    path, socket, _ = place
    with control_socket(socket, (200, served(time.time()))):
        result = invoke("certs", "status", "-c", path)
    assert result.exit_code == FAILED
    assert "error: localhost: on disk differs from what is served" in result.stderr


def test_status_for_machines(place):
    path, socket, sha256 = place
    document = served(time.time(), sha256=sha256)
    with control_socket(socket, (200, document)):
        result = invoke("certs", "status", "--json", "-c", path)
    said = json.loads(result.stdout)
    assert (said["ok"], said["is_running"], said["problems"]) == (True, True, [])
    assert said["served"] == document
    assert said["disk"][0]["sha256"] == [sha256]
    assert said["socket"] == str(socket)


def test_status_where_nothing_runs(place):
    path, socket, sha256 = place
    result = run_program("certs", "status", "-c", path)
    assert result.returncode == OK
    first, *rest = result.stdout.splitlines()
    assert first == (f"nothing runs here: nobody listens on {socket}; this is what the files say")
    assert sha256[:16] in rest[-1]


def test_status_where_nothing_runs_and_the_files_are_bad(place):
    path, _, _ = place
    (path.parent / "leaf" / "key.pem").unlink()
    result = invoke("certs", "status", "-c", path)
    assert result.exit_code == UNAVAILABLE
    assert "the pair on disk is bad" in result.stderr


def test_status_of_an_edge_whose_files_have_gone(place):
    path, socket, sha256 = place
    (path.parent / "leaf" / "key.pem").unlink()
    with control_socket(socket, (200, served(time.time(), sha256=sha256))):
        result = invoke("certs", "status", "-c", path)
    assert result.exit_code == FAILED
    assert "the pair on disk is bad" in result.stderr


@pytest.mark.parametrize("answers", [{"raw": b"junk\r\n\r\n"}, {"answer": (500, {})}])
def test_status_of_an_edge_that_does_not_tell(place, answers):
    path, socket, _ = place
    given = [answers["answer"]] if "answer" in answers else []
    with control_socket(socket, *given, raw=answers.get("raw")):
        result = invoke("certs", "status", "-c", path)
    assert result.exit_code == FAILED
    assert "this is what the files say" in result.stdout


def test_reload(place):
    path, socket, sha256 = place
    with control_socket(socket, (200, served(time.time(), sha256=sha256))) as heard:
        result = invoke("certs", "reload", "-c", path)
    assert heard == ["POST /v1/certificates/reload HTTP/1.1"]
    assert result.exit_code == OK
    assert "last load: loaded" in result.stdout


def test_a_reload_that_failed(place):
    path, socket, sha256 = place
    last_load = {"at": "x", "result": "kept", "detail": "key.pem: junk"}
    document = served(time.time(), sha256=sha256, last_load=last_load)
    with control_socket(socket, (200, document), (503, {"title": "Service Unavailable"})):
        result = invoke("certs", "reload", "-c", path)
        late = invoke("certs", "reload", "-c", path)
    assert result.exit_code == late.exit_code == FAILED
    assert "the last load failed: key.pem: junk" in result.stderr
    assert late.stderr == "error: Service Unavailable\n"


def test_revert(place):
    path, socket, sha256 = place
    [live] = served(time.time(), sha256=sha256)["identities"]
    with control_socket(socket, (200, live), (200, live)) as heard:
        result = invoke("certs", "revert", "localhost", "-c", path)
        machine = invoke("certs", "revert", "localhost", "--json", "-c", path)
    assert heard[0] == "POST /v1/certificates/localhost/revert HTTP/1.1"
    assert result.exit_code == OK
    assert result.stdout.startswith("went back to\nlocalhost: localhost")
    assert json.loads(machine.stdout) == live


def test_a_revert_that_is_refused(place):
    path, socket, _ = place
    with control_socket(socket, NOT_FOUND, NOT_FOUND):
        result = invoke("certs", "revert", "x", "-c", path)
        machine = invoke("certs", "revert", "x", "--json", "-c", path)
    assert result.exit_code == machine.exit_code == FAILED
    assert result.stderr == "error: Not Found: there is no identity 'x'\n"
    assert json.loads(machine.stdout) == NOT_FOUND[1]


@pytest.mark.parametrize("command", [("reload",), ("revert", "localhost")])
def test_orders_to_nobody(place, command):
    result = invoke("certs", *command, "-c", place[0])
    assert result.exit_code == UNAVAILABLE
    assert "nothing runs here" in result.stderr
