"""`edgeproxy serve --take-over`: another program goes on with the sockets, and nobody notices."""

import asyncio
import hashlib
import re
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest

from tests.protocol.test_workers import BORN, PIECES, Stage, gone
from tests.support.barrier import Barrier
from tests.support.h1_client import h1_client
from tests.support.h2_crowd import h2_crowd
from tests.support.operators import curl
from tests.support.pop import ENTRY, make_place, scripted_origin
from tests.support.served import PATIENCE_SECONDS, run, served

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
        host='aliases = ["127.0.0.1"]',
        listen=f'metrics = "127.0.0.1:0"\nworkers = {workers}\n{listen}',
    )
    return text.replace('level = "warning"', 'level = "info"')


@asynccontextmanager
async def stage_of(tmp_path, *, workers=2, **more):
    place = make_place(tmp_path, "localhost", "127.0.0.1")
    path = tmp_path / "edge.toml"
    async with scripted_origin(place.ca) as origin:
        origin.on("GET", "/a").reply(200, b"hello", cache_control="max-age=600")
        path.write_text(config_of(place, origin, workers=workers, **more))
        async with served(path) as edge:
            pids = {name: int(pid) for name, pid in re.findall(BORN, edge.said)}
            stage = Stage(place, origin, edge, pids)
            stage.metrics_port = await edge.metrics_port()
            stage.path = path
            yield stage


@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 1)])
async def test_nobody_is_refused_and_nothing_is_cut(tmp_path, before, after):
    async with stage_of(tmp_path, workers=before) as stage, AsyncExitStack() as stack:
        reply = stage.origin.on("GET", "/large").reply(200, PIECES, cache_control="no-store")
        reply.pause(16, middle := Barrier())
        port, ca_file = stage.edge.port, stage.place.ca.path
        h2 = await stack.enter_async_context(one_of_h2(port, ca_file, "/large"))
        h1 = await stack.enter_async_context(h1_client(port, ca_file))
        h1.send("GET", "/large")
        older = await h1.reply()
        await h2.first_bytes()
        stage.path.write_text(config_of(stage.place, stage.origin, workers=after))

        async with Crowd(port, ca_file).coming(6) as crowd:
            await crowd.more(20)
            new = await stack.enter_async_context(served(stage.path, arguments=TAKE_OVER))
            assert new.port == port
            await stage.edge.has_said(f"process {new.pid} has taken over")
            status = await stage.until(lambda said: said["pid"] == new.pid)
            assert (status["phase"], status["predecessor"]) == ("serving", stage.edge.pid)
            await stage.until(lambda said: len(said["workers"]) == after)
            code, out, _ = await run("status", "-c", stage.path)
            assert code == 0
            assert f"from process {stage.edge.pid}, which finishes" in out
            await crowd.more(40)
            middle.open()
            assert (await older.whole()).body == WHOLE
            await h2.closed()
            assert h2.members[0].digest == hashlib.sha256(WHOLE).digest()
            assert await stage.edge.ended() == 0
            await gone(*stage.pids.values())
            await stage.until(lambda said: said["predecessor"] is None)
            await crowd.more(40)
            assert (await curl(f"http://127.0.0.1:{stage.metrics_port}/healthz")).status == 200
