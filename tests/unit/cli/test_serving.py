import signal
import socket
import subprocess
import sys

import pytest

from edgeproxy.cli.shell import CONFIGURATION, OK, UNAVAILABLE
from tests.support.cli import certified, config_file, invoke, run_program


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return certified(tmp_path_factory.mktemp("cli"))


def test_serve_does_not_start_with_faults(folder):
    result = invoke("serve", "-c", config_file(folder, ("test1", "9")))
    assert result.exit_code == CONFIGURATION


@pytest.fixture
def taken_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_a_port_that_somebody_has(folder, taken_port):
    result = run_program("serve", "-c", config_file(folder, port=taken_port))
    assert result.returncode == UNAVAILABLE
    assert str(taken_port) in result.stderr


def test_a_demo_whose_port_somebody_has(tmp_path, taken_port):
    ports = ("--https-port", 0, "--http-port", 0, "--origin-port", taken_port)
    result = run_program("demo", *ports, "--folder", tmp_path)
    assert result.returncode == UNAVAILABLE
    assert str(taken_port) in result.stderr


def test_serve_runs_until_it_is_told_to_stop(folder):
    command = [sys.executable, "-m", "edgeproxy", "serve", "-c", str(config_file(folder))]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            announced = ""
            while "listening" not in announced:
                announced = process.stderr.readline()
                assert announced, "it ended"
            process.send_signal(signal.SIGTERM)
            process.stderr.read()
            code = process.wait(60)
        finally:
            process.kill()
    assert "127.0.0.1" in announced
    assert code == OK
