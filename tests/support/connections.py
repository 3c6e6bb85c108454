"""A TCP connection of ours between a fake transport, a fake session and a client in memory."""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable

from OpenSSL import SSL

from edgeproxy.listeners.connection import Connection, TlsConnection
from edgeproxy.listeners.session import Channel
from edgeproxy.listeners.turns import Turns
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.wire.limits import Limits
from tests.support.clock import ManualClock
from tests.support.handshake import client_context


class NoQueue(Turns):
    """Everybody's turn comes at once."""

    def later(self, work: Callable[[], object], seconds: float = 0.0, *, client: str = "") -> None:
        work()


class FakeRegistry:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.turns: Turns = NoQueue(self.clock.monotonic)
        self.limits = Limits()
        self.members: list[Connection] = []
        self.refusals: Counter[str] = Counter()
        self.is_full = False

    def joined(self, connection: Connection) -> bool:
        if not self.is_full:
            self.members.append(connection)
        else:
            self.refused("connections_max")
        return not self.is_full

    def left(self, connection: Connection) -> None:
        if connection in self.members:
            self.members.remove(connection)

    def refused(self, reason: str) -> None:
        self.refusals[reason] += 1


class FakeTransport(asyncio.Transport):
    """A transport whose buffer drains when told; `kernel` is a real pair of sockets for TLS."""

    def __init__(self, peer: tuple[str, int] | None = ("192.0.2.7", 1234)) -> None:
        self.kernel, self.other = socket.socketpair()
        self.kernel.setblocking(False)
        self.other.setblocking(False)
        super().__init__({"peername": peer, "socket": self.kernel})
        self.buffer = bytearray()
        self.high = 0
        self.is_reading_now = True
        self.has_eof = False
        self.was_closed = False
        self.was_aborted = False
        self.protocol: asyncio.BaseProtocol | None = None

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high is not None
        self.high = high

    def get_write_buffer_size(self) -> int:
        return len(self.buffer)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.has_eof, "written behind the end"
        was_low = len(self.buffer) <= self.high
        self.buffer += data
        if was_low and len(self.buffer) > self.high:
            assert isinstance(self.protocol, asyncio.BufferedProtocol)
            self.protocol.pause_writing()

    def drain(self, size: int) -> bytes:
        taken = bytes(self.buffer[:size])
        was_high = len(self.buffer) > self.high // 4
        del self.buffer[:size]
        assert isinstance(self.protocol, asyncio.BufferedProtocol)
        if was_high and len(self.buffer) <= self.high // 4 and self.protocol.is_paused:
            self.protocol.resume_writing()
        return taken

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.has_eof = True

    def is_closing(self) -> bool:
        return self.was_closed or self.was_aborted

    def close(self) -> None:
        self.was_closed = True

    def abort(self) -> None:
        self.was_aborted = True

    def pause_reading(self) -> None:
        assert not self.is_closing()
        self.is_reading_now = False

    def resume_reading(self) -> None:
        assert not self.is_closing()
        self.is_reading_now = True

    def free(self) -> None:
        self.kernel.close()
        self.other.close()


class FakeSession:
    """Remembers what happens to it, and does what it is told on receiving."""

    def __init__(self, channel: Channel, protocol: str) -> None:
        self.channel = channel
        self.protocol = protocol
        self.received = b""
        self.events: list[str] = []
        self.on_receive = None

    def receive(self, data: bytes) -> None:
        assert type(data) is bytes
        self.received += data
        if self.on_receive is not None:
            self.on_receive(data)

    def writable(self) -> None:
        self.events.append("writable")

    def peer_closed(self) -> None:
        self.events.append("peer_closed")

    def lost(self) -> None:
        self.events.append("lost")

    def tick(self, now: float) -> None:
        self.events.append("tick")

    def drain(self) -> None:
        self.events.append("drain")


class Plain:
    """A connection in the clear and everything around it."""

    def __init__(self, registry: FakeRegistry | None = None, **transport) -> None:
        self.registry = registry or FakeRegistry()
        self.sessions: list[FakeSession] = []
        self.connection = self.make()
        self.transport = FakeTransport(**transport)
        self.transport.protocol = self.connection
        self.connection.connection_made(self.transport)

    def make(self) -> Connection:
        return Connection(self.registry, self.session_of)

    def session_of(self, channel: Channel, protocol: str) -> FakeSession:
        self.sessions.append(FakeSession(channel, protocol))
        return self.sessions[-1]

    @property
    def session(self) -> FakeSession:
        (session,) = self.sessions
        return session

    def feed(self, data: bytes) -> None:
        for at in range(0, len(data), 65536):
            piece = data[at : at + 65536]
            buffer = self.connection.get_buffer(-1)
            assert len(buffer) >= len(piece)
            buffer[: len(piece)] = piece
            self.connection.buffer_updated(len(piece))

    def pass_time(self, seconds: float, step: float = 1.0) -> float:
        """Tick until the transport is aborted; return how long that took, or all the seconds."""
        waited = 0.0
        while waited < seconds and not self.transport.was_aborted:
            waited += step
            self.registry.clock.advance(step)
            self.connection.tick(self.registry.clock.monotonic())
        return waited


class Tls(Plain):
    """A connection with TLS, and a client on the other end of the kernel."""

    def __init__(
        self,
        front: FrontContext,
        *,
        protocols: tuple[bytes, ...] = (),
        name=None,
        registry: FakeRegistry | None = None,
    ) -> None:
        self.front = front
        super().__init__(registry)
        context = client_context()
        if protocols:
            context.set_alpn_protos(list(protocols))
        self.client = SSL.Connection(context, None)
        self.client.set_connect_state()
        if name:
            self.client.set_tlsext_host_name(name)

    def make(self) -> Connection:
        return TlsConnection(self.registry, self.session_of, self.front)

    def arrived(self) -> bytes:
        """Take what the kernel has got, and what waits in the transport behind it."""
        taken = bytearray()
        while True:
            try:
                data = self.transport.other.recv(2**20)
            except BlockingIOError:
                break
            if not data:
                break
            taken += data
        return bytes(taken) + self.transport.drain(len(self.transport.buffer))

    def outgoing(self) -> bytes:
        taken = bytearray()
        while True:
            try:
                taken += self.client.bio_read(65536)
            except SSL.WantReadError:
                return bytes(taken)

    def shake_hands(self) -> "Tls":
        for _ in range(4):
            with contextlib.suppress(SSL.WantReadError):
                self.client.do_handshake()
            self.feed(self.outgoing())
            if data := self.arrived():
                self.client.bio_write(data)
        return self

    def send(self, data: bytes) -> bytes:
        at, taken = 0, b""
        while at < len(data):
            at += self.client.send(data[at : at + 16384])
            taken += self.outgoing()
        return taken

    def read(self) -> bytes:
        if data := self.arrived():
            self.client.bio_write(data)
        taken = bytearray()
        while True:
            try:
                taken += self.client.recv(65536)
            except SSL.WantReadError:
                return bytes(taken)
