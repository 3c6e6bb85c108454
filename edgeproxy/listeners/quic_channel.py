"""One QUIC connection between its engine and the HTTP/3 spoken on it.

Everything it does happens in its client's turn (`turns`): what arrived is taken, the session hears
of it, and what there is to send leaves in one go. What a session does at other times asks for one.
It owns no socket and no timer: `udp` lends it both.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from aioquic.quic import events

from edgeproxy.clock import Clock
from edgeproxy.http.households import household
from edgeproxy.http.messages import ConnectionInfo
from edgeproxy.listeners.datagrams import Address, Datagram
from edgeproxy.listeners.quic_streams import Http3Side, QuicStreams
from edgeproxy.listeners.turns import TURN_SECONDS, Turns
from edgeproxy.quic.connection import ServerConnection
from edgeproxy.quic.lane import Burst
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.tls.handshakes import Handshake, Outcome, outcome_of_refusal
from edgeproxy.wire.limits import Limits

log = logging.getLogger(__name__)

H3_NO_ERROR: Final = 0x100
H3_INTERNAL_ERROR: Final = 0x102
_CRYPTO_ERROR: Final = 0x100
# More of one client's waits than a window of it is not worth keeping: it is lost, as in a router.
INBOX_MAX: Final = 128
# What is taken of that between two looks at the clock: the first packets of a turn say whether they
# are cheap ones, as acknowledgements are, or cost a millisecond each.
_BATCH_FIRST: Final = 2
_BATCH: Final = 16
_OUTCOMES: Final[dict[int, Outcome]] = {
    40: "no_common_group",
    50: "bad_record",
    70: "unsupported_version",
    120: "no_application_protocol",
}

Http3Factory = Callable[[QuicStreams], Http3Side]


class Owner(Protocol):
    """Who keeps the connections: table, sockets, timers, counts."""

    clock: Clock
    limits: Limits
    turns: Turns
    front: FrontContext

    def send(self, channel: "QuicChannel", bursts: Sequence[Burst]) -> None:
        """Send datagrams of a connection."""

    def arm(self, channel: "QuicChannel", at: float | None, now: float) -> None:
        """Call `fire` then."""

    def names(self, channel: "QuicChannel", connection_id: bytes) -> None:
        """Take note of one more ID that leads to a connection."""

    def forgets(self, connection_id: bytes) -> None:
        """Take note that an ID leads nowhere."""

    def established(self, channel: "QuicChannel") -> None:
        """Take note that a handshake is complete."""

    def left(self, channel: "QuicChannel") -> None:
        """Forget a connection that is over."""

    def refused(self, reason: str) -> None:
        """Count a connection that ended before a session began."""


class QuicChannel:
    """Is the session's `QuicStreams`; see there for what a session calls."""

    def __init__(
        self, owner: Owner, engine: ServerConnection, sessions: Http3Factory, address: Address
    ) -> None:
        self._owner = owner
        self._sessions = sessions
        self._session: Http3Side | None = None
        self._inbox: deque[Datagram] = deque()
        self._is_waiting = False
        self._is_busy = False
        self._is_over = False
        self._is_established = False
        self._goodbye: tuple[int, str] | None = None  # what to close with once all is acknowledged
        self._goodbye_since = 0.0
        self._address = address
        self._limits = owner.limits
        self._began = owner.clock.monotonic()
        self.engine = engine
        self.is_early = False
        self.local: list[tuple[int, int, bytes]] = []
        self.info = ConnectionInfo(str(address[0]))
        self.household = household(self.info.client)

    # --- for the listener -------------------------------------------------------------------------

    def arrived(self, datagram: Datagram) -> None:
        """Take a datagram in, for the next turn."""
        if len(self._inbox) < INBOX_MAX:
            self._inbox.append(datagram)

    def wait(self) -> None:
        """Ask for a turn."""
        if not self._is_waiting and not self._is_over:
            self._is_waiting = True
            self._owner.turns.later(self.turn, client=self.household)

    def turn(self) -> None:
        """Take what arrived, let the session hear of it, send what there is."""
        self._is_waiting = False
        if self._is_over:
            return
        now = self._owner.clock.monotonic()
        self._is_busy = True
        try:
            self._take(now)
            self._dispatch()
            self._relieve()
            if self._goodbye is not None and self.engine.is_settled:
                self.engine.finish(*self._goodbye)
        except Exception:  # a session's fault is the end of its connection only
            log.exception("the session of %s failed", self.info.client)
            self.engine.finish(H3_INTERNAL_ERROR)
        finally:
            self._is_busy = False
        if not self.engine.is_begun:
            self._end()  # nobody was understood, so there is nobody
            return
        self._follow()
        self._transmit(now)
        if self._inbox:
            self.wait()

    def _take(self, now: float) -> None:
        """Let the engine take what arrived, for as long as a turn is."""
        inbox, most = self._inbox, _BATCH_FIRST
        while inbox:
            self.local = inbox[-1].local
            batch = [inbox.popleft()[:2] for _ in range(min(len(inbox), most))]
            self.engine.take(batch, now)
            spent = self._owner.clock.monotonic() - now
            if spent >= TURN_SECONDS:
                break
            most = _BATCH if spent < TURN_SECONDS / 4 else _BATCH_FIRST

    def fire(self) -> None:
        """Do what time asks for."""
        if not self._is_over:
            self.engine.on_timer(self._owner.clock.monotonic())
            self.turn()

    def tick(self, now: float) -> None:
        """Check deadlines: about once a second."""
        if not self._is_established:
            if now - self._began > self._limits.tls_handshake_seconds:
                self._owner.refused("tls_handshake_timeout")
                self._owner.front.note(Handshake("timeout"))
                self._end(is_noted=True)
        elif self._goodbye is not None:
            if now - self._goodbye_since > self._limits.write_stall_seconds:
                self.abort()
        elif self._session is not None:
            self._session.tick(now)

    def drain(self) -> None:
        """Finish what is in flight, then close."""
        if self._session is None or not self._is_established:
            self.abort()
            return
        self._session.drain()
        self.wait()

    def abort(self) -> None:
        """Close at once; what is not sent is lost."""
        if not self._is_over:
            self.engine.finish(H3_NO_ERROR)
            self._transmit(self._owner.clock.monotonic())
            self._end()

    # --- listeners.quic_streams.QuicStreams -------------------------------------------------------

    def open_unidirectional(self) -> int:
        """Open; see `QuicStreams`."""
        return self.engine.open_unidirectional()

    def room(self, stream_id: int) -> int:
        """Look; see `QuicStreams`."""
        return self.engine.room(stream_id)

    def send(self, stream_id: int, data: bytes | memoryview, *, end: bool = False) -> None:
        """Queue; see `QuicStreams`."""
        self.engine.queue(stream_id, data, end=end)
        self._touch()

    def reset(self, stream_id: int, code: int) -> None:
        """Reset; see `QuicStreams`."""
        self.engine.abandon(stream_id, code)
        self._touch()

    def stop(self, stream_id: int, code: int) -> None:
        """Stop; see `QuicStreams`."""
        self.engine.stop(stream_id, code)
        self._touch()

    def consumed(self, stream_id: int, octets: int) -> None:
        """Credit; see `QuicStreams`."""
        self.engine.consumed(stream_id, octets)
        self._touch()

    def prioritise(self, stream_id: int, urgency: int, *, incremental: bool) -> None:
        """Order; see `QuicStreams`."""
        self.engine.prioritise(stream_id, urgency, incremental=incremental)

    def close(self, code: int, reason: str = "") -> None:
        """Close; see `QuicStreams`.

        In order (H3_NO_ERROR) only when the peer has all that was queued: CONNECTION_CLOSE ends
        the delivery of everything.
        """
        if code != H3_NO_ERROR:
            self.engine.finish(code, reason)
        elif self._goodbye is None:
            self._goodbye = code, reason
            self._goodbye_since = self._owner.clock.monotonic()
        self._touch()

    def later(self, work: Callable[[], object], seconds: float = 0.0) -> None:
        """Do something in this client's turn; see `QuicStreams`."""
        self._owner.turns.later(work, seconds, client=self.household)

    # --- inside -----------------------------------------------------------------------------------

    def _touch(self) -> None:
        if not self._is_busy:
            self.wait()

    def _dispatch(self) -> None:
        if not self._is_established and self.engine.takes_early_data:
            self.is_early = not self.engine.is_handshake_complete
            self._begin()
        for event in self.engine.events():
            match event:
                case events.StreamDataReceived(data=data, end_stream=end, stream_id=stream_id):
                    if self._session is not None:
                        self._session.received(stream_id, data, end=end)
                case events.StreamReset(error_code=code, stream_id=stream_id):
                    if self._session is not None:
                        self._session.was_reset(stream_id, code)
                case events.StopSendingReceived(error_code=code, stream_id=stream_id):
                    if self._session is not None:
                        self._session.was_stopped(stream_id, code)
                case events.ConnectionIdIssued(connection_id=connection_id):
                    self._owner.names(self, connection_id)
                case events.ConnectionIdRetired(connection_id=connection_id):
                    self._owner.forgets(connection_id)
                case events.HandshakeCompleted():
                    self._establish()
                case _:
                    pass

    def _begin(self) -> None:
        """Begin the session, once: the client may be heard."""
        if self._session is None:
            handshake = self.engine.handshake
            self.info.server_name = handshake.server_name
            if handshake.identity is not None:
                self.info.covers = handshake.identity.covers
            self._session = self._sessions(self)

    def _establish(self) -> None:
        """Go on with a client that is known to be there: the handshake is complete."""
        self.is_early = False
        self._is_established = True
        self.engine.handshake.note_completed()
        self._owner.established(self)
        self._begin()

    def _relieve(self) -> None:
        if self._session is not None:
            for stream_id in self.engine.relieved():
                self._session.writable(stream_id)

    def _follow(self) -> None:
        """Call the client by its new address once it has shown that it is there."""
        address = self.engine.address
        if address != self._address and self.engine.is_address_validated:
            self._address = address
            self.info.client = str(address[0])

    def _transmit(self, now: float) -> None:
        bursts = self.engine.bursts(now)
        if bursts:
            self._owner.send(self, bursts)
        for event in self.engine.events():  # IDs that were issued with these
            if isinstance(event, events.ConnectionIdIssued):
                self._owner.names(self, event.connection_id)
        if self.engine.is_over:
            self._end()
        else:
            self._owner.arm(self, self.engine.timer(), now)

    def _end(self, *, is_noted: bool = False) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._inbox.clear()
        self._owner.left(self)
        outcome = _outcome(self.engine)
        is_begun = self.engine.is_begun
        self.engine.release()
        session, self._session = self._session, None
        if session is not None:
            session.lost()
        if is_begun and not self._is_established and not is_noted:
            self._owner.front.note(Handshake(outcome))


def _outcome(engine: ServerConnection) -> Outcome:
    """Return the word for how a handshake ended that was not completed."""
    code = engine.error_code
    if code is None or not _CRYPTO_ERROR <= code < 2 * _CRYPTO_ERROR:
        return "closed"
    if engine.is_closed_by_peer:
        return "client_alert"
    alert = code - _CRYPTO_ERROR
    return _OUTCOMES.get(alert) or outcome_of_refusal(alert)
