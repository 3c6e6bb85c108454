"""Several workers under `edgeproxy serve`: what each death breaks, and what all of them share."""

import asyncio
import os
import re
import signal
import socket
import ssl
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support import clients
from tests.support.barrier import Barrier
from tests.support.h1_client import h1_client
from tests.support.operators import curl, curl_json
from tests.support.pop import ENTRY, make_place, scripted_origin
from tests.support.served import PATIENCE_SECONDS, PROGRAM, served

BORN = r"(steward|worker \d) is process (\d+)"
PIECES = [bytes([number]) * 2**16 for number in range(32)]


class Stage:
    """A PoP of two workers, its origin and its files."""

    def __init__(self, place, origin, edge, pids):
        self.place, self.origin, self.edge, self.pids = place, origin, edge, pids

    @property
    def main(self) -> int:
        return self.edge._process.pid

    async def status(self) -> dict:
        return (await curl_json(self.place.folder / "state" / "fra1.sock", "/v1/status"))[1]

    async def metrics(self) -> dict[str, float]:
        text = (await curl(f"http://127.0.0.1:{self.metrics_port}/metrics")).body.decode()
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    async def reborn(self, name: str, pid: int) -> int:
        """Kill one and wait for the next."""
        os.kill(pid, signal.SIGKILL)
        found = await self.edge.says(rf"{name} is process (\d+)")
        self.pids[name] = int(found[1])
        return self.pids[name]

    async def until(self, condition):
        """Wait until what the PoP says of itself is so; each question is a round trip."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    status = await self.status()
                    if condition(status):
                        return status
                except (AssertionError, ValueError, KeyError, IndexError):
                    pass  # no steward at this moment

    async def served_by(self) -> dict[int, int]:
        return {each["worker"]: each["connections"] for each in (await self.status())["workers"]}

    async def client_of(self, stack: AsyncExitStack, worker: int):
        """Return a client that this worker serves."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                before = (await self.served_by())[worker]
                client = await stack.enter_async_context(
                    h1_client(self.edge.port, self.place.ca.path)
                )
                if (await self.served_by())[worker] > before:
                    return client


@asynccontextmanager
async def two_workers(tmp_path, program=PROGRAM, **tables):
    place = make_place(tmp_path, "localhost", "127.0.0.1")
    path = tmp_path / "edge.toml"
    async with scripted_origin(place.ca) as origin:
        origin.on("GET", "/a").reply(200, b"hello", cache_control="max-age=600")
        text = place.text(
            origin.url,
            rules=tables.pop("rules", ENTRY),
            host='aliases = ["127.0.0.1"]',
            listen='metrics = "127.0.0.1:0"\nworkers = 2\n' + tables.pop("listen", ""),
            **tables,
        )
        path.write_text(text.replace('level = "warning"', 'level = "info"'))
        async with served(path, program=program) as edge:
            pids = {name: int(pid) for name, pid in re.findall(BORN, edge.said)}
            stage = Stage(place, origin, edge, pids)
            found = await edge.says(r"http://127\.0\.0\.1:(\d+) \(metrics\)")
            stage.metrics_port = int(found[1])
            yield stage


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def gone(*pids: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while any(is_alive(pid) for pid in pids):
            await asyncio.to_thread(os.sched_yield)


def descriptors_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def children_of(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


async def test_both_serve_and_their_numbers_are_added(tmp_path):
    async with two_workers(tmp_path) as stage:
        command = ("h2load", "-n", "6000", "-c", "60", f"https://127.0.0.1:{stage.edge.port}/a")
        printed = (await asyncio.to_thread(clients.run, *command)).stdout.decode()
        assert "6000 succeeded, 0 failed" in printed
        shown = await stage.metrics()
        requests = [n for name, n in shown.items() if name.startswith("edge_requests_total")]
        assert (sum(requests), shown["edge_workers"]) == (6000, 2)
        cpu = [shown[f'edge_worker_cpu_seconds_total{{worker="{index}"}}'] for index in (0, 1)]
        assert min(cpu) > 0.2 * max(cpu)  # connections are dealt out by chance
        stage.edge.terminate()
        assert await stage.edge.ended() == 0
    await gone(*stage.pids.values())


async def test_a_worker_that_is_killed_breaks_its_own_connections_only(tmp_path):
    async with two_workers(tmp_path) as stage, AsyncExitStack() as stack:
        ours, others = await stage.client_of(stack, 0), await stage.client_of(stack, 1)
        for client in (ours, others):
            assert (await client.get("/a")).body == b"hello"
        await stage.status()
        descriptors = descriptors_of(stage.main)
        pid = await stage.reborn("worker 0", stage.pids["worker 0"])
        assert await ours.closed() == b""
        assert (await others.get("/a")).body == b"hello"
        status = await stage.until(lambda said: pid in [each["pid"] for each in said["workers"]])
        assert status["worker_restarts"] == 1
        assert status["counters"]["requests"] == 3  # what the dead one counted is not lost
        assert (await (await stage.client_of(stack, 0)).get("/a")).body == b"hello"
        assert children_of(stage.main) == set(stage.pids.values())
        assert descriptors_of(stage.main) == descriptors


async def test_a_steward_that_is_killed_is_replaced_and_certificates_go_on(tmp_path):
    async with two_workers(tmp_path) as stage:
        await stage.reborn("steward", stage.pids["steward"])
        status = await stage.until(lambda said: len(said["workers"]) == 2)
        assert (status["phase"], status["steward"]["restarts"]) == ("serving", 1)
        assert (await stage.metrics())["edge_steward_restarts_total"] == 1
        await rotate(stage)


async def rotate(stage) -> None:
    """Put another certificate in place, say so by a signal, and see it on both workers."""
    leaf, place = stage.place.ca.issue("localhost", "127.0.0.1"), stage.place
    place.leaf.key_path.write_bytes(leaf.key_path.read_bytes())
    place.leaf.chain_path.write_bytes(leaf.chain_path.read_bytes())
    os.kill(stage.main, signal.SIGHUP)
    await stage.until(lambda said: said["counters"]["certificate_swaps"] == {"localhost": 1})
    expected = leaf.certificate.public_bytes(Encoding.DER)
    async with asyncio.timeout(PATIENCE_SECONDS):
        fresh = 0
        while fresh < 12:  # two workers: one that was not told is met with 4095 in 4096
            shown = await asyncio.to_thread(
                ssl.get_server_certificate, ("127.0.0.1", stage.edge.port)
            )
            fresh = fresh + 1 if ssl.PEM_cert_to_DER_cert(shown) == expected else 0


async def test_a_session_is_resumed_by_whichever_worker(tmp_path):
    async with two_workers(tmp_path) as stage:
        context = stage.place.ca.client_context()

        def ask(session=None):
            with (
                socket.create_connection(("127.0.0.1", stage.edge.port)) as raw,
                context.wrap_socket(raw, server_hostname="localhost", session=session) as sock,
            ):
                sock.sendall(b"GET /a HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                while sock.recv(65536):
                    pass
                return sock.session, sock.session_reused

        session, _ = await asyncio.to_thread(ask)
        for _ in range(12):
            session, is_reused = await asyncio.to_thread(ask, session)
            assert is_reused
        used = await stage.metrics()
        cpu = [used[f'edge_worker_cpu_seconds_total{{worker="{index}"}}'] for index in (0, 1)]
        assert min(cpu) > 0
        memory = (await stage.status())["cache"]["memory"]
        assert memory["objects"] == 2  # so both have served


async def test_what_a_write_invalidates_is_forgotten_by_all(tmp_path):
    async with two_workers(tmp_path) as stage, AsyncExitStack() as stack:
        stage.origin.on("POST", "/a").reply(204, b"")
        one, other = await stage.client_of(stack, 0), await stage.client_of(stack, 1)
        for client in (one, other):
            await client.get("/a")
        assert (await stage.status())["cache"]["memory"]["objects"] == 2
        one.send("POST", "/a")
        assert (await one.reply()).status == 204
        assert (await stage.status())["cache"]["memory"]["objects"] == 0


async def test_downloads_finish_on_all_workers_and_a_second_signal_ends_them(tmp_path):
    for is_hurried in (False, True):
        folder = tmp_path / str(is_hurried)
        folder.mkdir()
        async with two_workers(folder) as stage, AsyncExitStack() as stack:
            reply = stage.origin.on("GET", "/large").reply(200, PIECES, cache_control="no-store")
            reply.pause(16, middle := Barrier())
            asking = [await stage.client_of(stack, worker) for worker in (0, 1)]
            replies = []
            for client in asking:
                client.send("GET", "/large")
                replies.append(await client.reply())
            stage.edge.terminate()
            await stage.edge.says("draining")
            if is_hurried:
                stage.edge.terminate()
            else:
                middle.open()
                for answer in replies:
                    assert (await answer.whole()).body == b"".join(PIECES)
            assert await stage.edge.ended() == 0
            if is_hurried:
                await stage.edge.has_said(r"told to hurry with \d+ connections")
            assert ("told to hurry" in stage.edge.said) is is_hurried
            middle.open()
        await gone(*stage.pids.values())


async def test_nobody_outlives_the_main_process(tmp_path):
    async with two_workers(tmp_path) as stage:
        os.kill(stage.main, signal.SIGKILL)
        await gone(*stage.pids.values())


async def kill_whoever_is_born(edge) -> None:
    while True:
        found = await edge.says(r"worker \d is process (\d+)")
        os.kill(int(found[1]), signal.SIGKILL)


async def test_workers_that_never_get_ready_end_everything_with_a_reason(tmp_path):
    async with two_workers(tmp_path) as stage:
        os.kill(stage.pids["steward"], signal.SIGSTOP)  # from now on nobody gets identities
        os.kill(stage.pids["worker 1"], signal.SIGKILL)
        os.kill(stage.pids["worker 0"], signal.SIGKILL)
        with pytest.raises(AssertionError, match="it never said"):
            await kill_whoever_is_born(stage.edge)
        assert await stage.edge.ended() == 69
        assert "processes ended before they could serve, and none is serving" in stage.edge.said
        await gone(*stage.pids.values())
