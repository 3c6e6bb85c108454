"""One accepted TCP connection, with TLS 1.3 or in the clear: socket bytes to session and back.

It knows no protocol: ALPN names the session (RFC 7301), the session does the rest. Content stops
when a little waits for the peer to take it, reading when much does: a peer that downloads can still
cancel, reprioritise and ask, one that never reads its answers cannot go on asking. Closing is in
order (close_notify, FIN, then a short wait for the peer so that no RST overtakes the last response,
RFC 9112 section 9.6).
"""

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Callable
from typing import Literal, Protocol, cast

from edgeproxy.clock import Clock
from edgeproxy.http.households import household
from edgeproxy.http.messages import ConnectionInfo
from edgeproxy.listeners.session import Channel, Session
from edgeproxy.listeners.turns import Turns
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.tls.engine import TlsEngine, TlsFault, ciphertext_in
from edgeproxy.wire.limits import Limits

log = logging.getLogger(__name__)

SessionFactory = Callable[[Channel, str], Session]

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
# Sessions produce content until so much of what may wait does. The rest is room for one more write
# of theirs, and for answers to what arrives meanwhile.
_PRODUCED_PART = 4


class Registry(Protocol):
    """Who keeps the connections: counted, ticked and drained as a whole."""

    clock: Clock
    limits: Limits
    turns: Turns

    def joined(self, connection: "Connection") -> bool:
        """Take a new connection in; False, and counted, when there are too many."""

    def left(self, connection: "Connection") -> None:
        """Forget a connection."""

    def refused(self, reason: str) -> None:
        """Count a connection that ended before a session began."""


class Connection(asyncio.BufferedProtocol):
    """A connection in the clear; see `TlsConnection` for the other kind."""

    def __init__(self, registry: Registry, sessions: SessionFactory) -> None:
        self._registry = registry
        self._sessions = sessions
        self._limits = registry.limits  # those that it began with
        self._transport: asyncio.Transport
        self._session: Session | None = None
        self._began = registry.clock.monotonic()
        self._closing_at = 0.0
        self._moved_at = 0.0  # while paused or closing: when the peer last took something
        self._unmoved_bytes = 0
        self._is_lost = False
        self._is_eof = False
        self._is_peer_closed = False
        self._is_draining = False
        self._is_reading_wanted = True
        self.is_paused = False
        self.info = ConnectionInfo("", scheme=b"http")
        self.household = ""
        self._unread = b""  # what came when its time was over, or of a handshake

    # --- asyncio.BufferedProtocol ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        unsent_max = self._limits.unsent_bytes_max
        self._transport.set_write_buffer_limits(high=unsent_max // _PRODUCED_PART)
        peer = transport.get_extra_info("peername")
        self.info.client = str(peer[0]) if peer else ""
        self.household = household(self.info.client)
        if not self._registry.joined(self):
            self._transport.abort()
            return
        self._opened()

    def get_buffer(self, sizehint: int) -> bytearray:
        """Lend the shared buffer: it is emptied by `buffer_updated` before anybody else reads."""
        return ciphertext_in

    def buffer_updated(self, nbytes: int) -> None:
        """Take `nbytes` of the shared buffer, now or when it is this client's turn."""
        if self._closing_at:
            return
        if self._unread or self._session is None or self._registry.turns.is_over():
            # also each step of a handshake: half a millisecond, which many may want at once
            self._put_off(bytes(memoryview(ciphertext_in)[:nbytes]))
            return
        self._received(nbytes)
        if self._is_full:
            self._pause()

    def _put_off(self, data: bytes) -> None:
        """Read later, and nothing more until then."""
        is_first = not self._unread
        self._unread += data
        self._pause()
        if is_first:
            self.later(self._read_unread)

    def _read_unread(self) -> None:
        data, self._unread = self._unread, b""
        for at in range(0, len(data), len(ciphertext_in)):
            if self._is_lost or self._closing_at:
                return
            part = data[at : at + len(ciphertext_in)]
            ciphertext_in[: len(part)] = part
            self._received(len(part))
        if self._is_reading_wanted and not self._is_full:
            self._resume()

    def eof_received(self) -> bool:
        """Take the end of what the peer sends, behind all that came before it."""
        if self._unread:  # the session wanted to read on, and got there first
            self._read_unread()
        return self._ended()

    def _ended(self) -> bool:
        """Let the session finish what it owes before the connection is closed."""
        self._is_eof = True
        if self._session is None or self._closing_at:
            return False
        self._on_peer_closed()
        return True

    def pause_writing(self) -> None:
        """Stop producing."""
        self.is_paused = True
        self._moved_at = self._registry.clock.monotonic()
        self._unmoved_bytes = self.unsent_bytes

    def resume_writing(self) -> None:
        """Go on."""
        self.is_paused = False
        if self._is_reading_wanted:
            self._resume()
        self.later(self._go_on)

    def _go_on(self) -> None:
        if self._session is not None and not self._closing_at and not self.is_paused:
            self._session.writable()

    def connection_lost(self, exc: Exception | None) -> None:
        """Release everything."""
        self._is_lost = True
        self.is_paused = True
        self._registry.left(self)
        session, self._session = self._session, None
        if session is not None:
            session.lost()

    # --- listeners.session.Channel --------------------------------------------------------------

    @property
    def unsent_bytes(self) -> int:
        """What the kernel has not taken; see `Channel`."""
        return self._transport.get_write_buffer_size()

    def write(self, chunks: list[bytes | memoryview]) -> None:
        """Send; see `Channel`."""
        if not self._is_lost and not self._closing_at:
            self._transport.write(b"".join(chunks))

    def close(self) -> None:
        """Close in order; see `Channel`."""
        if self._closing_at or self._is_lost:
            return
        self._closing_at = self._moved_at = self._registry.clock.monotonic()
        self._farewell()
        if self._is_eof:
            self._transport.close()  # nothing can come any more that an RST would answer
        elif self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
        self._unmoved_bytes = self.unsent_bytes
        self._resume()

    def abort(self) -> None:
        """Drop by a reset; see `Channel`."""
        if not self._transport.is_closing():
            # To a client of HTTP/1.0 a FIN is the end of the content, with or without the
            # close_notify that curl does not miss; and behind a FIN the kernel goes on to keep
            # what a slow reader does not take.
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def pause_reading(self) -> None:
        """Stop reading; see `Channel`."""
        self._is_reading_wanted = False
        self._pause()

    def resume_reading(self) -> None:
        """Read again; see `Channel`."""
        self._is_reading_wanted = True
        if not self._is_full:
            self._resume()

    def later(self, work: Callable[[], object], seconds: float = 0.0) -> None:
        """Do something in this connection's turn; see `Channel`."""
        self._registry.turns.later(work, seconds, client=self.household)

    # --- for the listener -----------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Check the deadlines that belong to no protocol."""
        limits = self._limits
        if self._closing_at:
            self._tick_closing(now)
        elif self.is_paused and self._is_stuck(now, limits.write_stall_seconds):
            self._registry.refused("write_stall")
            self.abort()
        elif self._session is not None:
            self._session.tick(now)
        elif now - self._began > limits.tls_handshake_seconds:
            self._registry.refused("tls_handshake_timeout")
            self._give_up("timeout")
            self._transport.abort()

    def _tick_closing(self, now: float) -> None:
        """Wait for the peer to take the rest and to close, but not for ever."""
        limits = self._limits
        patience = (
            limits.write_stall_seconds if self.unsent_bytes else limits.lingering_close_seconds
        )
        slowest = limits.unsent_bytes_max / limits.minimum_rate_bytes_per_second
        waited = now - self._closing_at
        if self._is_stuck(now, patience) or waited > slowest + limits.write_stall_seconds:
            self._transport.abort()

    def _is_stuck(self, now: float, patience: float) -> bool:
        """Whether the peer has taken nothing for so long; nothing new is written meanwhile."""
        unsent = self.unsent_bytes
        if unsent < self._unmoved_bytes:
            self._unmoved_bytes, self._moved_at = unsent, now
        return now - self._moved_at > patience

    def drain(self) -> None:
        """Finish what is in flight, then close; also what a handshake that has begun leads to."""
        self._is_draining = True
        if self._session is not None:
            self._session.drain()

    # --- what differs with TLS ------------------------------------------------------------------

    def _opened(self) -> None:
        self._session = self._sessions(self, "http/1.1")

    def _received(self, size: int) -> None:
        if self._session is not None:
            self._session.receive(bytes(memoryview(ciphertext_in)[:size]))

    def _farewell(self) -> None:
        """Say goodbye above TCP."""

    def _give_up(self, outcome: Literal["timeout", "closed"]) -> None:
        """Take note that no session will begin."""

    def _on_peer_closed(self) -> None:
        """Tell the session, once: close_notify and FIN both come here."""
        if self._session is not None and not self._is_peer_closed and not self._closing_at:
            self._is_peer_closed = True
            self._session.peer_closed()

    @property
    def _is_full(self) -> bool:
        """Whether more waits than may: an answer needs room."""
        return self.is_paused and self.unsent_bytes > self._limits.unsent_bytes_max

    def _pause(self) -> None:
        if not self._is_lost and not self._transport.is_closing():
            self._transport.pause_reading()

    def _resume(self) -> None:
        if not self._is_lost and not self._transport.is_closing():
            self._transport.resume_reading()


class TlsConnection(Connection):
    """A connection with TLS 1.3; the session begins when the handshake is complete."""

    def __init__(self, registry: Registry, sessions: SessionFactory, front: FrontContext) -> None:
        super().__init__(registry, sessions)
        self._front = front
        self._engine: TlsEngine
        self._socket = -1
        self._is_shaking_hands = False
        self.info = ConnectionInfo("")

    def write(self, chunks: list[bytes | memoryview]) -> None:
        """Encrypt and send; see `Channel`."""
        if self._is_lost or self._closing_at:
            return
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        try:
            self._engine.write(data)
        except TlsFault:
            self._transport.abort()

    def _ended(self) -> bool:
        """Tell a peer that has gone from one that only has nothing more to say."""
        is_cut = not self._engine.is_peer_closed
        if is_cut and self._session is not None and not self._closing_at:
            # A half-closed connection begins with close_notify (RFC 8446 section 6.1). A FIN alone
            # is a program that was killed or a tab that was closed: nobody waits for the answer.
            self.abort()
            return False
        return super()._ended()

    def _opened(self) -> None:
        self._socket = self._transport.get_extra_info("socket").fileno()
        self._engine = TlsEngine(self._front.new_connection(), self._send)
        self._is_shaking_hands = True

    def _send(self, ciphertext: memoryview) -> None:
        """Hand ciphertext to the kernel at once; what it does not take waits in the transport.

        The transport alone would copy every buffer first, because it sends later.
        """
        transport, sent = self._transport, 0
        if transport.is_closing():  # the descriptor may belong to somebody else soon
            return
        if not transport.get_write_buffer_size():
            try:
                sent = os.write(self._socket, ciphertext)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                transport.abort()
                return
        if sent < len(ciphertext):
            transport.write(bytes(ciphertext[sent:]))

    def _received(self, size: int) -> None:
        try:
            session = self._session
            if session is None:
                if not self._engine.handshake(size):
                    return
                session, size = self._begin(), 0
            self._engine.read(size, session.receive)
        except TlsFault as fault:
            self._registry.refused("tls")
            if self._is_shaking_hands:
                self._is_shaking_hands = False
                self._front.failed(self._engine.connection, str(fault))
            log.debug("TLS with %s ended: %s", self.info.client, fault)
            self.close()  # behind the alert, which no RST may overtake
            return
        if self._engine.is_peer_closed:
            self._on_peer_closed()

    def _begin(self) -> Session:
        connection = self._engine.connection
        self._is_shaking_hands = False
        self._front.completed(connection)
        name = connection.get_servername()
        self.info.server_name = name.decode("ascii", "replace").lower() if name else None
        self.info.covers = self._front.identity_of(connection).covers
        protocol = connection.get_alpn_proto_negotiated().decode("ascii") or "http/1.1"
        self._session = self._sessions(self, protocol)
        if self._is_draining:
            self._session.drain()
        return self._session

    def _farewell(self) -> None:
        self._engine.shutdown()

    def _give_up(self, outcome: Literal["timeout", "closed"]) -> None:
        if self._is_shaking_hands:
            self._is_shaking_hands = False
            self._front.abandoned(outcome)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release everything, above all what OpenSSL holds, without waiting for the collector."""
        super().connection_lost(exc)
        self._give_up("closed")
        vars(self).pop("_engine", None)
