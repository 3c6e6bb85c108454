"""Tests for edgeproxy/cli/reloading.py."""

import json

import pytest

from edgeproxy.cli.shell import CONFIGURATION, FAILED, OK, UNAVAILABLE
from tests.support.cli import certified, config_file, invoke
from tests.support.control import control_socket

PROBLEM = {"file": "edge.toml", "line": 3, "path": "pop.name", "message": "no", "nearest": ""}
REFUSED = {"title": "Unprocessable Content", "detail": "cannot be used", "problems": [PROBLEM]}


@pytest.fixture
def place(tmp_path):
    (tmp_path / "state").mkdir()
    return config_file(certified(tmp_path)), tmp_path / "state" / "test1.sock"


@pytest.mark.parametrize(
    ("changed", "line"),
    [(["host"], "reloaded, changed: host\n"), ([], "reloaded, nothing has changed\n")],
)
def test_what_is_live_now(place, changed, line):
    path, socket = place
    said = {"result": "reloaded", "changed": changed, "warnings": [PROBLEM]}
    with control_socket(socket, (200, said), (200, said)) as heard:
        result = invoke("reload", "-c", path)
        as_json = invoke("reload", "--json", "-c", path)
    assert heard == ["POST /v1/reload HTTP/1.1"] * 2
    assert (result.exit_code, result.stdout) == (OK, line)
    assert "warning: edge.toml:3: pop.name: no" in result.stderr
    assert json.loads(as_json.stdout) == said


def test_problems_with_file_and_line(place):
    path, socket = place
    with control_socket(socket, (422, REFUSED), (503, {"title": "late"})):
        result = invoke("reload", "-c", path)
        late = invoke("reload", "-c", path)
    assert result.exit_code == CONFIGURATION
    assert "error: edge.toml:3: pop.name: no" in result.stderr
    assert late.exit_code == FAILED


def test_a_file_that_is_none_asks_nobody(place):
    path, _ = place
    path.write_text("[limits")
    assert invoke("reload", "-c", path).exit_code == CONFIGURATION
    result = invoke("reload", "--json", "-c", path)
    assert result.exit_code == CONFIGURATION
    assert "not TOML" in json.loads(result.stdout)["problems"][0]["message"]


def test_nothing_runs(place):
    assert invoke("reload", "-c", place[0]).exit_code == UNAVAILABLE
