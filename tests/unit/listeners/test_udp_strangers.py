"""Tests for edgeproxy/listeners/udp.py: datagrams of nobody that it knows."""

import asyncio

import pytest
from aioquic.buffer import Buffer
from aioquic.quic.packet import QuicPacketType, pull_quic_header
from aioquic.tls import State

from edgeproxy.clock import SystemClock
from edgeproxy.listeners import udp
from edgeproxy.quic.connection_ids import Naming
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.wire.buckets import TokenBucket
from edgeproxy.wire.limits import Limits
from tests.support.quic import Client, any_identity, settings_of
from tests.support.quic_endpoint import (
    Stranger,
    connecting,
    content,
    first_flight,
    serving,
    talking,
)


@pytest.fixture
def front():
    return FrontContext([any_identity()])


@pytest.fixture
def settings(front):
    return settings_of(front, clock=SystemClock())


def header_of(data):
    return pull_quic_header(Buffer(data=data), 8)


async def ended(client):
    async with asyncio.timeout(5):
        return (await client.terminated).error_code


async def answered(listener):
    """Wait until all that was said so far has been dealt with: a handshake comes behind it."""
    async with connecting(listener.address, server_name="a.test") as client:
        await client.download(1)


# --- version negotiation -------------------------------------------------------------------------


async def test_an_unknown_version_is_told_ours(settings):
    async with serving(settings) as listener:
        with Stranger(listener.address) as stranger:
            stranger.say(b"\xc0\x1a\x2a\x3a\x4a\x08" + b"12345678" + b"\x03abc" + bytes(1182))
            header = header_of(await stranger.hear())
            assert header.packet_type is QuicPacketType.VERSION_NEGOTIATION
            assert header.destination_cid == b"abc"
            assert header.supported_versions[1] == 1


async def test_a_client_of_another_version_comes_back_with_ours(settings):
    client = Client(server_name="a.test", supported_versions=[0x6B3343CF, 1])
    async with talking(settings, client=client) as (_, stock):
        assert await stock.download(100) == content(100)


@pytest.mark.parametrize(
    "data",
    [
        b"\xc0\x1a\x2a\x3a\x4a\x08" + b"12345678" + b"\x03abc" + bytes(1000),  # too small
        b"\xc0\x00\x00\x00\x00\x08" + b"12345678" + b"\x03abc" + bytes(1200),  # is one itself
        b"\xc0\x00\x00\x00\x01\x08" + b"12345678" + b"\x03abc" + bytes(1000),  # an Initial
        b"\xe0\x00\x00\x00\x01\x08" + b"12345678" + b"\x03abc" + bytes(1200),  # a Handshake
        b"\xc0\x00\x00\x00\x01\xff" + bytes(1200),
        b"\x40\x01\x02",
        b"",
    ],
)
async def test_what_is_not_answered(settings, data):
    async with serving(settings) as listener:
        with Stranger(listener.address) as stranger:
            stranger.say(data)
            await answered(listener)
            assert stranger.heard() == []
            assert listener.replies == {}


# --- stateless reset -----------------------------------------------------------------------------


async def test_a_connection_that_nobody_knows_is_reset(settings):
    cid = settings.naming.new()
    async with serving(settings) as listener:
        with Stranger(listener.address) as stranger:
            stranger.say(b"\x41" + cid + bytes(90))
            found = await stranger.hear()
            assert 21 <= len(found) < 99
            assert found[-16:] == settings.secrets.reset_token(cid)
            stranger.say(b"\x41" + cid + bytes(10))  # too small to be answered by less
            await answered(listener)
            assert stranger.heard() == []


async def test_another_workers_connection_is_not_reset(front):
    settings = settings_of(front, clock=SystemClock(), naming=Naming(1, 2))
    async with serving(settings) as listener:
        with Stranger(listener.address) as stranger:
            stranger.say(b"\x41\x04" + bytes(90))
            await answered(listener)
            assert stranger.heard() == []


async def test_answers_to_strangers_are_rate_limited(settings):
    async with serving(settings) as listener:
        listener._bucket = TokenBucket(10, 0.0)
        with Stranger(listener.address) as stranger:
            stranger.say(*[b"\x41" + settings.naming.new() + bytes(50)] * 20)
            stranger.say(*[b"\xc0\x1a\x2a\x3a\x4a\x00\x00" + bytes(1200)] * 20)
            await answered(listener)
            assert len(stranger.heard()) == 10
        assert listener.replies == {"stateless_reset": 10}


# --- Retry ---------------------------------------------------------------------------------------


async def test_under_load_addresses_are_proven_first(settings, monkeypatch):
    monkeypatch.setattr(udp, "RETRY_ABOVE", 0)
    async with talking(settings) as (listener, client):
        assert await client.download(100) == content(100)
        assert listener.replies == {"retry": 1}
        (channel,) = listener._ids
        assert channel.engine._retry_source_connection_id is not None


async def test_a_retry_costs_no_state_and_gives_an_id_of_this_worker(front, monkeypatch):
    monkeypatch.setattr(udp, "RETRY_ABOVE", 0)
    settings = settings_of(front, clock=SystemClock(), naming=Naming(3, 7))
    async with serving(settings) as listener:
        with Stranger(listener.address) as stranger:
            stranger.say(*first_flight())
            header = header_of(await stranger.hear())
            assert header.packet_type is QuicPacketType.RETRY
            assert header.source_cid[0] % 7 == 3
            assert listener.half_open == 0
            assert not listener._half_open_of


async def test_a_token_that_was_used_is_refused(settings, monkeypatch):
    monkeypatch.setattr(udp, "RETRY_ABOVE", 0)
    client = Client(server_name="a.test")
    async with serving(settings) as listener:
        with Stranger(listener.address) as stranger:
            stranger.say(*first_flight(client))
            client.receive_datagram(await stranger.hear(), ("127.0.0.1", 443), now=0.1)
            again = [data for data, _ in client.datagrams_to_send(now=0.1)]
            stranger.say(*again)
            await listener.has_begun.wait()
            for channel in list(listener._ids):
                channel._end(is_noted=True)  # as if it had been forgotten
            stranger.heard()
            stranger.say(again[0])
            client.receive_datagram(await stranger.hear(), ("127.0.0.1", 443), now=0.2)
            assert client._close_event.error_code == 0xB


async def test_a_token_of_somebody_else_is_none(settings, monkeypatch):
    monkeypatch.setattr(udp, "RETRY_ABOVE", 0)
    client = Client(server_name="a.test")
    async with serving(settings) as listener:
        with Stranger(listener.address) as one, Stranger(listener.address) as other:
            one.say(*first_flight(client))
            client.receive_datagram(await one.hear(), ("127.0.0.1", 443), now=0.1)
            other.say(*[data for data, _ in client.datagrams_to_send(now=0.1)])
            header = header_of(await other.hear())
            assert header.packet_type is QuicPacketType.RETRY
            assert listener.connections == 0


# --- half-open connections -----------------------------------------------------------------------


async def test_one_household_gets_its_share_of_half_open_connections_only(settings, monkeypatch):
    monkeypatch.setattr(udp, "RETRY_OF_HOUSEHOLD_ABOVE", 5)
    async with serving(settings) as listener:
        with Stranger(listener.address, "127.0.0.2") as flood:
            for _ in range(30):
                flood.say(*first_flight())
            await answered(listener)
            assert listener._half_open_of == {"127.0.0.2": 5}
            assert listener.replies == {"retry": 25}


async def test_there_are_so_many_and_no_more(settings, monkeypatch):
    monkeypatch.setattr(udp, "HALF_OPEN_OF_HOUSEHOLD_MAX", 3)
    async with serving(settings) as listener:
        with Stranger(listener.address, "127.0.0.2") as flood:
            for _ in range(10):
                flood.say(*first_flight())
            await answered(listener)
            assert listener.half_open == 3
            assert listener.refusals == {"half_open": 7}


async def test_garbage_in_a_first_packet_leaves_nothing(settings):
    async with serving(settings) as listener:
        with Stranger(listener.address, "127.0.0.2") as stranger:
            for _ in range(10):
                data = bytearray(first_flight()[0])
                data[300] ^= 1
                stranger.say(bytes(data))
            await answered(listener)
            assert stranger.heard() == []
            assert listener.half_open == 0
            assert not listener._half_open_of
            assert not listener._newcomers


async def test_the_pieces_of_a_first_flight_may_come_in_any_order(settings):
    client = Client(server_name="a.test", alpn_protocols=["h3", *(f"x{n:0200}" for n in range(9))])
    flight = first_flight(client)
    assert len(flight) > 1
    async with serving(settings) as listener:
        with Stranger(listener.address) as stranger:
            stranger.say(*reversed(flight))
            client.receive_datagram(await stranger.hear(), ("127.0.0.1", 443), now=0.1)
            assert client.tls.state is not State.CLIENT_EXPECT_SERVER_HELLO
            assert listener.connections == 1


# --- how many ------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["connections_max", "connections_per_client_max"])
async def test_who_finds_no_place_is_told(front, limit):
    settings = settings_of(front, clock=SystemClock(), limits=Limits(**{limit: 2}))
    async with serving(settings) as listener:
        listener.adopt(settings.limits)
        async with (
            connecting(listener.address, server_name="a.test") as one,
            connecting(listener.address, server_name="a.test"),
            connecting(listener.address, wait=False, server_name="a.test") as third,
        ):
            assert await ended(third) == 0x2
            assert await one.download(1) == content(1)
            assert listener.refusals == {limit: 1}


# --- closed connections --------------------------------------------------------------------------


async def test_a_close_that_was_lost_is_said_again_but_seldom(settings):
    async with talking(settings) as (listener, client):
        await client.download(1)
        (channel,) = listener._ids
        ids = listener._ids[channel]
        cid = next(iter(ids))
        channel.abort()
        with Stranger(listener.address) as stranger:
            stranger.say(*[b"\x41" + cid + bytes(90)] * 20)
            await answered(listener)
            # the 1st, 2nd, 4th, 8th and 16th; the client itself may have been the 1st
            assert len(stranger.heard()) in {4, 5}
            stranger.say(b"\x41" + cid + bytes(1))
            await answered(listener)
            assert stranger.heard() == []
        assert listener.replies == {"connection_close": 5}
        listener._forget_closed(settings.clock.monotonic() + 60)
        assert not listener._closed
        assert not listener._closed_in_order


async def test_few_closed_connections_are_remembered(settings, monkeypatch):
    monkeypatch.setattr(udp, "_CLOSED_MAX", 2)
    async with serving(settings) as listener:
        for _ in range(4):
            await answered(listener)
        async with asyncio.timeout(5):
            await listener._is_empty.wait()
        assert len(listener._closed_in_order) <= 2
        assert len(set(listener._closed.values())) <= 2
