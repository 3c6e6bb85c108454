import os
import re
import signal
import socket

import pytest

from edgeproxy.emulator.demo import run, serve_demo
from edgeproxy.emulator.options import DemoOptions
from edgeproxy.errors import UnavailableError


def options(folder, **ports):
    chosen = {"https_port": 0, "http_port": 0, "origin_port": 0} | ports
    return DemoOptions(folder=folder, origin_latency_seconds=0.0, **chosen)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_says_where_it_is_and_ends_when_told(tmp_path, number):
    said = []

    def announce(text: str) -> None:
        said.append(text)
        if len(said) == 1:
            os.kill(os.getpid(), number)

    await serve_demo(options(tmp_path / "demo"), announce)

    where, ending = said
    ports = re.findall(r"https?://localhost:(\d+)/", where)
    assert len(set(ports)) == 3
    assert f"curl --http2 --cacert {tmp_path / 'demo' / 'ca.pem'} -i" in where
    assert "Ending" in ending


async def test_metrics_are_shown_where_one_asks_for_them(tmp_path):
    said = []

    def announce(text: str) -> None:
        said.append(text)
        if len(said) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    await serve_demo(options(tmp_path, metrics_port=0), announce)
    assert re.search(r"The metrics http://localhost:[0-9]+/metrics\n", said[0])


async def test_after_the_end_the_ports_are_free(tmp_path):
    ports = []

    def announce(text: str) -> None:
        if not ports:
            ports.extend(map(int, dict.fromkeys(re.findall(r"localhost:(\d+)/", text))))
            os.kill(os.getpid(), signal.SIGINT)

    await serve_demo(options(tmp_path), announce)
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 1)


@pytest.mark.parametrize("which", ["https_port", "http_port", "origin_port"])
def test_a_taken_port_is_said_plainly(tmp_path, which):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            UnavailableError, match=rf"127\.0\.0\.1:{port}: the port is taken.*--https-port"
        ):
            run(options(tmp_path, **{which: port}))
