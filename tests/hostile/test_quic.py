"""Attacks on a QUIC listener: what each can make us hold is bounded, and others go on being served.

Every attack comes from a household of its own over real sockets; beside it a good client downloads,
before, while and after. What a single connection may do is in `unit/quic`; this is the endpoint.
"""

import asyncio
import tracemalloc
from contextlib import asynccontextmanager

import pytest
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import QuicPacketType
from aioquic.quic.packet_builder import QuicPacketBuilder

from edgeproxy.clock import SystemClock
from edgeproxy.tls.contexts import FrontContext
from tests.support.quic import any_identity, settings_of, uint_var
from tests.support.quic_endpoint import (
    Source,
    Stranger,
    connecting,
    content,
    first_flight,
    serving,
)

ATTACKER = "127.0.0.66"


@pytest.fixture
def settings():
    front = FrontContext([any_identity()])
    return settings_of(front, clock=SystemClock())


@asynccontextmanager
async def beside(settings, source=Source):
    """Serve a good client; it has to get its content before and after what is done inside."""
    async with (
        serving(settings, source) as listener,
        connecting(listener.address, server_name="a.test") as good,
    ):
        assert await good.download(30_000) == content(30_000)
        yield listener, good
        assert await good.download(30_000) == content(30_000)


@asynccontextmanager
async def attacking(listener, **configuration):
    async with connecting(listener.address, server_name="a.test", **configuration) as attacker:
        await attacker.download(1)
        yield attacker


def engine_of(listener, attacker):
    """The server's end of a connection."""
    original = attacker.quic.original_destination_connection_id
    return listener._table[original].engine


async def ended(attacker):
    async with asyncio.timeout(10):
        return (await attacker.terminated).error_code


def stream(stream_id, offset, data, *, kind=b"\x0e"):
    return kind + uint_var(stream_id) + uint_var(offset) + uint_var(len(data)) + data


async def test_a_flood_of_first_packets(settings):
    async with beside(settings) as (listener, good):
        with Stranger(listener.address, ATTACKER) as flood:
            for _ in range(10):
                flood.say(*(first_flight()[0] for _ in range(40)))
                assert await good.download(5000) == content(5000)
            assert listener._half_open_of[ATTACKER] <= 32
            assert listener.half_open <= 33
            assert len(listener._table) < 500


async def test_a_flood_of_garbage(settings):
    async with beside(settings) as (listener, good):
        before = len(listener._table)
        with Stranger(listener.address, ATTACKER) as flood:
            for _ in range(10):
                flood.say(*[b"\xc0\x00\x00\x00\x01\x08" + bytes(8) + b"\x00" * 1190] * 50)
                flood.say(*[b"\x40" + settings.naming.new() + bytes(40)] * 50)
                flood.say(*[b"\xc0\x55\x00\x00\x01\xff" + bytes(1300)] * 50)
                assert await good.download(5000) == content(5000)
        assert len(listener._table) == before
        assert listener.half_open == 0
        assert sum(listener.replies.values()) <= 1000  # one each, of those that get any


async def test_frames_that_do_nothing(settings):
    async with beside(settings) as (listener, good), attacking(listener) as attacker:
        for _ in range(10):
            attacker.say(b"\x01" * 1100)
            assert await good.download(1000) == content(1000)
        assert await ended(attacker) == 0x1


async def test_content_in_pieces(settings):
    async with beside(settings) as (listener, good), attacking(listener) as attacker:
        for first in range(0, 4000, 100):
            attacker.say(b"".join(stream(4, 1 + 2 * n, b"x") for n in range(first, first + 100)))
        assert await good.download(1000) == content(1000)
        assert await ended(attacker) == 0x1


class NotReading(Source):
    is_reading = False


async def test_uploads_that_nobody_reads_stop_at_the_window(settings):
    async with beside(settings, NotReading) as (listener, good), attacking(listener) as attacker:
        window = settings.connection_window
        for _ in range(20):
            attacker.begin(bytes(1_000_000), end=False)
        for _ in range(20):
            assert await good.download(1000) == content(1000)
        source = listener.sources[1]
        assert sum(map(len, source.heard.values())) <= window
        engine = engine_of(listener, attacker)
        assert sum(len(each.receiver._buffer) for each in engine._streams.values()) <= window
        assert engine._local_max_data.value <= window + 100


async def test_downloads_that_nobody_acknowledges_stop_at_a_window(settings):
    async with beside(settings) as (listener, good), attacking(listener) as attacker:
        attacker.quic.receive_datagram = lambda *_: None  # deaf from now on
        for _ in range(50):
            attacker.begin(b"GET 5000000")
        for _ in range(20):
            assert await good.download(1000) == content(1000)
        engine = engine_of(listener, attacker)
        held = sum(
            each.sender.outstanding for each in engine._streams.values() if each.stream_id % 4 == 0
        )
        assert 0 < held <= 2 * 1024 * 1024
        assert len(engine._streams) <= 100


async def test_streams_that_are_opened_and_reset(settings):
    async with beside(settings) as (listener, good), attacking(listener) as attacker:
        engine = engine_of(listener, attacker)
        for round_ in range(30):
            streams = [attacker.begin(b"GET 100000") for _ in range(50)]
            for stream_id in streams:
                attacker.quic.reset_stream(stream_id, 0x10C)
                if round_ % 2:
                    attacker.quic.stop_stream(stream_id, 0x10C)
            attacker.transmit()
            assert await good.download(1000) == content(1000)
            assert len(engine._streams) <= 110
            assert len(engine._receipts) <= 110
            assert len(engine._schedule) <= 110


async def test_forged_key_phases(settings):
    async with beside(settings) as (listener, good), attacking(listener) as attacker:
        engine = engine_of(listener, attacker)
        with Stranger(listener.address, ATTACKER) as forger:
            for n in range(300):
                forger.say(bytes([0x40 | n & 0x3F]) + engine.host_cid + bytes([n & 255]) * 60)
        assert await good.download(1000) == content(1000)
        assert await attacker.download(1000) == content(1000)
        assert engine.keys.forgeries > 100
        assert engine.keys.derivations <= 1


async def test_challenges_and_addresses(settings):
    async with beside(settings) as (listener, good), attacking(listener) as attacker:
        engine = engine_of(listener, attacker)
        for n in range(12):
            await attacker.move(to=(f"127.0.0.{70 + n}", 0))
            for _ in range(5):
                attacker.say(b"\x1a" + bytes(8))
            assert await good.download(100) == content(100)
        assert len(engine._network_paths) <= 8
        assert sum(len(path.remote_challenges) for path in engine._network_paths) <= 8 * 32


async def test_acknowledging_what_was_never_sent(settings):
    async with beside(settings) as (listener, _), attacking(listener) as attacker:
        attacker.begin(b"GET 5000000")
        attacker.say(b"\x02" + uint_var(1 << 20) + b"\x00\x00" + uint_var(1 << 20))
        assert await ended(attacker) == 0xA


async def test_key_updates_without_end(settings):
    async with beside(settings) as (listener, good), attacking(listener) as attacker:
        for _ in range(50):
            if attacker.terminated.done():
                break
            attacker.quic.request_key_update()
            attacker.quic.send_ping(1)
            attacker.transmit()
            assert await good.download(100) == content(100)
        assert await ended(attacker) == 0xE


async def test_handshakes_with_far_pieces_hold_little(settings):
    """One packet each that once pinned half a megabyte for a minute."""

    def far(number):
        cid = number.to_bytes(8, "big")
        keys = CryptoPair()
        keys.setup_initial(cid, is_client=True, version=1)
        builder = QuicPacketBuilder(
            host_cid=cid, peer_cid=cid, version=1, is_client=True, max_datagram_size=1200
        )
        builder.start_packet(QuicPacketType.INITIAL, keys)
        builder._buffer.push_bytes(b"\x06" + uint_var(16_000) + b"\x01x")
        builder._packet.in_flight = builder._packet.is_ack_eliciting = True
        ((datagram,), _) = builder.flush()
        return datagram

    async with beside(settings) as (listener, good):
        with Stranger(listener.address, ATTACKER) as flood:
            tracemalloc.start()
            try:
                before, _ = tracemalloc.get_traced_memory()
                for number in range(100):
                    flood.say(far(number))
                for _ in range(5):
                    assert await good.download(100) == content(100)
                after, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        assert 10 <= listener._half_open_of[ATTACKER] <= 32
        assert after - before < 32 * 150_000
