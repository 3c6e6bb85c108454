"""Tests for edgeproxy/cli/control_client.py."""

import os
from pathlib import Path

import pytest

from edgeproxy.cli.control_client import (
    Answer,
    NotRunningError,
    _not_reached,
    ask,
    control_socket_path,
)
from edgeproxy.errors import UnavailableError
from tests.support.configs import loaded
from tests.support.control import control_socket


def test_one_question_one_answer(tmp_path):
    path = tmp_path / "a.sock"
    with control_socket(
        path, (200, {"a": 1}), (404, {"title": "Not Found", "detail": "x"})
    ) as heard:
        assert ask(path, "GET", "v1", "certificates") == Answer(200, {"a": 1})
        answer = ask(path, "POST", "v1", "certificates", "*.a/b?", "revert")
    assert heard == [
        "GET /v1/certificates HTTP/1.1",
        "POST /v1/certificates/%2A.a%2Fb%3F/revert HTTP/1.1",
    ]
    assert not answer.is_fine
    assert answer.fault == "Not Found: x"
    assert Answer(500, {}).fault == "status 500"


def test_nobody_is_there(tmp_path):
    with pytest.raises(NotRunningError, match="nobody listens on"):
        ask(tmp_path / "a.sock", "GET", "v1")
    with control_socket(tmp_path / "b.sock"):
        pass
    with pytest.raises(NotRunningError):
        ask(tmp_path / "b.sock", "GET", "v1")


@pytest.mark.parametrize(
    "raw",
    [
        b"junk\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\njunk",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 9_000_000,
    ],
)
def test_an_answer_that_cannot_be_read(tmp_path, raw):
    refused = pytest.raises(UnavailableError, match="no answer that can be read")
    with control_socket(tmp_path / "a.sock", raw=raw), refused:
        ask(tmp_path / "a.sock", "GET", "v1")


def test_no_answer_in_time(tmp_path):
    refused = pytest.raises(UnavailableError, match=r"no answer within 0\.05 s")
    with control_socket(tmp_path / "a.sock", raw=b""), refused:
        ask(tmp_path / "a.sock", "GET", "v1", timeout_seconds=0.05)


def test_a_socket_of_somebody_else(tmp_path):
    error = _not_reached(tmp_path, PermissionError(13, os.strerror(13)))
    assert isinstance(error, PermissionError)
    other = _not_reached(tmp_path, OSError(5, "broken"))
    assert str(other) == f"{tmp_path}: broken"


def test_where_the_socket_is(tmp_path, monkeypatch):
    config = loaded(tmp_path)
    monkeypatch.setenv("STATE_DIRECTORY", "/run/a:/run/b")
    assert control_socket_path(config) == Path("/run/a") / f"{config.pop.name}.sock"
