"""Tests for edgeproxy/listeners/udp.py, over real sockets on loopback."""

import asyncio
import dataclasses

import pytest

from edgeproxy.clock import SystemClock
from edgeproxy.listeners import udp
from edgeproxy.listeners.turns import Turns
from edgeproxy.quic.secrets import QuicSecrets
from edgeproxy.tls.contexts import FrontContext
from tests.support.quic import ca_in, identity_of, settings_of
from tests.support.quic_endpoint import (
    Source,
    Stranger,
    bound,
    connecting,
    content,
    first_flight,
    serving,
    talking,
)
from tests.support.staples import staple_for


@pytest.fixture
def ca(tmp_path):
    return ca_in(tmp_path)


@pytest.fixture
def front(ca):
    return FrontContext([identity_of(ca, "a.test"), identity_of(ca, "b.test")])


@pytest.fixture
def settings(front):
    return settings_of(front, clock=SystemClock())


async def test_a_stock_client_downloads(settings):
    async with talking(settings) as (listener, client):
        for octets in (0, 1, 1000, 300_000):
            assert await client.download(octets) == content(octets)
        (source,) = listener.sources
        assert source.streams.info.client == "127.0.0.1"
        assert source.streams.info.server_name == "a.test"
        assert source.streams.info.covers("a.test")
        assert not source.streams.info.covers("b.test")


async def test_many_streams_at_once(settings):
    async with talking(settings) as (_, client):
        streams = [client.begin(b"GET 20000") for _ in range(60)]
        for stream_id in streams:
            assert await client.answer(stream_id) == content(20_000)


async def test_an_upload_goes_on_as_it_is_consumed(settings):
    async with talking(settings) as (_, client):
        stream_id = client.begin(bytes(1_000_000))
        assert await client.answer(stream_id) == b"1000000"


async def test_the_staple_of_the_right_certificate(ca):
    identity = identity_of(ca, "a.test")
    (credential,) = identity.credentials
    staple = staple_for(credential.leaf, ca)
    front = FrontContext([identity.with_staples({credential.fingerprint: staple})])
    async with serving(settings_of(front, clock=SystemClock())) as listener:
        async with connecting(listener.address, server_name="a.test") as client:
            assert client.quic.staple == staple.der
        async with connecting(listener.address, server_name="a.test", asks_staple=False) as client:
            assert client.quic.staple == b""


async def test_resumption_on_a_second_endpoint(front):
    secrets = QuicSecrets()
    one, other = (settings_of(front, secrets=secrets, clock=SystemClock()) for _ in range(2))
    async with serving(one) as listener, serving(other) as second:
        async with connecting(listener.address, server_name="b.test") as client:
            await client.download(10)
            (ticket,) = client.quic.tickets
        async with connecting(
            second.address, server_name="b.test", session_ticket=ticket
        ) as client:
            assert client.resumed
            assert await client.download(10) == content(10)


async def test_a_closed_connection_leaves_nothing_behind(settings):
    async with serving(settings) as listener:
        async with connecting(listener.address, server_name="a.test") as client:
            await client.download(10)
            assert listener.connections == 1
        async with asyncio.timeout(5):
            await listener._is_empty.wait()
        assert listener.sources[0].is_lost
        streams = listener.sources[0].streams  # what is asked now does nothing
        assert streams.room(0) == 0
        streams.send(0, b"x", end=True)
        streams.consumed(0, 1)
        streams.reset(0, 1)
        streams.stop(0, 1)
        streams.prioritise(0, 1, incremental=True)
        streams.close(0x100)
        streams.close(0x101)
        assert not listener._table
        assert not listener._of_household
        assert not listener._half_open
        assert not len(listener._wheel)


async def test_drain_lets_downloads_finish_and_takes_nobody_new(settings):
    async with talking(settings) as (listener, client):
        stream_id = client.begin(b"GET 2000000")
        await client.begun[stream_id].wait()
        async with asyncio.TaskGroup() as group:
            draining = group.create_task(listener.drain(10))
            assert await client.answer(stream_id) == content(2_000_000)
        assert draining.result()
        assert (await client.terminated).error_code == 0x100
        async with connecting(listener.address, wait=False, server_name="a.test") as other:
            async with asyncio.timeout(5):
                assert (await other.terminated).error_code == 0x2
        assert listener.refusals == {"draining": 1}


async def test_over_ipv6(settings):
    sock = bound("::1")
    async with serving(settings) as listener:
        await listener.start([sock])
        async with connecting(sock.getsockname(), server_name="a.test") as client:
            assert await client.download(50_000) == content(50_000)
            assert listener.sources[0].streams.info.client == "::1"
    sock.close()


class Busy(Turns):
    """Reading has never time left."""

    def is_over(self):
        super().is_over()
        return True


async def test_when_there_is_no_time_connections_have_their_turns(settings, monkeypatch):
    monkeypatch.setattr(udp, "Turns", Busy)
    async with talking(settings) as (_, client):
        assert await client.download(300_000) == content(300_000)


async def test_limits_that_are_adopted_hold_for_new_connections(settings):
    async with talking(settings) as (listener, client):
        listener.adopt(dataclasses.replace(settings.limits, concurrent_streams_max=7))
        async with connecting(listener.address, server_name="a.test") as later:
            await later.download(1)
            assert later.quic._remote_max_streams_bidi == 7
        assert client.quic._remote_max_streams_bidi == 100
        assert await client.download(1) == content(1)


async def test_newcomers_are_forgotten_at_a_drain(settings):
    async with serving(settings) as listener:
        with Stranger(listener.address) as stranger:
            stranger.say(*first_flight())
            (sock,) = listener._sockets
            while not listener._newcomers:
                listener._readable(sock)
            assert await listener.drain(1)
            listener._begin(next(iter(listener._newcomers)))
            assert listener.half_open == 0
            assert not listener._half_open_of
            listener.turns.close()


class Faulty(Source):
    def received(self, stream_id, data, *, end):
        raise RuntimeError("a fault of ours")


async def test_a_fault_of_a_session_ends_its_connection_only(settings, caplog):
    async with serving(settings, Faulty) as listener:
        async with connecting(listener.address, server_name="a.test") as client:
            client.begin(b"GET 1")
            async with asyncio.timeout(5):
                assert (await client.terminated).error_code == 0x102
        async with connecting(listener.address, server_name="a.test") as client:
            assert listener.connections == 1
    assert "a fault of ours" in caplog.text
