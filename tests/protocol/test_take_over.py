"""`edgeproxy serve --take-over`: another program goes on with the sockets, and nobody notices."""

import asyncio
import hashlib
import os
import re
import signal
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from tests.protocol.test_workers import BORN, PIECES, Stage, gone
from tests.support.barrier import Barrier
from tests.support.h1_client import h1_client
from tests.support.h2_crowd import h2_crowd
from tests.support.manager import heard
from tests.support.operators import curl
from tests.support.pop import ENTRY, make_place, scripted_origin
from tests.support.served import PATIENCE_SECONDS, run, served, starting

WHOLE = b"".join(PIECES)
TAKE_OVER = ("--take-over",)
one_of_h2 = partial(h2_crowd, connections=1, streams=1)


class Crowd:
    """Clients that come all the time, each with a connection of its own."""

    def __init__(self, port, ca_file):
        self._port, self._ca_file = port, ca_file
        self.served = 0
        self._served = asyncio.Condition()
        self._may_end = False

    async def _come(self, protocol) -> None:
        while not self._may_end:
            if protocol == "http/1.1":
                async with h1_client(self._port, self._ca_file) as one:
                    assert (await one.get("/a")).body == b"hello"
            else:
                async with one_of_h2(self._port, self._ca_file, "/a") as crowd:
                    await crowd.ended()
                    assert (crowd.members[0].is_whole, crowd.members[0].size) == (True, 5)
            async with self._served:
                self.served += 1
                self._served.notify_all()

    @asynccontextmanager
    async def coming(self, clients: int):
        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(self._come(("http/1.1", "h2")[number % 2]))
            yield self
            self._may_end = True

    async def more(self, count: int) -> None:
        """Wait until so many more were served."""
        enough = self.served + count
        async with asyncio.timeout(PATIENCE_SECONDS), self._served:
            await self._served.wait_for(lambda: self.served >= enough)


def config_of(place, origin, *, workers: int, listen: str = "") -> str:
    text = place.text(
        origin.url,
        rules=ENTRY,
        origin='between_bytes_timeout = "60s"',  # where the origin waits for the test
        host='aliases = ["127.0.0.1"]',
        listen=f'metrics = "127.0.0.1:0"\nworkers = {workers}\n{listen}',
    )
    text = text.replace('drain_timeout = "20s"', f'drain_timeout = "{PATIENCE_SECONDS}s"')
    return text.replace('level = "warning"', 'level = "info"')


@asynccontextmanager
async def stage_of(tmp_path, *, workers=2, arguments=(), listen=""):
    place = make_place(tmp_path, "localhost", "127.0.0.1")
    path = tmp_path / "edge.toml"
    async with scripted_origin(place.ca) as origin:
        origin.on("GET", "/a").reply(200, b"hello", cache_control="max-age=600")
        path.write_text(config_of(place, origin, workers=workers, listen=listen))
        async with served(path, arguments=arguments) as edge:
            pids = {name: int(pid) for name, pid in re.findall(BORN, edge.said)}
            stage = Stage(place, origin, edge, pids)
            stage.metrics_port = await edge.metrics_port()
            stage.path = path
            yield stage


async def test_nobody_is_refused_and_nothing_is_cut(tmp_path, manager):
    """From two workers over three to one: more sockets than before, and more than workers."""
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(stage_of(tmp_path, workers=2))
        reply = stage.origin.on("GET", "/large").reply(200, PIECES, cache_control="no-store")
        reply.pause(16, middle := Barrier())
        port, ca_file = stage.edge.port, stage.place.ca.path
        h2 = await stack.enter_async_context(one_of_h2(port, ca_file, "/large"))
        h1 = await stack.enter_async_context(h1_client(port, ca_file))
        h1.send("GET", "/large")
        older = await h1.reply()
        await h2.first_bytes()
        async with Crowd(port, ca_file).coming(4) as crowd:
            await crowd.more(20)
            before = stage.edge
            for workers in (3, 1):
                new = await taken_over(stack, stage, workers, manager)
                assert new.port == port
                await before.has_said(f"process {new.pid} has taken over")
                await crowd.more(20)
                if workers == 3:
                    await stage.until(lambda said, pid=before.pid: said["predecessor"] == pid)
                    _, out, _ = await run("status", "-c", stage.path)
                    assert f"from process {before.pid}, which finishes what it has begun" in out
                    middle.open()
                    assert (await older.whole()).body == WHOLE
                    await h2.closed()
                    member = h2.members[0]
                    assert (member.is_whole, member.size) == (True, len(WHOLE)), member
                    assert member.digest == hashlib.sha256(WHOLE).digest()
                assert await before.ended() == 0
                status = await stage.until(lambda said: said["predecessor"] is None)
                assert (status["phase"], status["pid"]) == ("serving", new.pid)
                await stage.until(lambda said, count=workers: len(said["workers"]) == count)
                before = new
            await gone(*stage.pids.values())
            await crowd.more(20)
            assert (await curl(f"http://127.0.0.1:{stage.metrics_port}/healthz")).status == 200
        new.terminate()
        assert await new.ended() == 0
        assert not list((tmp_path / "state").glob("fra1.[!l]*"))  # the lock's file stays


async def taken_over(stack, stage, workers, manager):
    """Let a program with so many workers take over, and the service manager hear of it."""
    stage.path.write_text(config_of(stage.place, stage.origin, workers=workers))
    new = await stack.enter_async_context(served(stage.path, arguments=TAKE_OVER))
    await heard(manager, b"MAINPID=%d" % new.pid, b"READY=1")
    return new


async def test_a_successor_that_fails_changes_nothing(tmp_path):
    async with stage_of(tmp_path) as stage, h1_client(stage.edge.port, stage.place.ca.path) as one:
        async with starting(stage.path, arguments=TAKE_OVER) as new:
            await hold(new)
            await stage.until(lambda said: said["successor"] == new.pid)
            code, out, _ = await run("status", "-c", stage.path)
            assert (code, f"process {new.pid} is about to take over" in out) == (0, True)
            code, _, said = await run("reload", "-c", stage.path)
            assert (code, "is about to take over: reload when it has" in said) == (78, True)
            code, _, said = await run("serve", "-c", stage.path, "--take-over")
            assert code == 69
            assert "cannot take over the PoP at" in said
            assert "another process takes over already" in said
            stage.edge.hang_up()
            new.kill()
            await stage.edge.says("a take-over has failed, this process goes on")
            await stage.edge.says("configuration reloaded, changed: nothing")  # it was due
        assert (await one.get("/a")).body == b"hello"
        status = await stage.status()
        assert (status["successor"], status["pid"]) == (None, stage.edge.pid)
        taken = 'https = "127.0.0.1:0"', f'https = ["127.0.0.1:0", "127.0.0.1:{stage.edge.port}"]'
        stage.path.write_text(stage.path.read_text().replace(*taken))
        code, _, said = await run("serve", "-c", stage.path, "--take-over")
        assert (code, "the port is taken by another program" in said) == (69, True)
        assert (await one.get("/a")).body == b"hello"


async def test_a_successor_goes_on_where_the_other_one_dies(tmp_path, manager):
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(stage_of(tmp_path, arguments=TAKE_OVER))
        assert "there is nothing to take over: no PoP named fra1 runs on" in stage.edge.said
        port = stage.edge.port
        moved = config_of(stage.place, stage.origin, workers=2)
        moved = moved.replace('metrics = "127.0.0.1:0"', 'http_redirect = "127.0.0.1:0"')
        stage.path.write_text(moved)
        new = await stack.enter_async_context(starting(stage.path, arguments=TAKE_OVER))
        await hold(new)
        await stage.edge.gone()
        os.kill(new.pid, signal.SIGCONT)
        await new.says(f"process {stage.edge.pid}, which was taken over, has ended")
        await new.started()
        await new.says("redirects to https")
        assert new.port == port
        async with h1_client(port, stage.place.ca.path) as one:
            assert (await one.get("/a")).body == b"hello"
        status = await stage.until(lambda said: said["phase"] == "serving")
        assert (status["pid"], status["predecessor"]) == (new.pid, None)


async def hold(new) -> None:
    """Keep a successor, which has got everything, from getting ready."""
    await new.says("taking over from process")
    os.kill(new.pid, signal.SIGSTOP)
