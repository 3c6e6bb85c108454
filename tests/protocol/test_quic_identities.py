"""Identities over QUIC under `edgeproxy serve` with two workers: the same as over TCP.

One point of presence for all tests. It starts with staples from disk that are due to be renewed,
and a responder that does not answer before it is let.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
import pytest_asyncio
from aioquic.tls import SessionTicket
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from tests.support.barrier import Barrier
from tests.support.ca import Leaf
from tests.support.h3_client import PATIENCE_SECONDS, H3Client, h3_client
from tests.support.quic import Client
from tests.support.quic_endpoint import connecting
from tests.support.s_client import alert, shown, stapled
from tests.support.tls_sites import SeenEdge, TlsSites, tls_sites

pytestmark = pytest.mark.asyncio(loop_scope="module")

CRYPTO_ERROR = 0x100  # RFC 9000 section 20.1: and the alert
LISTEN = "workers = 2\nhttp3 = true"
STRICT = 'unknown_sni = "reject"\nno_sni = "reject"'
LENIENT = 'unknown_sni = "default"\nno_sni = "default"'


@dataclass(frozen=True)
class Seen:
    """What a connection was shown."""

    leaf: bytes
    staple: ocsp.OCSPResponse | None
    is_resumed: bool

    @classmethod
    def of(cls, client: H3Client) -> "Seen":
        quic = client.quic
        staple = ocsp.load_der_ocsp_response(quic.staple) if quic.staple else None
        return cls(quic.tls.shown[0], staple, client.resumed)

    def is_that_of(self, leaf: Leaf) -> bool:
        """Whether it is that certificate; its staple has to be its own, and good."""
        if self.staple is not None:
            serial = x509.load_der_x509_certificate(self.leaf).serial_number
            assert self.staple.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL
            assert self.staple.certificate_status is ocsp.OCSPCertStatus.GOOD
            assert self.staple.serial_number == serial
        return self.leaf == leaf.certificate.public_bytes(Encoding.DER)


@dataclass(frozen=True)
class Stage:
    """The edge, its files, and the first connection that each of its workers ever had."""

    sites: TlsSites
    edge: SeenEdge
    leaves: dict[str, Leaf]
    first: dict[int, Seen]

    def client(self, name: str = "a.test", **how):
        return h3_client(self.edge.port, name, **how)

    async def of_both(self, name: str) -> dict[int, Seen]:
        """Connect until both workers have shown what they have."""
        found: dict[int, Seen] = {}
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(found) < 2:
                async with self.client(name) as client:
                    found.setdefault(client.worker, Seen.of(client))
        return found

    async def until_both(self, name: str, condition) -> None:
        """Connect until it is true of what both workers show."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not all(map(condition, (await self.of_both(name)).values())):
                pass

    async def refusal(self, name: str | None) -> int:
        """Return the alert that a handshake under that name ends with."""
        where = ("127.0.0.1", self.edge.port)
        async with connecting(where, wait=False, client=Client(server_name=name)) as client:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return (await client.terminated).error_code - CRYPTO_ERROR


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory) -> AsyncIterator[Stage]:
    async with tls_sites(tmp_path_factory.mktemp("sites")) as sites:
        leaves = {name: sites.issue(name) for name in ("a.test", "b.test")}
        sites.responder.answers.age = timedelta(days=3)  # of four
        async with sites.in_process() as edge, asyncio.timeout(PATIENCE_SECONDS):
            for name in leaves:  # a busy machine may begin before a staple has come
                while stapled(await edge.s_client("-status", name=name)) != "good":
                    pass
        sites.responder.answers.age = timedelta(hours=1)
        sites.responder.held = Barrier()
        async with sites.process(STRICT, listen=LISTEN) as edge:
            stage = Stage(sites, edge, leaves, {})
            stage.first.update(await stage.of_both("a.test"))
            yield stage


async def test_the_first_handshake_of_each_worker_is_stapled_for_who_asks(stage: Stage):
    assert all(seen.is_that_of(stage.leaves["a.test"]) for seen in stage.first.values())
    assert None not in [seen.staple for seen in stage.first.values()]
    async with h3_client(
        stage.edge.port, client=Client(server_name="a.test", asks_staple=False)
    ) as client:
        seen = Seen.of(client)
        assert seen.is_that_of(stage.leaves["a.test"])
        assert seen.staple is None


async def test_each_name_gets_its_own_certificate_and_no_other_site(stage: Stage):
    for name in ("a.test", "b.test"):
        async with stage.client(name) as client:
            assert client.quic.common_name == name
            reply = await client.get("/")
            assert (reply.status, bytes(reply.body)) == (200, b"hello")
            other = {"a.test": b"b.test", "b.test": b"a.test"}[name]
            client.quic.configuration.server_name = other.decode()  # only for `:authority` now
            assert (await client.get("/")).status == 421


async def test_names_that_nobody_has_are_treated_as_over_tcp(stage: Stage):
    for name in ("c.test", None):
        over_tcp = await stage.edge.s_client(name=name)
        assert alert(over_tcp) == await stage.refusal(name)
    text = (stage.sites.folder / "edge.toml").read_text()
    (stage.sites.folder / "edge.toml").write_text(text.replace(STRICT, LENIENT))
    assert (await stage.edge.command("/v1/reload"))[0] == 200
    for name in ("c.test", None):
        over_tcp = await stage.edge.s_client(name=name)
        async with stage.client(name) as client:
            over_quic = x509.load_der_x509_certificate(client.quic.tls.shown[0])
        assert over_quic == shown(over_tcp)[0]


async def test_new_connections_get_what_is_new_and_sessions_go_on(stage: Stage):
    before = stage.first[0].staple.this_update_utc
    tickets = {}
    for name in ("a.test", "b.test"):
        async with stage.client(name) as client:
            await client.get("/")
            tickets[name] = client.quic.tickets[-1]
    stage.sites.responder.held.open()
    await stage.until_both("a.test", lambda seen: seen.staple.this_update_utc > before)
    renewed = stage.sites.issue("b.test")
    await stage.edge.process.has_said("b.test: certificate replaced")
    await stage.until_both("b.test", lambda seen: seen.is_that_of(renewed))
    assert all(seen.staple for seen in (await stage.of_both("b.test")).values())
    async with stage.client("a.test", session_ticket=tickets["b.test"]) as client:
        assert not client.resumed
        assert client.quic.common_name == "a.test"
    for name in tickets:
        await resumed_by_both(stage, name, tickets)


async def resumed_by_both(stage: Stage, name: str, tickets: dict[str, SessionTicket]) -> None:
    """Resume sessions one from another, until both workers have."""
    met = set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(met) < 2:
            async with stage.client(name, session_ticket=tickets[name]) as client:
                assert client.resumed
                met.add(client.worker)
                assert (await client.get("/")).status == 200
                tickets[name] = client.quic.tickets[-1]
