"""One QUIC connection of a server, without I/O: datagrams and time in, events and datagrams out.

aioquic's connection does packets, loss recovery and congestion control. This subclass puts our own
`handshake`, `keys`, checks of `frames`, order of `sending` and knowledge of `paths` into their
places, and gives what is above a small face: `take`, `events`, `bursts`, `timer`, `on_timer`,
and what may be done to streams. Nothing of that raises for the peer's sake.

Everything here that begins with an underscore and is not defined here is aioquic's; the version is
pinned, and `tests/unit/quic/test_contract.py` fails when one of them is gone.

Invariants: what is queued and unacknowledged, and what was received and not consumed, fit windows
that the peer cannot open; what fails inside ends this connection and no other.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Final

from aioquic import tls
from aioquic.buffer import Buffer
from aioquic.quic import events
from aioquic.quic.connection import (
    NetworkAddress,
    QuicConnectionId,
    QuicConnectionState,
)
from aioquic.quic.packet import (
    QuicErrorCode,
    QuicFrameType,
    QuicTransportParameters,
    pull_quic_transport_parameters,
)

from edgeproxy.quic.frames import SENT_PACKETS_MAX, violation
from edgeproxy.quic.handshake import ServerTls
from edgeproxy.quic.keys import (
    FORGERIES_MAX,
    KEY_UPDATES_MAX,
    PACKETS_PER_KEY_MAX,
    OneRttKeys,
)
from edgeproxy.quic.lane import Burst, Lane
from edgeproxy.quic.paths import Paths
from edgeproxy.quic.receiving import Receiving
from edgeproxy.quic.settings import (
    UNIDIRECTIONAL_STREAMS_MAX,
    QuicSettings,
)
from edgeproxy.quic.streams import Streams
from edgeproxy.quic.windows import Receipt

log = logging.getLogger(__name__)
# Its warnings are what peers say and do, a line for each; ours are counted instead.
logging.getLogger("quic").setLevel(logging.CRITICAL)

# aioquic lends each level of a handshake 16 KiB, which only certificates need.
_HELLO_BYTES_MAX: Final = 512
_TICKET_BYTES_MAX: Final = 1024
_ACK_DELAY_SECONDS: Final = 0.005  # of the 25 ms that we say at most (RFC 9000 section 13.2.1)


class ServerConnection(Paths, Streams, Lane, Receiving):
    """See the module.

    `original_id` is what the client called us first, `retry_id` what our Retry called us. `keys`
    are those of 1-RTT packets; `farewell` the datagrams of CONNECTION_CLOSE, once it was sent.
    """

    def __init__(
        self, settings: QuicSettings, *, original_id: bytes, retry_id: bytes | None = None
    ) -> None:
        self.stream_window = settings.stream_window
        self.connection_window = settings.connection_window
        super().__init__(
            configuration=settings.configuration,
            original_destination_connection_id=original_id,
            retry_source_connection_id=retry_id,
        )
        self._settings = settings
        self._begin_sending()
        self._begin_guarding(settings.limits)
        self._begin_acknowledged()
        self._begin_streams()
        self._begin_lane()
        self._ack_delay = _ACK_DELAY_SECONDS
        self._host_cids = [self._named(0)]
        self._host_cids[0].was_sent = True
        self.host_cid = self._local_initial_source_connection_id = self._host_cids[0].cid
        for limit, value in (
            (self._local_max_streams_bidi, settings.limits.concurrent_streams_max),
            (self._local_max_streams_uni, UNIDIRECTIONAL_STREAMS_MAX),
        ):
            limit.value = limit.sent = value
        self.keys = OneRttKeys()
        self.handshake: ServerTls
        self.farewell: tuple[bytes, ...] = ()
        self._is_validated_by_token = retry_id is not None
        self._begin_paths(settings.datagram_bytes_max)
        self._phase_began = 0
        self._has_early_keys = False
        self._early_keys_until: float | None = None

    # --- state ------------------------------------------------------------------------------------

    @property
    def is_begun(self) -> bool:
        """Whether a packet of the client's has been understood."""
        return self._state != QuicConnectionState.FIRSTFLIGHT

    @property
    def takes_early_data(self) -> bool:
        """Whether early data is accepted: it comes before the handshake is complete, or not."""
        return self.is_begun and self.handshake.early_data_accepted

    @property
    def is_handshake_complete(self) -> bool:
        """Whether the client has shown that it is there, and no recording of it."""
        return self._handshake_complete

    @property
    def is_closed_by_peer(self) -> bool:
        """Whether it was the peer who closed it."""
        return self._state == QuicConnectionState.DRAINING

    @property
    def error_code(self) -> int | None:
        """Why it was closed, by either side; None while it was not."""
        return None if self._close_event is None else self._close_event.error_code

    @property
    def address(self) -> NetworkAddress:
        """Where the client is now."""
        return self._network_paths[0].addr

    @property
    def is_address_validated(self) -> bool:
        """Whether the client has shown that it receives what is sent there."""
        return self._network_paths[0].is_validated

    @property
    def connection_ids(self) -> list[bytes]:
        """Our connection IDs that the client may use now."""
        return [each.cid for each in self._host_cids]

    @property
    def closing_seconds(self) -> float:
        """How long a closed connection is remembered (RFC 9000 section 10.2)."""
        return 3 * self._loss.get_probe_timeout()

    # --- datagrams and time -----------------------------------------------------------------------

    def take(self, datagrams: Sequence[tuple[bytes, NetworkAddress]], now: float) -> None:
        """Take datagrams in the order in which they came, each with where it came from."""
        path = self._network_paths[0] if self._network_paths else None
        if self._has_early_keys:
            self._tidy_early_keys(now)
        try:
            self._take(datagrams, now)
        except Exception:  # whatever it was, it is this connection's end and no other's
            log.exception("a datagram could not be dealt with")
            self._give_up(QuicErrorCode.INTERNAL_ERROR)
            return
        self.keys.tidy(now, self._loss.get_probe_timeout())
        if self.keys.updates > KEY_UPDATES_MAX:
            self._give_up(QuicErrorCode.KEY_UPDATE_ERROR)
        if len(self._space.sent_packets) > SENT_PACKETS_MAX:
            self._give_up(QuicErrorCode.INTERNAL_ERROR)
        if self.keys.forgeries > FORGERIES_MAX:
            self._give_up(QuicErrorCode.AEAD_LIMIT_REACHED)
        if self._network_paths and self._is_validated_by_token:
            self._network_paths[0].is_validated = True
            self._is_validated_by_token = False
        if path is not None and self._network_paths[0] is not path:
            self._moved(path, self._network_paths[0])

    def _tidy_early_keys(self, now: float) -> None:
        """Forget the keys of early data a while after the handshake (RFC 9001 section 4.9.3).

        aioquic forgets them sooner, with a 1-RTT packet; those of the fast lane it does not see.
        """
        if self._early_keys_until is None:
            if self._handshake_complete:
                self._early_keys_until = now + 3 * self._loss.get_probe_timeout()
        elif now >= self._early_keys_until:
            self._has_early_keys = False
            self._cryptos[tls.Epoch.ZERO_RTT].recv.teardown()

    def events(self) -> Iterator[events.QuicEvent]:
        """Return what has happened, each once."""
        while (event := self.next_event()) is not None:
            if isinstance(event, events.StreamDataReceived):
                receipt = self._receipts.setdefault(event.stream_id, Receipt())
                receipt.delivered += len(event.data)
                if receipt.is_stopped:
                    self.consumed(event.stream_id, len(event.data))
                if event.end_stream:
                    self._schedule.over.append(event.stream_id)
            elif isinstance(event, events.StreamReset):
                stream = self._streams.get(event.stream_id)
                if stream is not None:
                    self._credit_rest(stream)
                    self._schedule.over.append(event.stream_id)
            elif isinstance(event, events.HandshakeCompleted):
                self._is_size_probe_due = True
                self._crypto_buffers = {}  # nothing of ours comes behind the ticket
            yield event

    def bursts(self, now: float) -> list[Burst]:
        """Return what is to be sent now, in order."""
        if not self.is_begun or self.is_over:
            return []
        if self._packet_number - self._phase_began >= PACKETS_PER_KEY_MAX:
            self._phase_began = self._packet_number
            self.request_key_update()
        is_last = self._close_pending
        try:
            found = self._lanes(now) if self.is_lane_open else self._slowly(now)
            found += map(_burst, self._size_probe(now))
        except Exception:  # as in `take`
            log.exception("no packets could be made")
            self._set_state(QuicConnectionState.TERMINATED)
            return []
        if is_last:
            self.farewell = tuple(bytes(each.data) for each in found)
        return found

    def _slowly(self, now: float) -> list[Burst]:
        """Return aioquic's packets."""
        return list(map(_burst, self.datagrams_to_send(now)))

    def _lanes(self, now: float) -> list[Burst]:
        """Return what either lane has to send: content goes by the fast one."""
        self._pacing_at = None
        self._forget_over()
        found = self._control(now) if self._is_control_due() else []
        content = self._content(now)
        if content is not None:
            found.append(content)
        ack_at = self._space.ack_at
        if ack_at is not None and ack_at <= now:  # nothing went that could have carried it
            found += self._control(now)
        return found

    def _control(self, now: float) -> list[Burst]:
        """Return packets of aioquic's without content."""
        self._is_carrying_streams = False
        try:
            return self._slowly(now)
        finally:
            self._is_carrying_streams = True

    def timer(self) -> float | None:
        """Return when `on_timer` is to be called."""
        return self.get_timer()

    def on_timer(self, now: float) -> None:
        """Do what time asks for."""
        try:
            self.handle_timer(now)
        except Exception:  # as in `take`
            log.exception("a timer could not be dealt with")
            self._set_state(QuicConnectionState.TERMINATED)
            return
        self._look_for_black_hole()

    def finish(self, code: int, reason: str = "") -> None:
        """Close with an error code of the application's."""
        self.close(error_code=code, frame_type=None, reason_phrase=reason)

    def release(self) -> None:
        """Let go of everything that leads back here, so that no collector has to find it.

        Only when it is over; what is asked of its streams from then on is done by doing nothing.
        """
        self._set_state(QuicConnectionState.TERMINATED)
        vars(self)["_QuicConnection__frame_handlers"].clear()
        vars(self._loss).pop("_send_probe", None)
        handshake = vars(self).pop("handshake", None)
        if handshake is not None:
            del self.tls
            vars(handshake).clear()
        for space in self._spaces.values():
            space.sent_packets.clear()
        for kept in (self._spaces, self._cryptos, self._cryptos_initial, self._streams):
            kept.clear()
        self._streams_queue.clear()

    # --- in aioquic's places ----------------------------------------------------------------------

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        settings = self._settings
        server = ServerTls(settings)
        server.handshake_extensions = self.tls.handshake_extensions
        server.alpn_cb = self._alpn_handler
        server.update_traffic_key_cb = self._update_traffic_key
        self.tls = self.handshake = server
        self._space = self._spaces[tls.Epoch.ONE_RTT]
        self._cryptos[tls.Epoch.ONE_RTT] = self.keys
        self._crypto_buffers[tls.Epoch.INITIAL] = Buffer(capacity=_HELLO_BYTES_MAX)
        self._crypto_buffers[tls.Epoch.ONE_RTT] = Buffer(capacity=_TICKET_BYTES_MAX)

    def _update_traffic_key(
        self,
        direction: tls.Direction,
        epoch: tls.Epoch,
        cipher_suite: tls.CipherSuite,
        secret: bytes,
    ) -> None:
        if epoch is tls.Epoch.ZERO_RTT:
            self._has_early_keys = self.handshake.early_data_accepted
            if not self._has_early_keys:
                return
        super()._update_traffic_key(direction, epoch, cipher_suite, secret)

    def _serialize_transport_parameters(self) -> bytes:
        """Add what aioquic leaves out: datagrams of ours are read up to this size."""
        buf = Buffer(capacity=16)
        buf.push_uint_var(0x03)  # max_udp_payload_size
        buf.push_uint_var(2)
        buf.push_uint_var(1500)
        return super()._serialize_transport_parameters() + buf.data

    def _parse_transport_parameters(self, data: bytes, from_session_ticket: bool = False) -> None:
        _check_parameters(data)
        super()._parse_transport_parameters(data, from_session_ticket)
        parameters = pull_quic_transport_parameters(Buffer(data=data))
        self._respect(parameters)

    def _respect(self, parameters: QuicTransportParameters) -> None:
        """Apply what aioquic reads and does not use (RFC 9000 section 18.2)."""
        if parameters.max_idle_timeout == 0:  # it has none
            self._remote_max_idle_timeout = None
        if parameters.ack_delay_exponent is not None:
            self._remote_ack_delay_exponent = parameters.ack_delay_exponent
        if parameters.max_udp_payload_size is not None:
            self._datagram_bytes = min(self._datagram_bytes, parameters.max_udp_payload_size)

    def _replenish_connection_ids(self) -> None:
        while len(self._host_cids) < min(8, self._remote_active_connection_id_limit):
            self._host_cids.append(self._named(self._host_cid_seq))
            self._host_cid_seq += 1

    def _named(self, number: int) -> QuicConnectionId:
        cid = self._settings.naming.new()
        return QuicConnectionId(
            cid=cid,
            sequence_number=number,
            stateless_reset_token=self._settings.secrets.reset_token(cid),
        )

    def _give_up(self, code: int) -> None:
        if self.is_begun:
            self.close(error_code=code, frame_type=QuicFrameType.PADDING)


def _burst(datagram: tuple[bytes, NetworkAddress]) -> Burst:
    data, address = datagram
    return Burst(data, len(data), address)


def _check_parameters(data: bytes) -> None:
    """Refuse a parameter that comes twice (section 7.4); aioquic would take the last."""
    buf = Buffer(data=data)
    seen: set[int] = set()
    try:
        while not buf.eof():
            number = buf.pull_uint_var()
            if number in seen:
                raise violation(
                    QuicErrorCode.TRANSPORT_PARAMETER_ERROR,
                    QuicFrameType.CRYPTO,
                    "a transport parameter comes twice",
                )
            seen.add(number)
            buf.pull_bytes(buf.pull_uint_var())
    except ValueError:  # aioquic says so as well, and better
        return
