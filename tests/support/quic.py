"""QUIC without sockets: a server's connection and a stock client's, back to back, time in hand.

pair = Pair(settings, server_name="www.test")
pair.run()                       # pass datagrams until nobody has any
pair.client.send_stream_data(0, b"hello", end_stream=True)
"""

import functools
import os
import ssl
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from aioquic import tls
from aioquic.buffer import Buffer
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import NetworkAddress, QuicConnection, get_epoch
from aioquic.quic.packet import QuicPacketType
from aioquic.quic.packet_builder import QuicPacketBuilder
from cryptography import x509

from edgeproxy.clock import Clock
from edgeproxy.quic.connection import ServerConnection
from edgeproxy.quic.headers import first_packet
from edgeproxy.quic.secrets import QuicSecrets
from edgeproxy.quic.settings import QuicSettings
from edgeproxy.quic.tickets import Tickets
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.tls.identity import Identity, load_identity
from edgeproxy.wire.limits import Limits
from tests.support.ca import LocalCa
from tests.support.clock import ManualClock

CLIENT = ("192.0.2.1", 50000)
SERVER = ("192.0.2.2", 443)
NEVER = 1 << 62
LIFETIME = 24 * 3600


def identity_of(ca: LocalCa, *names: str, **how) -> Identity:
    leaf = ca.issue(*names, **how)
    return load_identity([leaf.files], name=names[0])


@functools.cache
def any_identity() -> Identity:
    """One for a.test, made once: most tests do not care which."""
    with tempfile.TemporaryDirectory() as folder:
        return identity_of(LocalCa(Path(folder)), "a.test")


def settings_of(
    front: FrontContext,
    *,
    secrets: QuicSecrets | None = None,
    clock: Clock | None = None,
    lifetime: int = LIFETIME,
    limits: Limits | None = None,
    **more,
) -> QuicSettings:
    known = secrets or QuicSecrets()
    return QuicSettings(
        front=front,
        secrets=known,
        tickets=Tickets(known, lifetime),
        clock=clock or ManualClock(),
        limits=limits or Limits(),
        **more,
    )


class ClientTls(tls.Context):
    """Remembers what the server showed."""

    shown: tuple[bytes, bytes] | None = None

    def _client_handle_certificate(self, input_buf: Buffer) -> None:
        start = input_buf.tell()
        self.shown = tls.pull_certificate(input_buf).certificates[0]
        input_buf.seek(start)
        super()._client_handle_certificate(input_buf)


class Client(QuicConnection):
    """A stock client that may ask for a staple; `tickets` are those that it was given."""

    def __init__(self, *, asks_staple: bool = True, early: bool = False, **configuration) -> None:
        self.tickets: list[tls.SessionTicket] = []
        self.asks_staple = asks_staple
        self.early = early
        known = QuicConfiguration(
            is_client=True,
            **{"alpn_protocols": ["h3"], "verify_mode": ssl.CERT_NONE} | configuration,
        )
        super().__init__(configuration=known, session_ticket_handler=self.tickets.append)
        if not known.connection_id_length:  # stock aioquic would leave out the server's as well
            self._peer_cid.cid = self._original_destination_connection_id = os.urandom(8)

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        self.tls.__class__ = ClientTls
        if self.asks_staple:
            self.tls.handshake_extensions.append((5, b"\x01\x00\x00\x00\x00"))

    def _replenish_connection_ids(self) -> None:
        if self.configuration.connection_id_length:  # stock aioquic sends empty ones
            super()._replenish_connection_ids()

    @property
    def staple(self) -> bytes:
        """The DER octets beside the leaf, b"" for none."""
        return self.tls.shown[1][8:]

    @property
    def common_name(self) -> str:
        subject = x509.load_der_x509_certificate(self.tls.shown[0]).subject
        return subject.rfc4514_string().removeprefix("CN=")


def datagrams_of(server: ServerConnection, now: float) -> list[tuple[bytes, NetworkAddress]]:
    """Return what a server sends now, each datagram alone."""
    return [
        (bytes(data[at : at + size]), address)
        for data, size, address in server.bursts(now)
        for at in range(0, len(data), size)
    ]


class Pair:
    """Two connections; `filter` may drop or change what the client sends."""

    def __init__(
        self,
        settings: QuicSettings,
        *,
        client: Client | None = None,
        kind: type[ServerConnection] = ServerConnection,
        **client_,
    ) -> None:
        self.settings = settings
        self.kind = kind
        self.client = client or Client(**client_)
        self.server: ServerConnection | None = None
        self.now = 1.0
        self.client_address = CLIENT
        self.client_events: list[events.QuicEvent] = []
        self.server_events: list[events.QuicEvent] = []
        self.relieved: list[int] = []
        self.sent_by_client: list[bytes] = []
        self.filter: Callable[[bytes], bytes | None] = lambda data: data
        self.client.connect(SERVER, now=self.now)

    def run(self, rounds: int = 30, step: float = 0.01) -> "Pair":
        for _ in range(rounds):
            self.now += step
            self.to_server()
            self.to_client()
            if (at := self.client.get_timer()) is not None and at <= self.now:
                self.client.handle_timer(self.now)
            if self.server and (at := self.server.timer()) is not None and at <= self.now:
                self.server.on_timer(self.now)
        return self

    def to_server(self) -> None:
        for data, _ in self.client.datagrams_to_send(self.now):
            self.sent_by_client.append(data)
            changed = self.filter(data)
            if changed is not None:
                self.feed(changed)

    def feed(self, data: bytes, address=None) -> None:
        if self.server is None:
            header = first_packet(data)
            if header is None:
                return
            self.server = self.kind(self.settings, original_id=header.destination_cid)
            self.server._skips_at = NEVER  # by chance: no story would be the same twice
        self.server.take([(data, address or self.client_address)], self.now)
        self.server_events += self.server.events()
        self.relieved += self.server.relieved()

    def to_client(self) -> None:
        if self.server is not None:
            for data, address in datagrams_of(self.server, self.now):
                if address == self.client_address:
                    self.client.receive_datagram(data, SERVER, self.now)
        while (event := self.client.next_event()) is not None:
            self.client_events.append(event)

    def of(self, kind: type, *, server: bool = False) -> list:
        found = self.server_events if server else self.client_events
        return [event for event in found if isinstance(event, kind)]

    @property
    def closed(self) -> events.ConnectionTerminated | None:
        """Why the connection ended, as the client knows."""
        return self.client._close_event

    @property
    def received_by_server(self) -> bytes:
        found = self.of(events.StreamDataReceived, server=True)
        return b"".join(each.data for each in found)

    def received(self, stream_id: int) -> bytes:
        return b"".join(
            each.data for each in self.of(events.StreamDataReceived) if each.stream_id == stream_id
        )


def packet_of(
    client: QuicConnection,
    frames: bytes,
    now: float,
    *,
    kind: QuicPacketType = QuicPacketType.ONE_RTT,
) -> bytes:
    """Return raw frames in a 1-RTT packet of the client's own keys, or one of another kind."""
    builder = QuicPacketBuilder(
        host_cid=client.host_cid,
        peer_cid=client._peer_cid.cid,
        version=client._version,
        is_client=True,
        max_datagram_size=1200,
        packet_number=client._packet_number,
    )
    builder.start_packet(kind, client._cryptos[get_epoch(kind)])
    builder._buffer.push_bytes(frames)
    builder._packet.is_ack_eliciting = builder._packet.in_flight = True
    ((data, _),) = client._flush_builder(
        builder=builder,
        network_path=client._network_paths[0],
        peer_cid=client._peer_cid.cid,
        now=now,
    )
    return data


def write_frames(pair: Pair, frames: bytes) -> None:
    pair.feed(packet_of(pair.client, frames, pair.now))


def uint_var(value: int) -> bytes:
    buf = Buffer(capacity=8)
    buf.push_uint_var(value)
    return buf.data


def ack_frame(
    largest: int, *ranges: int, delay: int = 0, kind: int = 2, counts: Sequence[int] = ()
) -> bytes:
    """Return an ACK frame: the first range's length, then gaps and lengths in turns."""
    first, *rest = ranges or (0,)
    said = [largest, delay, len(rest) // 2, first, *rest, *counts]
    return bytes([kind]) + b"".join(map(uint_var, said))


def ca_in(folder: Path) -> LocalCa:
    return LocalCa(folder / "ca")
