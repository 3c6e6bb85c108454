"""The process itself under bad conditions: nobody reads what it says, descriptors run out, it is
told to end twice. Real processes, real sockets, real signals.
"""

import asyncio
import os
import resource
import socket
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.barrier import Barrier
from tests.support.h2_client import h2_client
from tests.support.pop import ENTRY, make_place, scripted_origin
from tests.support.served import Served, command

LINES, BATCH = 800, 80  # of some 200 bytes: more than a pipe holds


@asynccontextmanager
async def serving(tmp_path, *, prepare="", stdout=asyncio.subprocess.DEVNULL, limits=""):
    """Run a PoP of its own behind a shell that prepares its surroundings."""
    place = make_place(tmp_path)
    async with scripted_origin(place.ca) as origin:
        origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60")
        text = place.text(origin.url, rules=ENTRY, limits=limits, access_log=True)
        text = text.replace('level = "warning"', 'level = "info"')
        (tmp_path / "edge.toml").write_text(text)
        program = command("serve", "-c", tmp_path / "edge.toml")
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", f'{prepare} exec "$@"', "sh", *program),
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
            stdin=asyncio.subprocess.DEVNULL,
        )
        edge = Served(process)
        try:
            await edge.started()
            yield edge, origin, place.ca.path
        finally:
            await edge.gone()


async def served_again(port: int, ca: Path) -> int:
    """Ask on a new connection: some are still refused until those of the crowd are closed."""
    async with asyncio.timeout(10):
        while True:
            try:
                async with h2_client(port, ca) as client:
                    return (await client.get("/a")).status
            except ConnectionError:
                await asyncio.sleep(0)


async def ends_well(edge: Served) -> None:
    edge.terminate()
    assert await edge.ended() == 0
    assert "Traceback" not in edge.said
    assert "Fatal" not in edge.said


@pytest.mark.parametrize("has_reader", [False, True], ids=["gone", "asleep"])
async def test_an_access_log_that_nobody_reads_holds_nobody_up(tmp_path, has_reader):
    reader, writer = os.pipe()
    try:
        async with serving(tmp_path, stdout=writer) as (edge, _, ca):
            if not has_reader:
                os.close(reader)
            async with h2_client(edge.port, ca) as client:
                for _ in range(LINES // BATCH):
                    replies = [client.send("GET", "/a") for _ in range(BATCH)]
                    assert {(await reply.whole()).status for reply in replies} == {200}
            await ends_well(edge)
            assert ("lines are lost" in edge.said) == has_reader
    finally:
        os.close(writer)
        if has_reader:
            os.close(reader)


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "0<&- 1>&-"])
async def test_closed_standard_descriptors_go_to_no_socket(tmp_path, closed):
    async with serving(tmp_path, prepare=f"exec {closed};", stdout=None) as (edge, _, ca):
        async with h2_client(edge.port, ca) as client:
            assert (await client.get("/a")).status == 200
        await ends_well(edge)


async def test_running_out_of_descriptors_ends_nothing_but_new_connections(tmp_path):
    async with serving(tmp_path, prepare="ulimit -n 48;") as (edge, _, ca):
        async with h2_client(edge.port, ca) as client:
            await client.get("/a")
            crowd = [socket.create_connection(("127.0.0.1", edge.port)) for _ in range(60)]
            assert (await client.get("/a")).status == 200
            for each in crowd:
                each.close()
        assert await served_again(edge.port, ca) == 200
        await ends_well(edge)
        assert "open files are allowed" in edge.said


async def test_the_limit_of_descriptors_is_raised(tmp_path):
    async with serving(tmp_path, prepare="ulimit -Sn 256;") as (edge, _, _ca):
        hard = resource.prlimit(edge._process.pid, resource.RLIMIT_NOFILE)
        share = 10_000 // len(os.sched_getaffinity(0)) + 256  # each worker has its own limit
        assert hard[0] >= min(share, hard[1])
        await ends_well(edge)


async def refused(port: int) -> None:
    """Wait until nobody can connect any more."""
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            except ConnectionResetError:  # it was closed between our SYN and the answer
                continue
            writer.close()


async def test_nobody_is_left_in_the_queue_of_a_listener_that_drains(tmp_path):
    async with serving(tmp_path) as (edge, origin, ca):
        origin.on("GET", "/never").reply(200).hold(Barrier())
        async with h2_client(edge.port, ca) as client:
            client.send("GET", "/never")
            await origin.asked_for(1)
            edge.terminate()
            await edge.says("draining")
            await refused(edge.port)
            edge.terminate()
            assert await edge.ended() == 0
            assert "told to hurry with 1 connections open" in edge.said
