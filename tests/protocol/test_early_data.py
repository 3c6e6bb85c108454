"""0-RTT under `edgeproxy serve` with two workers: what a first flight gets."""

import asyncio

from tests.protocol.test_workers import two_workers
from tests.support.early import PATIENCE_SECONDS, EarlyClient
from tests.support.h3_client import h3_client

LISTEN = "http3 = true\nearly_data = true"


async def tickets_of(stage, worker: int, count: int):
    """Connect until that worker has given out so many tickets, and has /a in its memory."""
    found = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < count:
            async with h3_client(stage.edge.port) as client:
                if client.worker == worker:
                    assert (await client.get("/a")).status == 200
                    found.append(client.quic.tickets[-1])
    return found


async def outcomes(stage) -> dict[str, float]:
    start = 'edge_quic_early_data_total{outcome="'
    shown = await stage.metrics()
    return {
        name.removeprefix(start).removesuffix('"}'): count
        for name, count in shown.items()
        if name.startswith(start)
    }


def client_of(stage, ticket, worker):
    address = ("127.0.0.1", stage.edge.port)
    return EarlyClient(address, ticket, server_name="localhost", worker=worker)


async def refused(stage, ticket, worker) -> None:
    """Assert that a first flight with that ticket is not answered, and the handshake goes on."""
    with client_of(stage, ticket, worker) as client:
        client.ask("/a")
        client.go_on()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while client.completed is None:
                client.take(await client.hear())
        assert client.completed.session_resumed
        assert not client.completed.early_data_accepted
        assert not client.ended


async def test_what_a_first_flight_gets(tmp_path):
    async with two_workers(tmp_path, listen=LISTEN) as stage:
        first, second = await tickets_of(stage, 1, 2)
        known = len(stage.origin.received)
        with client_of(stage, first, 1) as client:
            hit, miss = client.ask("/a"), client.ask("/b")
            post = client.ask("/a", b"POST", end=False)
            client.go_on()
            assert await client.answer(hit) == (200, b"hello")
            assert await client.answer(miss) == (425, b"")
            assert await client.answer(post) == (425, b"")
            assert client.fields[miss][b"cache-control"] == b"no-store"
            assert len(stage.origin.received) == known
            client.go_on()  # it was no recording
            stage.origin.on("GET", "/b").reply(200, b"in time")
            again = client.ask("/b")
            client.go_on()
            assert await client.answer(again) == (200, b"in time")
        await refused(stage, first, 1)
        await refused(stage, second, 0)
        assert await outcomes(stage) == {"accepted": 1, "replayed": 1, "other_process": 1}
        shown = await stage.metrics()
        assert sum(n for name, n in shown.items() if 'code="425"' in name) == 2


async def test_no_ticket_allows_it_by_default(tmp_path):
    async with two_workers(tmp_path, listen="http3 = true") as stage:
        [ticket] = await tickets_of(stage, 0, 1)
        assert ticket.max_early_data_size is None
        ticket.max_early_data_size = 0xFFFFFFFF  # what a client might pretend
        await refused(stage, ticket, 0)
        assert await outcomes(stage) == {"off": 1}
