"""A UDP listener: all QUIC connections of the sockets that it is given.

It binds nothing: sockets outlive it, so that no reload ever closes one, and with several workers
each has sockets of its own (`runtime/udp_sockets`). A datagram finds its connection by one look in
a table. What finds none may begin one: that waits for its client's turn, costs an address only its
own share, and under load has to come back with a token first (Retry), so that nobody makes us work
in somebody else's name.

Invariants: what is answered without a connection is rate-limited and never larger than what it
answers three times; half-open connections, those that wait to begin and those that were closed are
bounded, in all and for each household; one timer serves all.
"""

import asyncio
import logging
import socket
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from aioquic.quic.packet import QuicErrorCode, QuicHeader

from edgeproxy.clock import Clock
from edgeproxy.http.households import household
from edgeproxy.listeners.datagrams import Datagram, DatagramSocket
from edgeproxy.listeners.quic_channel import Http3Factory, QuicChannel
from edgeproxy.listeners.turns import Turns
from edgeproxy.quic import replies
from edgeproxy.quic.connection import ServerConnection
from edgeproxy.quic.headers import destination_of, first_packet, long_header
from edgeproxy.quic.lane import Burst
from edgeproxy.quic.settings import DATAGRAM_BYTES_MIN, VERSIONS, QuicSettings
from edgeproxy.quic.tickets import SESSION_LIFETIME_SECONDS
from edgeproxy.quic.tokens import Proof, RetryTokens
from edgeproxy.quic.wheel import TICK_SECONDS as TIMER_SECONDS
from edgeproxy.quic.wheel import Wheel
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.wire.buckets import TokenBucket
from edgeproxy.wire.limits import Limits

log = logging.getLogger(__name__)

TICK_SECONDS: Final = 1.0
SLICES: Final = 20

# A handshake is a millisecond of ours and some hundred milliseconds of the network: 256 at a time
# are a rush of a thousand new clients a second. Beyond that, addresses have to be proven first.
RETRY_ABOVE: Final = 256
RETRY_WAITING_ABOVE: Final = 16  # each of which has us busy for two milliseconds
RETRY_OF_HOUSEHOLD_ABOVE: Final = 32
HALF_OPEN_MAX: Final = 2048
HALF_OPEN_OF_HOUSEHOLD_MAX: Final = 256
# Its first packets: a ClientHello is two or three of them.
_FIRST_DATAGRAMS_MAX: Final = 4
# Answers without a connection, each to somebody we know nothing of.
_REPLIES_BURST: Final = 200
_REPLIES_PER_SECOND: Final = 200.0
_CLOSED_MAX: Final = 4096


@dataclass(eq=False)
class _Newcomer:
    """A client whose connection will begin in its turn."""

    first: Datagram
    sock: DatagramSocket
    proof: Proof | None
    datagrams: list[Datagram] = field(default_factory=list)


@dataclass(eq=False)
class _Closed:
    """What is left of a connection for as long as packets may come for it (RFC 9000 section 10.2).

    `farewell` is said again after the 1st, 2nd, 4th and so on: it may have been lost.
    """

    farewell: tuple[bytes, ...]
    until: float
    connection_ids: tuple[bytes, ...]
    heard: int = 0


class UdpListener:
    """All connections of a set of sockets; `sessions` makes what speaks on one."""

    def __init__(
        self, settings: QuicSettings, sessions: Http3Factory, *, turns: Turns | None = None
    ) -> None:
        self.settings = settings
        self.clock: Clock = settings.clock
        self.limits: Limits = settings.limits
        self.front: FrontContext = settings.front
        self.turns = turns or Turns(self.clock.monotonic)
        self.refusals: Counter[str] = Counter()
        self.replies: Counter[str] = Counter()
        self._sessions = sessions
        self._tokens = RetryTokens(settings.secrets)
        self._sockets: list[DatagramSocket] = []
        self._socket_of: dict[QuicChannel, DatagramSocket] = {}
        self._table: dict[bytes, QuicChannel] = {}
        self._ids: dict[QuicChannel, set[bytes]] = {}
        self._closed: dict[bytes, _Closed] = {}
        self._closed_in_order: OrderedDict[_Closed, None] = OrderedDict()
        self._newcomers: dict[bytes, _Newcomer] = {}
        self._of_household: Counter[str] = Counter()
        self._half_open: set[QuicChannel] = set()
        self._half_open_of: Counter[str] = Counter()  # with those that wait to begin
        self._slices: list[set[QuicChannel]] = [set() for _ in range(SLICES)]
        self._slice_of: dict[QuicChannel, int] = {}
        self._next_slice = 0
        self._wheel: Wheel[QuicChannel] = Wheel()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._ticker: asyncio.TimerHandle | None = None
        self._bucket = TokenBucket(_REPLIES_BURST, _REPLIES_PER_SECOND)
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._is_draining = False

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._ids)

    @property
    def half_open(self) -> int:
        """How many handshakes are under way or wait for their turn."""
        return len(self._half_open) + len(self._newcomers)

    @property
    def lost(self) -> int:
        """How many datagrams neither the kernel nor the queue before it took."""
        return sum(each.lost for each in self._sockets)

    async def start(self, sockets: list[socket.socket]) -> None:
        """Read from bound, non-blocking sockets, which stay the caller's to close."""
        self.hear(sockets)
        if self._ticker is None:
            loop = asyncio.get_running_loop()
            self._ticker = loop.call_later(TICK_SECONDS / SLICES, self._tick)

    def hear(self, sockets: list[socket.socket]) -> None:
        """Read from these, too."""
        for sock in sockets:
            own = DatagramSocket(sock)
            own.listen(partial(self._readable, own))
            self._sockets.append(own)

    @property
    def early_data(self) -> Counter[str]:
        """What came of early data, by `accepted` or why not."""
        return self.settings.early.outcomes

    def adopt(self, limits: Limits, *, early_data: bool = False) -> None:
        """Begin new connections under these limits; nobody who is connected is sent away."""
        self.settings.early.is_on = early_data
        self.limits = limits
        self.settings = replace(self.settings, limits=limits)
        lifetime = self.front.parameters.ticket_lifetime_seconds
        self.settings.tickets.lifetime_seconds = min(lifetime, SESSION_LIFETIME_SECONDS)

    async def drain(self, timeout_seconds: float) -> bool:
        """Begin nothing new and let requests in flight finish; False when time ran out."""
        self._is_draining = True
        for channel in list(self._ids):
            channel.drain()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._is_empty.wait()
        except TimeoutError:
            return False
        return True

    async def aclose(self) -> None:
        """Close what is left, and read no more."""
        for timer in (self._ticker, self._timer):
            if timer is not None:
                timer.cancel()
        for channel in list(self._ids):
            channel.abort()
        self._newcomers.clear()
        self.turns.close()
        for sock in self._sockets:
            sock.close()

    # --- receiving --------------------------------------------------------------------------------

    def _readable(self, sock: DatagramSocket) -> None:
        """Read what is there while reading has time, then give each connection its turn."""
        touched: dict[QuicChannel, None] = {}
        while True:
            is_over = self.turns.is_over()
            datagram = sock.receive()
            if datagram is None:
                break
            destination = destination_of(datagram.data)
            channel = self._table.get(destination)
            if channel is None:
                self._astray(datagram, destination, sock)
            else:
                channel.arrived(datagram)
                touched[channel] = None
            if is_over:
                break
        for channel in touched:
            if self.turns.is_over():
                channel.wait()
            else:
                channel.turn()

    def _astray(self, datagram: Datagram, destination: bytes, sock: DatagramSocket) -> None:
        """Deal with a datagram that belongs to no connection."""
        if not destination:
            return
        closed = self._closed.get(destination)
        if closed is not None:
            self._say_again(closed, datagram, sock)
            return
        newcomer = self._newcomers.get(destination)
        if newcomer is not None:
            if len(newcomer.datagrams) < _FIRST_DATAGRAMS_MAX:
                newcomer.datagrams.append(datagram)
            return
        header = long_header(datagram.data)
        if header is None:
            self._reset(datagram, destination, sock)
        elif header.version in VERSIONS:
            self._welcome(datagram, sock)
        elif (
            header.version
            and len(datagram.data) >= DATAGRAM_BYTES_MIN
            and self._may_reply("version_negotiation")
        ):
            sock.send([replies.version_negotiation(header)], datagram.address, datagram.local)

    def _reset(self, datagram: Datagram, destination: bytes, sock: DatagramSocket) -> None:
        if not self.settings.naming.is_ours(destination):
            return
        found = replies.stateless_reset(datagram.data, destination, self.settings.secrets)
        if found is not None and self._may_reply("stateless_reset"):
            sock.send([found], datagram.address, datagram.local)

    def _may_reply(self, kind: str) -> bool:
        """Take one from the bucket of answers without a connection, and count it."""
        if not self._bucket.take(self.clock.monotonic()):
            return False
        self.replies[kind] += 1
        return True

    def _say_again(self, closed: _Closed, datagram: Datagram, sock: DatagramSocket) -> None:
        closed.heard += 1
        is_turn = closed.heard & (closed.heard - 1) == 0
        size = sum(map(len, closed.farewell))
        if is_turn and 0 < size <= 3 * len(datagram.data):
            self.replies["connection_close"] += 1
            sock.send(closed.farewell, datagram.address, datagram.local)

    # --- beginnings -------------------------------------------------------------------------------

    def _welcome(self, datagram: Datagram, sock: DatagramSocket) -> None:
        """Decide about a client's first packet."""
        header = first_packet(datagram.data)
        if header is None:
            return
        address = datagram.address
        place = household(str(address[0]))
        reason = self._why_not(place)
        if reason:
            self.refused(reason)
            self._refuse(header, QuicErrorCode.CONNECTION_REFUSED, datagram, sock)
            return
        if (
            self.half_open >= HALF_OPEN_MAX
            or self._half_open_of[place] >= HALF_OPEN_OF_HOUSEHOLD_MAX
        ):
            self.refused("half_open")  # without a word: who is real comes again
            return
        found = self._tokens.open(
            header.token, address[:2], header.destination_cid, self.clock.now()
        )
        if found == "used":
            self._refuse(header, QuicErrorCode.INVALID_TOKEN, datagram, sock)
            return
        if found is None and self._asks_back(place):
            self._retry(header, datagram, sock)
            return
        self._newcomers[header.destination_cid] = _Newcomer(datagram, sock, found)
        self._half_open_of[place] += 1
        self.turns.later(partial(self._begin, header.destination_cid), client=place)

    def _why_not(self, place: str) -> str:
        """Return why there is no place for a connection, "" if there is one."""
        if self._is_draining:
            return "draining"
        if self.connections >= self.limits.connections_max:
            return "connections_max"
        most = self.limits.connections_per_client_max
        if most and self._of_household[place] >= most:
            return "connections_per_client_max"
        return ""

    def _asks_back(self, place: str) -> bool:
        return (
            self.half_open >= RETRY_ABOVE
            or len(self._newcomers) >= RETRY_WAITING_ABOVE
            or self._half_open_of[place] >= RETRY_OF_HOUSEHOLD_ABOVE
        )

    def _retry(self, header: QuicHeader, datagram: Datagram, sock: DatagramSocket) -> None:
        if not self._may_reply("retry"):
            return
        retry_id = self.settings.naming.new()
        address = datagram.address[:2]
        token = self._tokens.seal(address, header.destination_cid, retry_id, self.clock.now())
        sock.send([replies.retry(header, retry_id, token)], datagram.address, datagram.local)

    def _refuse(
        self, header: QuicHeader, code: int, datagram: Datagram, sock: DatagramSocket
    ) -> None:
        if self._may_reply("refusal"):
            sock.send([replies.refusal(header, code)], datagram.address, datagram.local)

    def _begin(self, destination: bytes) -> None:
        """Begin a connection in its client's turn."""
        newcomer = self._newcomers.pop(destination, None)
        if newcomer is None:
            return  # the listener was closed
        datagram, proof = newcomer.first, newcomer.proof
        if self._is_draining:
            _less(self._half_open_of, household(str(datagram.address[0])))
            return
        engine = ServerConnection(
            self.settings,
            original_id=destination if proof is None else proof.original_id,
            retry_id=None if proof is None else destination,
        )
        channel = QuicChannel(self, engine, self._sessions, datagram.address)
        self._socket_of[channel] = newcomer.sock
        self._half_open.add(channel)
        self._of_household[channel.household] += 1
        self._ids[channel] = set()
        slot = min(range(SLICES), key=lambda each: len(self._slices[each]))
        self._slices[slot].add(channel)
        self._slice_of[channel] = slot
        self._is_empty.clear()
        for connection_id in (destination, *engine.connection_ids):
            self.names(channel, connection_id)
        for each in (datagram, *newcomer.datagrams):
            channel.arrived(each)
        channel.turn()

    # --- timers -----------------------------------------------------------------------------------

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._ticker = loop.call_later(TICK_SECONDS / SLICES, self._tick)
        now = self.clock.monotonic()
        due, self._next_slice = self._next_slice, (self._next_slice + 1) % SLICES
        for channel in list(self._slices[due]):
            try:
                channel.tick(now)
            except Exception:  # one faulty session must not take everybody's deadlines away
                log.exception("tick of %s failed", channel.info.client)
                channel.abort()
        self._forget_closed(now)

    def _set_timer(self) -> None:
        at = self._wheel.next_at()
        if self._timer is not None:
            if at is not None and at >= self._timer_at:
                return  # it fires early and looks again
            self._timer.cancel()
            self._timer = None
        if at is not None:
            waits = max(at - self.clock.monotonic(), TIMER_SECONDS)
            self._timer_at = at
            self._timer = asyncio.get_running_loop().call_later(waits, self._fire)

    def _fire(self) -> None:
        self._timer = None
        for channel in self._wheel.due(self.clock.monotonic()):
            self.turns.later(channel.fire, client=channel.household)
        self._set_timer()

    # --- listeners.quic_channel.Owner -------------------------------------------------------------

    def send(self, channel: QuicChannel, bursts: Sequence[Burst]) -> None:
        """Send, in order."""
        sock = self._socket_of[channel]
        for data, size, address in bursts:
            sock.send_burst(data, size, address, channel.local)

    def arm(self, channel: QuicChannel, at: float | None, now: float) -> None:
        """Set a connection's deadline."""
        self._wheel.put(channel, at, now)
        self._set_timer()

    def names(self, channel: QuicChannel, connection_id: bytes) -> None:
        """Let an ID lead to a connection."""
        ids = self._ids.get(channel)
        if ids is not None and connection_id not in self._table:
            ids.add(connection_id)
            self._table[connection_id] = channel

    def forgets(self, connection_id: bytes) -> None:
        """Let an ID lead nowhere."""
        channel = self._table.pop(connection_id, None)
        if channel is not None:
            self._ids[channel].discard(connection_id)

    def established(self, channel: QuicChannel) -> None:
        """Count a handshake as complete."""
        if channel in self._half_open:
            self._half_open.discard(channel)
            _less(self._half_open_of, channel.household)

    def left(self, channel: QuicChannel) -> None:
        """Forget a connection, but for what its peer may have to be told again."""
        self.established(channel)
        ids = self._ids.pop(channel)
        for connection_id in ids:
            self._table.pop(connection_id, None)
        if channel.engine.is_over:
            self._remember(channel, tuple(ids))
        self._slices[self._slice_of.pop(channel)].discard(channel)
        self._wheel.put(channel, None, 0.0)
        del self._socket_of[channel]
        _less(self._of_household, channel.household)
        if not self._ids:
            self._is_empty.set()

    def refused(self, reason: str) -> None:
        """Count."""
        self.refusals[reason] += 1

    # --- connections that were closed -------------------------------------------------------------

    def _remember(self, channel: QuicChannel, connection_ids: tuple[bytes, ...]) -> None:
        until = self.clock.monotonic() + channel.engine.closing_seconds
        closed = _Closed(channel.engine.farewell, until, connection_ids)
        if len(self._closed_in_order) >= _CLOSED_MAX:
            self._drop(next(iter(self._closed_in_order)))
        self._closed_in_order[closed] = None
        for connection_id in connection_ids:
            self._closed[connection_id] = closed

    def _forget_closed(self, now: float) -> None:
        for closed in [each for each in self._closed_in_order if each.until <= now]:
            self._drop(closed)

    def _drop(self, closed: _Closed) -> None:
        del self._closed_in_order[closed]
        for connection_id in closed.connection_ids:
            self._closed.pop(connection_id, None)


def _less(counter: Counter[str], name: str) -> None:
    counter[name] -= 1
    if counter[name] <= 0:
        del counter[name]
