"""QUIC through a network that loses, overtakes, doubles, changes and readdresses datagrams.

Every download has to arrive whole. The client is aioquic's own; choices come from seeds.
"""

import asyncio

import pytest

from edgeproxy.clock import SystemClock
from edgeproxy.tls.contexts import FrontContext
from tests.support.quic import Client, any_identity, settings_of
from tests.support.quic_endpoint import connecting, content, digest_of, serving
from tests.support.quic_relay import Weather, relaying

SIZES = (100, 20_000, 120_000, 65_000, 1)
BAD = {
    "loss": Weather(loss=0.05),
    "overtaking": Weather(overtaken=0.2),
    "doubling": Weather(doubled=0.2),
    "changes": Weather(changed=0.05),
    "all of it": Weather(loss=0.05, overtaken=0.1, doubled=0.1, changed=0.02),
}


@pytest.fixture
def settings():
    front = FrontContext([any_identity()])
    return settings_of(front, clock=SystemClock())


async def download_all(client, sizes=SIZES):
    streams = [(client.begin(b"GET %d" % size), size) for size in sizes]
    for stream_id, size in streams:
        body = await client.answer(stream_id, 60)
        assert digest_of(body) == digest_of(content(size))


@pytest.mark.parametrize(("name", "seed"), [*((name, 1) for name in BAD), ("all of it", 2)])
async def test_every_download_arrives_whole(settings, name, seed):
    bad = BAD[name]
    weather = Weather(bad.loss, bad.overtaken, bad.doubled, bad.changed, seed)
    async with (
        serving(settings) as listener,
        relaying(listener.address, weather) as relay,
        connecting(relay.address, server_name="a.test") as client,
    ):
        await download_all(client)
        assert client.quic._close_event is None
        assert listener.sources[0].resets == []


@pytest.mark.parametrize("id_bytes", [8, 0])
async def test_a_nat_that_forgets(settings, id_bytes):
    weather = Weather(loss=0.01, seed=3)
    client = Client(server_name="a.test", connection_id_length=id_bytes)
    async with (
        serving(settings) as listener,
        relaying(listener.address, weather) as relay,
        connecting(relay.address, client=client) as stock,
    ):
        await stock.download(1)
        relay.rebind_every = 10
        await download_all(stock, (300_000, 100_000, 20_000))
        assert relay.rebound >= 2
        assert listener.connections == 1


@pytest.mark.parametrize("changes_id", [True, False])
async def test_a_client_that_moves(settings, changes_id):
    async with (
        serving(settings) as listener,
        connecting(listener.address, server_name="a.test") as client,
    ):
        for number in range(4):
            stream_id = client.begin(b"GET 300000")
            await client.begun[stream_id].wait()
            if changes_id:
                client.quic.change_connection_id()
            await client.move(to=(f"127.0.0.{10 + number}", 0))
            client.quic.send_ping(number)
            client.transmit()
            assert digest_of(await client.answer(stream_id)) == digest_of(content(300_000))
        await client.download(1)
        assert listener.sources[0].streams.info.client == "127.0.0.13"
        assert listener.connections == 1


async def test_uploads_through_all_of_it(settings):
    async with (
        serving(settings) as listener,
        relaying(listener.address, BAD["all of it"]) as relay,
        connecting(relay.address, server_name="a.test") as client,
    ):
        streams = [client.begin(bytes(200_000)) for _ in range(3)]
        for stream_id in streams:
            assert await client.answer(stream_id, 60) == b"200000"


async def test_many_clients_at_once(settings):
    async def one(listener, seed):
        weather = Weather(loss=0.02, overtaken=0.05, seed=seed)
        async with (
            relaying(listener.address, weather) as relay,
            connecting(relay.address, server_name="a.test") as client,
        ):
            await download_all(client, (50_000, 1000))

    async with serving(settings) as listener, asyncio.TaskGroup() as group:
        for seed in range(10):
            group.create_task(one(listener, seed))
