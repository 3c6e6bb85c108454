"""The fast lane of receiving: 1-RTT packets of a confirmed connection, on the path that it has.

aioquic reads a packet in some forty calls. A client that downloads sends little else than
acknowledgements, so here a batch has its headers unmasked together and ACK (`acknowledged`), PING
and PADDING read in place. Every other frame goes to the handler that aioquic has for it, `frames`
before it; every other datagram goes to aioquic whole: long headers, other connection IDs and
addresses, other key phases, what is too short.

Invariants: what a packet does here it would do there; a frame costs no more than its length and
the packets that it acknowledges.
"""

from collections.abc import Sequence
from typing import Final, cast

from aioquic import tls
from aioquic._crypto import HeaderProtection
from aioquic.quic.connection import (
    END_STATES,
    NetworkAddress,
    QuicConnectionError,
    QuicReceiveContext,
)
from aioquic.quic.recovery import MAX_ACK_RANGES, QuicPacketSpace

from edgeproxy.quic.acknowledged import ACK, ACK_ECN, Acknowledged
from edgeproxy.quic.connection_ids import CONNECTION_ID_BYTES
from edgeproxy.quic.keys import OneRttKeys
from edgeproxy.quic.lane import SAMPLE_BYTES, masks

_HEADER_BYTES: Final = 1 + CONNECTION_ID_BYTES
_SAMPLE_AT: Final = _HEADER_BYTES + 4
_PACKET_BYTES_MIN: Final = _SAMPLE_AT + SAMPLE_BYTES
_FORM_AND_FIXED, _FIXED, _RESERVED, _KEY_PHASE = 0xC0, 0x40, 0x18, 0x04
_SPIN: Final = 0x20
_NUMBERS: Final = 1 << 62
_PADDING, _PING = 0x00, 0x01


class Receiving(Acknowledged):
    """See the module; a part of `connection.ServerConnection`."""

    keys: OneRttKeys

    def _take(self, datagrams: Sequence[tuple[bytes, NetworkAddress]], now: float) -> None:
        """Take datagrams in order; raises nothing for the peer's sake."""
        at = 0
        while at < len(datagrams):
            run = self._run(datagrams, at)
            if run:
                self._take_run(run, now)
                at += len(run)
            else:
                self._take_slowly(*datagrams[at], now)
                at += 1

    def _take_slowly(self, data: bytes, address: NetworkAddress, now: float) -> None:
        """Let aioquic read a datagram."""
        space = self._space
        ack_at = space.ack_at
        if ack_at is None:
            self.receive_datagram(data, address, now)
            return
        space.ack_at = None  # which says afterwards whether one that asks for an ACK was among it
        self.receive_datagram(data, address, now)
        space.ack_at = ack_at if space.ack_at is None else now

    def _run(self, datagrams: Sequence[tuple[bytes, NetworkAddress]], at: int) -> list[bytes]:
        """Return the datagrams from there on that this lane can read, up to the first it cannot."""
        found: list[bytes] = []
        if not self._handshake_confirmed or self._is_ending or self._state in END_STATES:
            return found
        path = self._network_paths[0]
        if not path.is_validated:
            return found
        address, connection_id = path.addr, self.host_cid
        for data, origin in datagrams[at:] if at else datagrams:
            if (
                len(data) < _PACKET_BYTES_MIN
                or data[0] & _FORM_AND_FIXED != _FIXED
                or data[1:_HEADER_BYTES] != connection_id
                or origin != address
            ):
                break
            found.append(data)
        return found

    def _take_run(self, run: list[bytes], now: float) -> None:
        recv, space = self.keys.recv, self._space
        protection = cast("HeaderProtection", recv.hp)
        path = self._network_paths[0]
        mask = masks(protection, [each[_SAMPLE_AT:_PACKET_BYTES_MIN] for each in run])
        is_heard = False
        for n, data in enumerate(run):
            at = n * SAMPLE_BYTES
            first = data[0] ^ (mask[at] & 0x1F)
            if (first & _KEY_PHASE) >> 2 != recv.key_phase or first & _RESERVED or self._is_ending:
                self._take_slowly(data, path.addr, now)
                continue
            end = _HEADER_BYTES + 1 + (first & 0x03)
            size = end - _HEADER_BYTES
            hidden = int.from_bytes(data[_HEADER_BYTES:end], "big")
            hidden ^= int.from_bytes(mask[at + 1 : at + 1 + size], "big")
            header = b"%c%b%b" % (first, data[1:_HEADER_BYTES], hidden.to_bytes(size, "big"))
            number = _full_number(hidden, 8 * size, space.expected_packet_number)
            payload = self.keys.open(data[end:], header, number)
            if payload is None or number in space.received_packets:
                continue
            self._take_packet(first, number, payload, space, now)
            is_heard = True
        if is_heard and not self._is_ending:
            self._close_at = now + self._idle_timeout()
            self._ack_eliciting_sent_since_receipt = False

    @property
    def _is_ending(self) -> bool:
        return self._close_pending or self._close_event is not None

    def _take_packet(
        self, first: int, number: int, payload: bytes, space: QuicPacketSpace, now: float
    ) -> None:
        """Act on a packet that is the peer's and new."""
        if number >= space.expected_packet_number:
            space.expected_packet_number = number + 1
        if number > self._spin_highest_pn:
            self._spin_bit = bool(first & _SPIN)
            self._spin_highest_pn = number
        try:
            is_eliciting = self._take_payload(payload, space, now)
        except QuicConnectionError as fault:
            self.close(fault.error_code, fault.frame_type, fault.reason_phrase)
        if self._is_ending:
            return
        if number > space.largest_received_packet:
            space.largest_received_packet = number
            space.largest_received_time = now
        space.ack_queue.add(number)
        space.received_packets.add(number)
        if len(space.ack_queue) > MAX_ACK_RANGES:
            space.ack_queue.shift()
        if is_eliciting:  # every second such packet at least (section 13.2.2)
            space.ack_at = now + self._ack_delay if space.ack_at is None else now

    def _take_payload(self, payload: bytes, space: QuicPacketSpace, now: float) -> bool:
        """Act on frames; return whether they ask for an ACK.

        Raises:
            QuicConnectionError: they end the connection.
        """
        at, size, is_eliciting, acks = 0, len(payload), False, 0
        while at < size:
            kind = payload[at]
            if kind in {ACK, ACK_ECN}:
                if acks:  # one says it all
                    self._charge(now, kind)
                acks += 1
                at = self._take_ack(payload, at, space, now)
            elif kind == _PADDING:
                at = size - len(payload[at:].lstrip(b"\0"))
            elif kind == _PING:
                self._charge(now, kind)
                at += 1
                is_eliciting = True
            else:
                return self._take_rest(payload[at:], now, is_acknowledging=acks > 0) or is_eliciting
        if not size:
            self._take_rest(payload, now)  # which says what is wrong with that
        return is_eliciting

    def _take_rest(self, payload: bytes, now: float, *, is_acknowledging: bool = False) -> bool:
        """Let aioquic read frames; return whether they ask for an ACK."""
        context = QuicReceiveContext(
            epoch=tls.Epoch.ONE_RTT,
            host_cid=self.host_cid,
            network_path=self._network_paths[0],
            quic_logger_frames=None,
            time=now,
            version=None,
        )
        if is_acknowledging:
            self._acknowledging = context
        is_eliciting, _ = self._payload_received(context, payload)
        return is_eliciting


def _full_number(truncated: int, bits: int, expected: int) -> int:
    """Return the packet number that is meant (RFC 9000 appendix A.3)."""
    window = 1 << bits
    found = (expected & -window) | truncated
    if found <= expected - window // 2 and found < _NUMBERS - window:
        return found + window
    if found > expected + window // 2 and found >= window:
        return found - window
    return found
