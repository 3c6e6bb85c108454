"""Two workers behind one UDP address: connections stay, and sessions go from one to another."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from edgeproxy.clock import SystemClock
from edgeproxy.listeners.udp import UdpListener
from edgeproxy.quic.connection_ids import Naming
from edgeproxy.quic.secrets import QuicSecrets
from edgeproxy.runtime.sockets import close_all, name_of
from edgeproxy.runtime.udp_sockets import bind_udp
from edgeproxy.tls.contexts import FrontContext
from tests.support.quic import any_identity, ca_in, identity_of, settings_of
from tests.support.quic_endpoint import Source, connecting, content, digest_of

WORKERS = 2


@pytest.fixture
def identities():
    return [any_identity()]


@asynccontextmanager
async def working(identities):
    """Listeners that share a secret and nothing else, each on its own socket."""
    secrets = QuicSecrets()
    processes = bind_udp([("127.0.0.1", 0)], WORKERS)
    listeners = []
    for number, sockets in enumerate(processes):
        settings = settings_of(
            FrontContext(identities),
            secrets=secrets,
            clock=SystemClock(),
            naming=Naming(number, WORKERS),
        )
        listeners.append(UdpListener(settings, Source))
        await listeners[-1].start(sockets)
    try:
        yield listeners, name_of(processes[0][0])
    finally:
        for listener in listeners:
            await listener.aclose()
        close_all(sock for sockets in processes for sock in sockets)


async def test_connections_stay_when_clients_move_and_certificates_change(identities, tmp_path):
    renewed = [identity_of(ca_in(tmp_path), "a.test")]
    shown = set()

    async def one(listeners, address, number):
        async with connecting(address, server_name="a.test") as client:
            stream_id = client.begin(b"GET 60000")
            await client.begun[stream_id].wait()
            shown.add(client.quic.tls.shown[0])
            if number == 5:
                for listener in listeners:
                    listener.front.replace(renewed)
            await client.move()
            client.quic.send_ping(number)
            client.transmit()
            assert digest_of(await client.answer(stream_id, 60)) == digest_of(content(60_000))

    async with working(identities) as (listeners, address):
        async with asyncio.TaskGroup() as group:
            for number in range(10):
                group.create_task(one(listeners, address, number))
        async with asyncio.TaskGroup() as group:
            for number in range(10, 20):
                group.create_task(one(listeners, address, number))
        assert len(shown) == 2
        assert all(not each.replies["stateless_reset"] for each in listeners)


async def test_a_session_resumes_on_whatever_worker_it_meets(identities):
    async with working(identities) as (listeners, address):
        async with connecting(address, server_name="a.test") as client:
            await client.download(1)
            (ticket,) = client.quic.tickets
            first = [each.connections for each in listeners]
        met = set()
        for _ in range(40):
            async with connecting(address, server_name="a.test", session_ticket=ticket) as client:
                assert client.resumed
                await client.download(1)
                ticket = client.quic.tickets[-1]
                cid = client.quic._peer_cid.cid
                met.add(cid[0] % WORKERS)
            if len(met) == WORKERS:
                break
        assert met == {0, 1}
        assert sum(first) == 1
