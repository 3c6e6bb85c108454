"""Tests for edgeproxy/runtime/process.py: real processes, ended by real signals."""

import signal

import pytest

from tests.support.pop import ENTRY, make_place
from tests.support.served import served


def written(tmp_path, limits: str = ""):
    text = make_place(tmp_path).text("https://127.0.0.1:9", rules=ENTRY, limits=limits)
    path = tmp_path / "edge.toml"
    path.write_text(text.replace('level = "warning"', 'level = "info"'))
    return path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_until_a_signal(tmp_path, number):
    async with served(written(tmp_path)) as edge:
        edge._process.send_signal(number)
        assert await edge.ended() == 0
    assert '"message": "draining"' in edge.said


async def test_too_few_open_files_are_said(tmp_path):
    path = written(tmp_path, "max_connections = 1000000")
    async with served(path) as edge:
        edge.terminate()
        assert await edge.ended() == 0
    assert "open files are allowed, max_connections needs 1000256" in edge.said
