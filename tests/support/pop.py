"""A whole point of presence on loopback: real sockets, real TLS on both sides, a scripted origin.

    async with running_pop(tmp_path, rules=ENTRY) as pop:
        pop.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60")
        answer = await pop.curl("/a", "--http2")
        async with pop.h2() as client:
            reply = await client.get("/a")
        assert pop.origin.requests == 1

Its configuration is text that an operator could have written. Without a socket, use
`tests/support/edge.py`; as a process of its own, `tests/support/served.py`.
"""

import asyncio
import time
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from edgeproxy.clock import Clock
from edgeproxy.config.load import load_text
from edgeproxy.edge.handler import Edge
from edgeproxy.observe.counters import Counters
from edgeproxy.runtime.worker import PointOfPresence
from edgeproxy.store.memory import MemoryStore
from tests.support import clients
from tests.support.barrier import settle
from tests.support.ca import Leaf, LocalCa
from tests.support.clock import ManualClock
from tests.support.h1_client import PATIENCE_SECONDS, H1Client, h1_client
from tests.support.h2_client import H2Client, h2_client
from tests.support.origin import ScriptedOrigin

ORIGIN_NAME = "origin.test"

_TEXT = """\
config_version = 1

[pop]
name = "fra1"
state_dir = "{state_dir}"

[listen]
https = "127.0.0.1:{port}"
{listen}

[limits]
drain_timeout = "20s"
{limits}

[origin.assets]
urls = ["{url}"]
host = "{origin_name}"
{origin}
tls = {{ ca_file = "{ca}" }}

[[host]]
name = "localhost"
origin = "assets"
cert = {{ chain = "{chain}", key = "{key}" }}
{host}
{rules}
[log]
level = "warning"
access = {{ enabled = {access_log} }}
"""

# No test waits for these; a busy machine may take longer than what is given by default.
_PATIENCE = ("connect_timeout", "first_byte_timeout", "between_bytes_timeout")

ENTRY = """
[[host.rule]]
id = "entry"
path = "/**"
policy = "entry"
"""
"""Everything is reused for a minute, and after that for a day while the origin fails."""


@dataclass(frozen=True)
class Place:
    """Where a PoP's files are: its authority and its certificate."""

    folder: Path
    ca: LocalCa
    leaf: Leaf

    def text(
        self,
        url: str,
        *,
        rules: str = "",
        origin: str = "",
        host: str = "",
        limits: str = "",
        listen: str = "",
        state_dir: str = "state",
        ca_file: Path | None = None,
        port: int = 0,
        access_log: bool = False,
    ) -> str:
        """Return a configuration; the arguments are lines for its tables."""
        patience = "".join(f'{name} = "60s"\n' for name in _PATIENCE if name not in origin)
        return _TEXT.format(
            url=url,
            rules=rules,
            host=host,
            limits=limits,
            listen=listen if "workers" in listen else f"{listen}\nworkers = 1",
            state_dir=state_dir,
            ca=ca_file or self.ca.path,
            chain=self.leaf.chain_path,
            key=self.leaf.key_path,
            port=port,
            origin_name=ORIGIN_NAME,
            origin=f"{patience}{origin}",
            access_log="true" if access_log else "false",
        )


def make_place(folder: Path, *names: str) -> Place:
    ca = LocalCa(folder)
    return Place(folder, ca, ca.issue(*(names or ("localhost",))))


def clock_of_today() -> ManualClock:
    """A clock that stands still at a time at which certificates are good."""
    return ManualClock(float(int(time.time())))


@dataclass(frozen=True)
class RunningPop:
    """The PoP, and clients that trust its authority."""

    worker: PointOfPresence
    origin: ScriptedOrigin
    ca_file: Path
    name: str

    @property
    def port(self) -> int:
        return self.worker.https_addresses[0][1]

    @property
    def metrics_port(self) -> int:
        return self.worker.metrics_addresses[0][1]

    @property
    def edge(self) -> Edge:
        return self.worker.edge

    @property
    def store(self) -> MemoryStore:
        return self.worker.store

    @property
    def counters(self) -> Counters:
        return self.worker.counters

    def url(self, path: str) -> str:
        return f"https://{self.name}:{self.port}{path}"

    def _to_here(self) -> tuple[str, ...]:
        return ("--resolve", f"{self.name}:{self.port}:127.0.0.1")

    async def curl(self, path: str, *flags: str) -> clients.Answer:
        """Run curl, which must be content, and return what it printed."""
        flags = (*self._to_here(), *flags)
        return await asyncio.to_thread(clients.curl, self.url(path), *flags, ca=self.ca_file)

    async def plain_curl(self, path: str, *flags: str) -> clients.Answer:
        """Run curl where plain HTTP is heard."""
        port = self.worker.http_addresses[0][1]
        flags = ("--resolve", f"{self.name}:{port}:127.0.0.1", *flags)
        return await asyncio.to_thread(clients.curl, f"http://{self.name}:{port}{path}", *flags)

    async def curl_exit(self, path: str, *flags: str) -> tuple[int, bytes]:
        """Run curl; return its exit code and the content."""
        trust = ("--cacert", str(self.ca_file), *self._to_here())
        command = ("curl", "-sS", "--max-time", "30", *trust, *flags, self.url(path))
        done = await asyncio.to_thread(clients.run, *command, ok=False)
        return done.returncode, done.stdout

    async def fills_ended(self) -> None:
        """Wait until nothing is asked of the origin any more, in the background either."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.edge._flights.count:
                await settle()

    async def connected(self, count: int) -> None:
        """Wait until so many clients are connected."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.worker.connections != count:
                await settle()

    def h1(self) -> AbstractAsyncContextManager[H1Client]:
        return h1_client(self.port, self.ca_file, name=self.name)

    def h2(self, **options: int) -> AbstractAsyncContextManager[H2Client]:
        return h2_client(self.port, self.ca_file, name=self.name, **options)


@asynccontextmanager
async def scripted_origin(ca: LocalCa):
    """Run an origin over TLS under the name that configurations here ask for."""
    async with ScriptedOrigin(ca.issue(ORIGIN_NAME).server_context()) as origin:
        yield origin


@asynccontextmanager
async def serving(
    text: str, folder: Path, origin: ScriptedOrigin, ca_file: Path, *, clock: Clock | None = None
):
    """Run a PoP of this configuration, whose first host is what clients ask for."""
    config = load_text(text, base=folder)
    worker = PointOfPresence(config, clock=clock)
    try:
        await worker.start()
        yield RunningPop(worker, origin, ca_file, config.host[0].name)
    finally:
        await worker.aclose()


@asynccontextmanager
async def running_pop(folder: Path, *, clock: Clock | None = None, **tables: str):
    """Run a PoP and its origin; the tables are those of `Place.text`."""
    place = make_place(folder)
    async with scripted_origin(place.ca) as origin:
        text = place.text(origin.url, **tables)
        async with serving(text, folder, origin, place.ca.path, clock=clock) as pop:
            yield pop
