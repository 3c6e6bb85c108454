import asyncio
import socket

import pytest


@pytest.fixture
async def manager(tmp_path, monkeypatch):
    """Return a queue of what a service manager hears, which always listens."""
    said: asyncio.Queue = asyncio.Queue()
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        loop.add_reader(sock, lambda: said.put_nowait(sock.recv(1000)))
        yield said
        loop.remove_reader(sock)
