"""A reload as operators ask for it: by signal, by command, heard by a service manager."""

import asyncio
import json
import os
import signal
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from edgeproxy.runtime.due import DEATHS_MAX
from tests.protocol.test_workers import two_workers
from tests.support.h1_client import h1_client
from tests.support.h2_client import h2_client
from tests.support.manager import heard
from tests.support.pop import ENTRY, make_place, scripted_origin
from tests.support.served import IMPATIENT, PATIENCE_SECONDS, run, served

PASS = ENTRY.replace('policy = "entry"', 'policy = "pass"')


@pytest.mark.parametrize("workers", [1, 2])
async def test_signal_command_and_manager(tmp_path, manager, workers):
    place = make_place(tmp_path)
    path = tmp_path / "edge.toml"
    async with scripted_origin(place.ca) as origin:
        origin.on("GET", "/a").reply(200, b"hello")
        text = place.text(origin.url, rules=ENTRY, listen=f"workers = {workers}")
        text = text.replace('level = "warning"', 'level = "info"')
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


async def reload(stage, text: str) -> tuple[int, dict]:
    path = stage.place.folder / "edge.toml"
    path.write_text(text)
    code, out, _ = await run("reload", "-c", path, "--json")
    return code, json.loads(out)


async def all_say(stage, clients, part: str) -> None:
    for client in clients:
        assert part in (await client.get("/a"))["cache-status"]


async def test_all_workers_take_it_and_whoever_follows_one_begins_with_it(tmp_path):
    async with two_workers(tmp_path) as stage, AsyncExitStack() as stack:
        clients = [await stage.client_of(stack, worker) for worker in (0, 1)]
        text = (tmp_path / "edge.toml").read_text()
        leaf = stage.place.ca.issue("other.example")
        pair = f'cert = {{ chain = "{leaf.chain_path}", key = "{leaf.key_path}" }}'
        other = f'[[host]]\nname = "other.example"\norigin = "assets"\n{pair}\n{PASS}[log]'
        passing = text.replace(ENTRY, PASS).replace("[log]", other, 1)
        assert (await reload(stage, passing))[1]["changed"] == ["host"]
        await all_say(stage, clients, "fwd=bypass")
        assert (await stage.metrics())['edge_reloads_total{result="reloaded"}'] == 1

        (tmp_path / "edge.toml").write_text("nothing that anybody could read")
        pid = await stage.reborn("worker 0", stage.pids["worker 0"])
        await stage.until(lambda said: pid in [each["pid"] for each in said["workers"]])
        await stage.reborn("steward", stage.pids["steward"])
        await stage.until(lambda said: len(said["workers"]) == 2)
        pid = await stage.reborn("worker 1", stage.pids["worker 1"])
        await stage.until(lambda said: pid in [each["pid"] for each in said["workers"]])
        clients = [await stage.client_of(stack, worker) for worker in (0, 1)]
        await all_say(stage, clients, "fwd=bypass")
        for _ in range(6):
            async with h1_client(stage.edge.port, stage.place.ca.path, name="other.example") as one:
                assert (await one.get("/a")).status == 200

        moved = passing.replace("workers = 2", "workers = 3")
        code, document = await reload(stage, moved)
        assert (code, document["problems"][0]["path"]) == (78, "listen.workers")
        assert (await reload(stage, text))[1]["changed"] == ["host"]
        clients = [await stage.client_of(stack, worker) for worker in (0, 1)]
        for client in clients:
            await client.get("/a")
        await all_say(stage, clients, "fra1; hit")
        stage.edge.terminate()
        assert await stage.edge.ended() == 0


async def test_a_signal_that_a_steward_did_not_live_to_obey_is_for_its_successor(tmp_path):
    async with two_workers(tmp_path) as stage, AsyncExitStack() as stack:
        clients = [await stage.client_of(stack, worker) for worker in (0, 1)]
        path = tmp_path / "edge.toml"
        path.write_text(path.read_text().replace(ENTRY, PASS))
        os.kill(stage.pids["steward"], signal.SIGSTOP)
        stage.edge.hang_up()
        await stage.reborn("steward", stage.pids["steward"])
        await stage.edge.says("configuration reloaded, changed: host")
        await stage.until(lambda said: len(said["workers"]) == 2)
        await all_say(stage, clients, "fwd=bypass")


async def test_a_worker_that_hangs_is_replaced_and_keeps_nobody_from_changing(tmp_path, manager):
    async with two_workers(tmp_path, IMPATIENT) as stage, AsyncExitStack() as stack:
        client = await stage.client_of(stack, 0)
        text = (tmp_path / "edge.toml").read_text()
        os.kill(stage.pids["worker 1"], signal.SIGSTOP)
        assert (await reload(stage, text.replace(ENTRY, PASS)))[1]["changed"] == ["host"]
        await stage.edge.has_said("worker 1, process .* it hangs, and is killed")
        await all_say(stage, [client], "fwd=bypass")
        status = await stage.until(lambda said: len(said["workers"]) == 2)
        assert (status["worker_restarts"], status["worker_hangs"]) == (1, 1)
        await all_say(stage, [await stage.client_of(stack, 1)], "fwd=bypass")

        workers = [each["pid"] for each in (await stage.status())["workers"]]
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        for _ in workers:
            await stage.edge.says("has said nothing for 3 s: it hangs, and is killed")
        said = await stage.until(lambda said: len(others(said, workers)) == 2)
        assert said["worker_hangs"] == 3
        while not manager.empty():
            manager.get_nowait()
        await heard(manager, b"WATCHDOG=1")
        await all_say(stage, [await stage.client_of(stack, 0)], "fwd=bypass")
        assert (await stage.metrics())["edge_worker_hangs_total"] == 3


def others(status, pids) -> set[int]:
    return {each["pid"] for each in status["workers"]} - set(pids)


async def test_a_reload_outlives_its_steward_but_not_every_one(tmp_path):
    async with two_workers(tmp_path) as stage, AsyncExitStack() as stack:
        client = await stage.client_of(stack, 0)
        path = tmp_path / "edge.toml"
        text = path.read_text().replace(ENTRY, PASS)
        hold(path)
        stage.edge.hang_up()
        async with read_by_a_steward(path):
            (tmp_path / "next.toml").write_text(text)
            (tmp_path / "next.toml").replace(path)
            await stage.reborn("steward", stage.pids["steward"])
        await stage.edge.says("configuration reloaded, changed: host")
        await all_say(stage, [client], "fwd=bypass")

        hold(path)
        stage.edge.hang_up()
        for _ in range(DEATHS_MAX):
            async with read_by_a_steward(path):
                await stage.reborn("steward", stage.pids["steward"])
        await stage.edge.has_said("a reload is given up: no steward has outlived it")
        status = await stage.until(lambda said: len(said["workers"]) == 2)
        assert status["steward"]["restarts"] == 1 + DEATHS_MAX
        await all_say(stage, [client], "fwd=bypass")


def hold(path) -> None:
    """Let whoever reads the configuration wait."""
    path.unlink()
    os.mkfifo(path)


@asynccontextmanager
async def read_by_a_steward(path):
    """Wait until it is being read, and let the reader wait for the first octet."""
    writer = None
    async with asyncio.timeout(PATIENCE_SECONDS):
        while writer is None:
            try:
                writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # nobody reads it
                await asyncio.to_thread(os.sched_yield)
    yield
    os.close(writer)
