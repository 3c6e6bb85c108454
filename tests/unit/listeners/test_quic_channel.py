"""Tests for edgeproxy/listeners/quic_channel.py, over real sockets on loopback."""

import asyncio
import inspect
import ssl

import pytest

from edgeproxy.clock import SystemClock
from edgeproxy.listeners import quic_channel
from edgeproxy.listeners.datagrams import Datagram
from edgeproxy.listeners.quic_channel import QuicChannel
from edgeproxy.listeners.quic_streams import QuicStreams
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.tls.handshakes import Handshake
from tests.support.quic import any_identity, settings_of
from tests.support.quic_endpoint import (
    Source,
    Stranger,
    connecting,
    content,
    first_flight,
    serving,
    talking,
)


@pytest.fixture
def seen():
    return []


@pytest.fixture
def settings(seen):
    identities = [any_identity()]
    front = FrontContext(identities, unknown_name="reject", observe=seen.append)
    return settings_of(front, clock=SystemClock())


CALLED = [name for name in vars(QuicStreams) if not name.startswith("_")]


@pytest.mark.parametrize("name", CALLED)
def test_a_channel_has_all_that_a_session_calls(name):
    wanted = inspect.signature(getattr(QuicStreams, name))
    assert inspect.signature(getattr(QuicChannel, name)) == wanted


async def over(client):
    async with asyncio.timeout(5):
        return (await client.terminated).error_code


async def test_what_a_session_does_at_other_times_is_sent_as_well(settings):
    async with talking(settings) as (listener, client):
        await client.download(1)
        streams = listener.sources[0].streams
        stream_id = streams.open_unidirectional()
        streams.send(stream_id, b"later")
        async with asyncio.timeout(5):
            await client.begun[stream_id].wait()
        assert client.bodies[stream_id] == b"later"


async def test_work_has_its_turn(settings):
    async with talking(settings) as (listener, client):
        await client.download(1)
        done = asyncio.Event()
        listener.sources[0].streams.later(done.set)
        async with asyncio.timeout(5):
            await done.wait()


async def test_resets_reach_both_sides(settings):
    async with talking(settings) as (listener, client):
        stream_id = client.begin(b"slow upload", end=False)
        client.quic.reset_stream(stream_id, 0x10C)
        client.transmit()
        await client.download(1)
        source = listener.sources[0]
        assert source.resets == [(stream_id, 0x10C)]
        stopped = client.begin(b"GET 5000000")
        await client.begun[stopped].wait()
        client.quic.stop_stream(stopped, 0x10C)
        client.transmit()
        await client.download(1)
        assert source.stops == [(stopped, 0x10C)]
        other = client.begin(b"unfinished", end=False)
        await client.download(1)
        source.streams.stop(other, 0x101)
        source.streams.reset(other, 0x102)
        await client.download(1)
        assert client.resets[other] == 0x102


async def test_an_orderly_close_waits_for_what_is_on_its_way(settings):
    async with talking(settings) as (listener, client):
        stream_id = client.begin(b"GET 1000000")
        await client.begun[stream_id].wait()
        source = listener.sources[0]
        await source.has_queued_all.wait()
        source.streams.close(0x100)
        assert await client.answer(stream_id) == content(1_000_000)
        assert await over(client) == 0x100
        assert source.is_lost


async def test_another_close_does_not_wait(settings):
    async with talking(settings) as (listener, client):
        stream_id = client.begin(b"GET 1000000")
        await client.begun[stream_id].wait()
        listener.sources[0].streams.close(0x107, "too much")
        assert await over(client) == 0x107


async def test_an_orderly_close_that_nobody_acknowledges_ends(settings):
    async with talking(settings) as (listener, client):
        await client.download(1)
        (channel,) = listener._ids
        stream_id = client.begin(b"GET 3000000")
        await client.begun[stream_id].wait()
        channel.close(0x100)
        channel.tick(settings.clock.monotonic())
        assert listener.connections == 1
        channel.tick(settings.clock.monotonic() + 61)
        assert listener.connections == 0


async def test_handshakes_are_counted(settings, seen):
    async with serving(settings) as listener:
        async with connecting(listener.address, server_name="a.test") as client:
            await client.download(1)
        async with connecting(listener.address, wait=False, server_name="b.test") as client:
            assert await over(client) == 0x100 + 112
        async with connecting(
            listener.address, wait=False, server_name="a.test", alpn_protocols=["hq"]
        ) as client:
            assert await over(client) == 0x178
        async with connecting(
            listener.address, wait=False, server_name="a.test", verify_mode=ssl.CERT_REQUIRED
        ) as client:
            assert await over(client) == 0x100 + 42
    assert seen == [
        Handshake("completed", "full", "P-256", "ecdsa"),
        Handshake("unrecognized_name"),
        Handshake("no_application_protocol"),
        Handshake("client_alert"),
    ]


async def test_a_handshake_has_ten_seconds(settings, seen):
    async with serving(settings) as listener:
        with Stranger(listener.address) as client:
            client.say(*first_flight())
            await listener.has_begun.wait()
            (channel,) = listener._ids
            channel.tick(settings.clock.monotonic() + 9)
            assert listener.connections == 1
            channel.tick(settings.clock.monotonic() + 11)
        assert listener.connections == 0
        assert listener.half_open == 0
        assert listener.refusals == {"tls_handshake_timeout": 1}
        assert seen == [Handshake("timeout")]


async def test_a_drain_drops_handshakes(settings):
    async with serving(settings) as listener:
        with Stranger(listener.address) as client:
            client.say(*first_flight())
            await listener.has_begun.wait()
            assert await listener.drain(1)


async def test_an_inbox_is_bounded(settings):
    async with talking(settings) as (listener, client):
        await client.download(1)
        (channel,) = listener._ids
        for _ in range(10 * quic_channel.INBOX_MAX):
            channel.arrived(Datagram(b"", ("127.0.0.1", 1), []))
        assert len(channel._inbox) == quic_channel.INBOX_MAX
        channel._inbox.clear()


class FaultyTick(Source):
    def tick(self, now):
        raise RuntimeError("a fault of ours")


async def test_a_faulty_tick_ends_its_connection_only(settings, caplog):
    async with talking(settings, FaultyTick) as (listener, client):
        await client.download(1)
        for _ in range(20):
            listener._ticker.cancel()
            listener._tick()
        assert await over(client) == 0x100
        assert listener.connections == 0
    assert "a fault of ours" in caplog.text
