"""Sites with certificates in folders, an OCSP responder beside them, and `edgeproxy serve` on top.

    async with tls_sites(tmp_path) as sites:
        sites.issue("a.test")
        async with sites.process() as edge:
            assert stapled(await edge.s_client("-status")) == "good"

`sites.in_process()` runs the same configuration inside the test, where that is enough.
"""

import shutil
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edgeproxy.config.load import load_text
from edgeproxy.runtime.worker import PointOfPresence
from tests.support.ca import KeyKind, Leaf, LocalCa
from tests.support.ocsp_answers import OcspAnswers
from tests.support.ocsp_responder import OcspResponder
from tests.support.operators import curl, curl_json, scrape
from tests.support.origin import ScriptedOrigin
from tests.support.pop import ORIGIN_NAME, scripted_origin
from tests.support.s_client import request_for, s_client
from tests.support.served import Served, served

ONE_WORKER = "workers = 1"

_TEXT = """\
config_version = 1

[pop]
name = "fra1"
state_dir = "state"

[listen]
https = "127.0.0.1:0"
metrics = "127.0.0.1:0"
{listen}

[tls]
certs_dir = "certs"
{tls}

[origin.assets]
urls = ["{url}"]
host = "{origin_name}"
tls = {{ ca_file = "{ca}" }}

[log]
level = "info"
access = {{ enabled = false }}
"""

_HOST = """
[[host]]
name = "{name}"
origin = "assets"
{more}
"""


@dataclass
class TlsSites:
    """The files, and what runs beside the edge. Everything is issued by an intermediate `ca`."""

    folder: Path
    origin: ScriptedOrigin
    root: LocalCa
    ca: LocalCa
    responder: OcspResponder
    hosts: dict[str, str] = field(default_factory=dict)

    def issue(
        self,
        name: str,
        *more_names: str,
        kind: KeyKind = "ecdsa",
        suffix: str = "",
        host: str = "",
        asks: bool = True,
        **how,
    ) -> Leaf:
        """Issue for a site, into its folder; `host` is text for its table, once there is one."""
        self.hosts.setdefault(name, host)
        url = self.responder.url if asks else None
        there = self.folder_of(name)
        fresh = self.folder / "fresh"
        leaf = self.ca.issue(name, *more_names, key=kind, directory=fresh, ocsp_url=url, **how)
        there.mkdir(parents=True, exist_ok=True)
        chain, key = there / f"fullchain{suffix}.pem", there / f"key{suffix}.pem"
        shutil.move(leaf.key_path, key)
        shutil.move(leaf.chain_path, chain)
        return Leaf(leaf.chain, leaf.key, chain, key)

    def folder_of(self, name: str) -> Path:
        """Return where a site's certificates are."""
        return self.folder / "certs" / name

    def text(self, tls: str = "", listen: str = ONE_WORKER) -> str:
        """Return the configuration; `tls` and `listen` are text for these tables."""
        filled = {"url": self.origin.url, "origin_name": ORIGIN_NAME, "ca": self.root.path}
        hosts = "".join(_HOST.format(name=name, more=more) for name, more in self.hosts.items())
        return _TEXT.format(tls=tls, listen=listen, **filled) + hosts

    @asynccontextmanager
    async def process(self, tls: str = "", prefix: Sequence[str] = (), *, listen: str = ONE_WORKER):
        """Run `edgeproxy serve`; yields a `SeenEdge` with its process."""
        path = self.folder / "edge.toml"
        path.write_text(self.text(tls, listen))
        async with served(path, prefix) as edge:
            metrics_port = await edge.metrics_port()
            yield SeenEdge(self.folder, self.root.path, edge.port, metrics_port, edge)

    @asynccontextmanager
    async def in_process(self, tls: str = ""):
        """Run a point of presence here; yields a `SeenEdge`."""
        pop = PointOfPresence(load_text(self.text(tls), base=self.folder))
        try:
            await pop.start()
            port, metrics_port = pop.https_addresses[0][1], pop.metrics_addresses[0][1]
            yield SeenEdge(self.folder, self.root.path, port, metrics_port)
        finally:
            await pop.aclose()


@dataclass(frozen=True)
class SeenEdge:
    """A running edge, seen from outside: by TLS clients, curl, Prometheus and operators."""

    folder: Path
    ca_file: Path
    port: int
    metrics_port: int
    _process: Served | None = None

    @property
    def process(self) -> Served:
        assert self._process is not None, "it runs inside the test"
        return self._process

    async def s_client(self, *flags: str, name: str | None = "a.test", asks: bytes = b"") -> str:
        """Run `openssl s_client`; see there."""
        return await s_client(self.port, self.ca_file, *flags, name=name, asks=asks)

    async def request(self, host: str, *flags: str, name: str | None = None) -> str:
        """Ask over a connection of its own, under the name of that host or another one."""
        return await self.s_client(*flags, name=name or host, asks=request_for(host))

    async def curl(self, url_host: str, *flags: str):
        """Run curl for `/` of a host that is here."""
        here = ("--connect-to", f"::127.0.0.1:{self.port}", "--cacert", str(self.ca_file))
        return await curl(f"https://{url_host}/", *here, *flags)

    async def metrics(self) -> dict[str, float]:
        return await scrape(self.metrics_port)

    async def fetches(self, name: str = "a.test") -> dict[str, float]:
        """Return what came of asking responders for an identity, by result."""
        return await self._by_result("edge_ocsp_fetches_total", name)

    async def loads(self, name: str = "a.test") -> dict[str, float]:
        """Return what came of loading an identity, by result."""
        return await self._by_result("edge_certificate_loads_total", name)

    async def certificates(self) -> dict[str, dict]:
        """Ask the control socket; return the documents of identities by their names."""
        status, document = await curl_json(self._control, "/v1/certificates")
        assert status == 200
        return {each["name"]: each for each in document["identities"]}

    async def command(self, path: str) -> tuple[int, dict]:
        """Give a command over the control socket."""
        return await curl_json(self._control, path, "-X", "POST")

    @property
    def _control(self) -> Path:
        return self.folder / "state" / "fra1.sock"

    async def _by_result(self, family: str, name: str) -> dict[str, float]:
        begin = f"{family}{{identity={name},result="
        numbers = await self.metrics()
        return {
            series.removeprefix(begin).rstrip("}"): value
            for series, value in numbers.items()
            if series.startswith(begin)
        }


@asynccontextmanager
async def tls_sites(folder: Path):
    """Run a responder and an origin that answers `/` with its own name."""
    root = LocalCa(folder / "ca")
    ca = root.intermediate()
    async with (
        scripted_origin(root) as origin,
        OcspResponder(OcspAnswers(ca, ca.ocsp_signer())) as responder,
    ):
        origin.on("GET", "/").reply(200, b"hello", cache_control="max-age=60")
        yield TlsSites(folder, origin, root, ca, responder)
