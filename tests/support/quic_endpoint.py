"""QUIC over real sockets on loopback: a listener, what it speaks, and stock clients.

async with serving(settings) as listener:
    async with connecting(listener.address, server_name="www.test") as client:
        assert await client.download(100_000) == content(100_000)
"""

import asyncio
import hashlib
import random
import socket
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic import events

from edgeproxy.listeners.quic_streams import QuicStreams
from edgeproxy.listeners.udp import UdpListener
from edgeproxy.quic.settings import QuicSettings
from tests.support.quic import Client, packet_of

Address = tuple[str, int]
_PATTERN = random.Random(7).randbytes(65_536)


def content(octets: int) -> bytes:
    return (_PATTERN * (octets // len(_PATTERN) + 1))[:octets]


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Source:
    """The least that can stand at HTTP/3's place: `GET n` is answered with n octets.

    What is sent otherwise is counted and consumed, unless `is_reading` is False; at its end the
    answer is the number of octets.
    """

    is_reading = True

    def __init__(self, streams: QuicStreams) -> None:
        self.streams = streams
        self.owed: dict[int, memoryview] = {}
        self.heard: dict[int, bytearray] = {}
        self.resets: list[tuple[int, int]] = []
        self.stops: list[tuple[int, int]] = []
        self.ticks = 0
        self.is_lost = False
        self.is_draining = False
        self.has_queued_all = asyncio.Event()

    def received(self, stream_id: int, data: bytes, *, end: bool) -> None:
        heard = self.heard.setdefault(stream_id, bytearray())
        heard += data
        if self.is_reading:
            self.streams.consumed(stream_id, len(data))
        if not end:
            return
        if heard.startswith(b"GET "):
            self.owed[stream_id] = memoryview(content(int(heard[4:])))
        else:
            self.owed[stream_id] = memoryview(b"%d" % len(heard))
        self.writable(stream_id)

    def writable(self, stream_id: int) -> None:
        owed = self.owed.get(stream_id)
        if owed is None:
            return
        size = min(self.streams.room(stream_id), len(owed))
        is_last = size == len(owed)
        self.streams.send(stream_id, owed[:size], end=is_last)
        if is_last:
            del self.owed[stream_id]
            if not self.owed:
                self.has_queued_all.set()
            if self.is_draining and not self.owed:
                self.streams.close(0x100)
        else:
            self.owed[stream_id] = owed[size:]

    def was_reset(self, stream_id: int, code: int) -> None:
        self.resets.append((stream_id, code))

    def was_stopped(self, stream_id: int, code: int) -> None:
        self.stops.append((stream_id, code))
        self.owed.pop(stream_id, None)

    def tick(self, now: float) -> None:
        self.ticks += 1

    def drain(self) -> None:
        self.is_draining = True
        if not self.owed:
            self.streams.close(0x100)

    def lost(self) -> None:
        self.is_lost = True


class Listening(UdpListener):
    """A listener on one socket of loopback; `sources` are the sessions it has made."""

    def __init__(self, settings: QuicSettings, source: type[Source] = Source) -> None:
        self.sources: list[Source] = []

        def make(streams: QuicStreams) -> Source:
            self.sources.append(source(streams))
            return self.sources[-1]

        super().__init__(settings, make)
        self.socket = bound()
        self.has_begun = asyncio.Event()

    def _begin(self, destination: bytes) -> None:
        super()._begin(destination)
        self.has_begun.set()

    @property
    def address(self) -> Address:
        return self.socket.getsockname()


def bound(host: str = "127.0.0.1") -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.setblocking(False)
    sock.bind((host, 0))
    return sock


@asynccontextmanager
async def serving(
    settings: QuicSettings, source: type[Source] = Source
) -> AsyncIterator[Listening]:
    listener = Listening(settings, source)
    await listener.start([listener.socket])
    try:
        yield listener
    finally:
        await listener.aclose()
        listener.socket.close()


class Stranger:
    """A socket that says what it is told to."""

    def __init__(self, address: Address, host: str = "127.0.0.1") -> None:
        self._to = address
        self.socket = bound(host)

    def say(self, *datagrams: bytes) -> None:
        for data in datagrams:
            self.socket.sendto(data, self._to)

    async def hear(self) -> bytes:
        async with asyncio.timeout(5):
            return await asyncio.get_running_loop().sock_recv(self.socket, 4096)

    def heard(self) -> list[bytes]:
        """What has come by now."""
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096))
            except BlockingIOError:
                return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def first_flight(client: Client | None = None, **configuration) -> list[bytes]:
    """What a client says first."""
    quic = client or Client(**{"server_name": "a.test"} | configuration)
    quic.connect(("127.0.0.1", 443), now=0.0)
    return [data for data, _ in quic.datagrams_to_send(now=0.0)]


class StockClient(QuicConnectionProtocol):
    """aioquic's own client; what arrives on a stream is kept until its end."""

    def __init__(self, quic: Client) -> None:
        super().__init__(quic)
        self.quic = quic
        self.bodies: dict[int, bytearray] = {}
        self.ended: dict[int, asyncio.Future[bytes]] = {}
        self.begun: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self.resets: dict[int, int] = {}
        self.terminated: asyncio.Future[events.ConnectionTerminated] = self._loop.create_future()
        self.resumed = False

    def quic_event_received(self, event: events.QuicEvent) -> None:
        match event:
            case events.HandshakeCompleted(session_resumed=resumed):
                self.resumed = resumed
            case events.StreamDataReceived(data=data, end_stream=end, stream_id=stream_id):
                body = self.bodies.setdefault(stream_id, bytearray())
                body += data
                self.begun[stream_id].set()
                if end and stream_id in self.ended:
                    self.ended[stream_id].set_result(bytes(body))
            case events.StreamReset(error_code=code, stream_id=stream_id):
                self.resets[stream_id] = code
            case events.ConnectionTerminated() if not self.terminated.done():
                self.terminated.set_result(event)
                for waiting in self.ended.values():
                    if not waiting.done():
                        waiting.set_exception(ConnectionError(event.reason_phrase))

    def begin(self, data: bytes, *, end: bool = True) -> int:
        stream_id = self.quic.get_next_available_stream_id()
        self.ended[stream_id] = self._loop.create_future()
        self.quic.send_stream_data(stream_id, data, end_stream=end)
        self.transmit()
        return stream_id

    async def answer(self, stream_id: int, seconds: float = 20.0) -> bytes:
        """Wait for a whole answer; meanwhile show now and then that somebody is there.

        A client that only receives would never tell that its NAT has forgotten it: browsers send
        PINGs while they wait, aioquic leaves that to its user.
        """
        async with asyncio.timeout(seconds):
            while not (await asyncio.wait([self.ended[stream_id]], timeout=0.3))[0]:
                self.quic.send_ping(0)
                self.transmit()
        return self.ended[stream_id].result()

    async def download(self, octets: int, seconds: float = 20.0) -> bytes:
        return await self.answer(self.begin(b"GET %d" % octets), seconds)

    def say(self, frames: bytes) -> None:
        """Send raw frames, whatever they may be."""
        packet = packet_of(self.quic, frames, self._loop.time())
        self._transport.sendto(packet, self.quic._network_paths[0].addr)

    async def move(self, *, to: Address | None = None) -> None:
        """Go on from another socket: a NAT that changed its mind, or another network."""
        transport, _ = await self._loop.create_datagram_endpoint(
            lambda: _Feeding(self), local_addr=to or ("127.0.0.1", 0)
        )
        before, self._transport = self._transport, transport
        before.close()


class _Feeding(asyncio.DatagramProtocol):
    def __init__(self, client: StockClient) -> None:
        self._client = client

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._client.datagram_received(data, addr)


@asynccontextmanager
async def connecting(
    address: Address,
    *,
    wait: bool = True,
    client: Client | None = None,
    speaks: type[StockClient] = StockClient,
    **configuration,
) -> AsyncIterator[StockClient]:
    quic = client or Client(**configuration)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: speaks(quic), local_addr=("::1" if ":" in address[0] else "127.0.0.1", 0)
    )
    try:
        protocol.connect(address)
        if wait:
            async with asyncio.timeout(10):
                await protocol.wait_connected()
        yield protocol
    finally:
        protocol.close()
        protocol._transport.close()
        if protocol._timer is not None:
            protocol._timer.cancel()
        for waiting in (*protocol.ended.values(), protocol.terminated):
            if waiting.done() and not waiting.cancelled():
                waiting.exception()
        transport.close()


@asynccontextmanager
async def talking(
    settings: QuicSettings, source: type[Source] = Source, **configuration
) -> AsyncIterator[tuple[Listening, StockClient]]:
    """A listener and one client of it."""
    async with (
        serving(settings, source) as listener,
        connecting(listener.address, **{"server_name": "a.test"} | configuration) as client,
    ):
        yield listener, client
