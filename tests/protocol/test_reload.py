"""A reload as operators ask for it: by signal, by command, heard by a service manager."""

import asyncio
import json
import os
import signal
import socket

import pytest

from tests.support.h2_client import h2_client
from tests.support.pop import ENTRY, make_place, scripted_origin
from tests.support.served import run, served

PASS = ENTRY.replace('policy = "entry"', 'policy = "pass"')


@pytest.fixture
def manager(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield sock


async def heard(manager, *wanted: bytes) -> None:
    """Wait until these beginnings were heard, in that order."""
    left = list(wanted)
    async with asyncio.timeout(60):
        while left:
            said = await asyncio.get_running_loop().sock_recv(manager, 1000)
            if said.startswith(left[0]):
                del left[0]


async def test_signal_command_and_manager(tmp_path, manager):
    place = make_place(tmp_path)
    path = tmp_path / "edge.toml"
    async with scripted_origin(place.ca) as origin:
        origin.on("GET", "/a").reply(200, b"hello")
        text = place.text(origin.url, rules=ENTRY).replace('level = "warning"', 'level = "info"')
        path.write_text(text)
        async with served(path) as edge, h2_client(edge.port, place.ca.path) as client:
            await heard(manager, b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1")
            await client.get("/a")
            path.write_text(text.replace(ENTRY, PASS))
            os.kill(edge._process.pid, signal.SIGHUP)
            await edge.says("configuration reloaded, changed: host")
            await heard(manager, b"RELOADING=1\nMONOTONIC_USEC=", b"READY=1")
            assert "fwd=bypass" in (await client.get("/a"))["cache-status"]

            path.write_text(text)
            code, out, _ = await run("reload", "-c", path, "--json")
            assert (code, json.loads(out)["changed"]) == (0, ["host"])
            assert (await client.get("/a"))["cache-status"].startswith("fra1; hit")

            line = text[: text.index("https =")].count("\n") + 1
            path.write_text(text.replace("127.0.0.1:0", "127.0.0.1:1"))
            code, out, _ = await run("reload", "-c", path, "--json")
            [problem] = json.loads(out)["problems"]
            assert (code, problem["path"], problem["line"]) == (78, "listen.https", line)
            code, _, said = await run("reload", "-c", path)
            assert code == 78
            assert f"error: {path}:{line}: listen.https: cannot change" in said
            await edge.says(f"nothing has changed: {path}:{line}: ")
            assert (await client.get("/a"))["cache-status"].startswith("fra1; hit")

            edge.terminate()
            await heard(manager, b"STOPPING=1\nSTATUS=draining")
            assert await edge.ended() == 0
