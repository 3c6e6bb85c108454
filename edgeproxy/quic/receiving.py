"""The fast lane of receiving: 1-RTT packets of a confirmed connection, on the path that it has.

aioquic reads a packet in some forty calls and looks through all packets under way for each ACK. A
client that downloads sends little else than acknowledgements, so here a batch has its headers
unmasked together and ACK, PING and PADDING read in place. Every other frame goes to the handler
that aioquic has for it, `frames` before it; every other datagram goes to aioquic whole: long
headers, other connection IDs and addresses, other key phases, what is too short.

Invariants: what a packet does here it would do there; a frame costs no more than its length and
the packets that it acknowledges.
"""

from collections.abc import Sequence
from typing import Any, Final, cast

from aioquic import tls
from aioquic._crypto import HeaderProtection
from aioquic.quic.connection import (
    END_STATES,
    NetworkAddress,
    QuicConnectionError,
    QuicReceiveContext,
)
from aioquic.quic.packet import QuicErrorCode
from aioquic.quic.packet_builder import QuicDeliveryState, QuicSentPacket
from aioquic.quic.recovery import MAX_ACK_RANGES, QuicPacketSpace

from edgeproxy.quic.connection_ids import CONNECTION_ID_BYTES
from edgeproxy.quic.frames import Guarded, violation
from edgeproxy.quic.keys import OneRttKeys
from edgeproxy.quic.lane import SAMPLE_BYTES, SentPacket, masks
from edgeproxy.wire.h3.frames import read_integer

_HEADER_BYTES: Final = 1 + CONNECTION_ID_BYTES
_SAMPLE_AT: Final = _HEADER_BYTES + 4
_PACKET_BYTES_MIN: Final = _SAMPLE_AT + SAMPLE_BYTES
_FORM_AND_FIXED, _FIXED, _RESERVED, _KEY_PHASE = 0xC0, 0x40, 0x18, 0x04
_SPIN: Final = 0x20
_NUMBERS: Final = 1 << 62
_PADDING, _PING, _ACK, _ACK_ECN = 0x00, 0x01, 0x02, 0x03
_ACKED: Final = QuicDeliveryState.ACKED


class Receiving(Guarded):
    """See the module; a part of `connection.ServerConnection`."""

    keys: OneRttKeys

    def _begin_receiving(self) -> None:
        self._lowest_sent = 0  # no packet before this one is under way

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
        space = self._spaces.get(tls.Epoch.ONE_RTT)
        ack_at = None if space is None else space.ack_at
        if space is None or ack_at is None:
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
        recv, space = self.keys.recv, self._spaces[tls.Epoch.ONE_RTT]
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
            if kind in {_ACK, _ACK_ECN}:
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

    # --- ACK (section 19.3, RFC 9002) -------------------------------------------------------------

    def _take_ack(self, payload: bytes, at: int, space: QuicPacketSpace, now: float) -> int:
        """Act on an ACK frame and return where it ends."""
        ranges, delay, end = _read_ack(payload, at)
        largest = ranges[0][1]
        if largest >= self._packet_number:
            raise violation(
                QuicErrorCode.PROTOCOL_VIOLATION, payload[at], "acknowledges what was not sent"
            )
        self._loss.peer_completed_address_validation = True
        space.largest_acked_packet = max(space.largest_acked_packet, largest)
        sent: dict[int, Any] = space.sent_packets
        in_flight = space.ack_eliciting_in_flight
        newest: SentPacket | QuicSentPacket | None = None
        for low, high in reversed(ranges):
            newest = self._acknowledged(low, high, sent, space, now) or newest
        if newest is not None:
            is_eliciting = space.ack_eliciting_in_flight < in_flight
            if newest.packet_number == largest and is_eliciting:
                seconds = (delay << self._remote_ack_delay_exponent) / 1_000_000
                self._measure_round_trip(now - (newest.sent_time or now), seconds, now)
            self._look_for_losses(space, now)
            self._loss._pto_count = 0
            if is_eliciting:
                self._idle_frames.give()  # see `Guarded._handle_ack_frame`
        return end

    def _acknowledged(
        self, low: int, high: int, sent: dict[int, Any], space: QuicPacketSpace, now: float
    ) -> SentPacket | QuicSentPacket | None:
        """Take packets of these numbers for acknowledged; return the last of them."""
        low = max(low, self._lowest_sent)
        numbers: Sequence[int] = range(low, high + 1)
        if len(numbers) > len(sent):  # whoever acknowledges much again pays for what is there
            numbers = [each for each in sent if low <= each <= high]
        found: list[SentPacket | QuicSentPacket] = [
            each for number in numbers if (each := sent.pop(number, None)) is not None
        ]
        if not found:
            return None
        ours = [each for each in found if isinstance(each, SentPacket)]
        if ours:
            space.ack_eliciting_in_flight -= len(ours)
            self._arrived(ours, now)
        if len(ours) < len(found):
            theirs = [each for each in found if not isinstance(each, SentPacket)]
            self._arrived_slowly(theirs, now)
        return found[-1]

    def _arrived(self, packets: Sequence[SentPacket], now: float) -> None:
        """Tell congestion control and streams of packets of the fast lane.

        What left together is told of together: Reno adds up octets, and looks at when they left.
        """
        on_packet_acked: Any = self._loss._cc.on_packet_acked
        group = SentPacket(-1, packets[0].sent_time, 0, (), None)
        sender, first, upto, ends = None, 0, 0, False
        for packet in packets:
            if packet.sent_time != group.sent_time:
                on_packet_acked(packet=group, now=now)
                group = SentPacket(-1, packet.sent_time, 0, (), None)
            group.sent_bytes += packet.sent_bytes
            if packet.acknowledging is not None:
                handler, arguments = packet.acknowledging
                handler(_ACKED, *arguments)
            for each, start, stop, is_end in packet.frames:
                if each is sender and start == upto:
                    upto, ends = stop, ends or is_end
                    continue
                if sender is not None:
                    sender.on_data_delivery(_ACKED, first, upto, ends)
                sender, first, upto, ends = each, start, stop, is_end
        if sender is not None:
            sender.on_data_delivery(_ACKED, first, upto, ends)
        on_packet_acked(packet=group, now=now)

    def _arrived_slowly(self, packets: Sequence[QuicSentPacket], now: float) -> None:
        """Tell of aioquic's packets, each alone."""
        for packet in packets:
            if packet.is_ack_eliciting:
                self._spaces[tls.Epoch.ONE_RTT].ack_eliciting_in_flight -= 1
            if packet.in_flight:
                self._loss._cc.on_packet_acked(packet=packet, now=now)
            for handler, arguments in packet.delivery_handlers:
                handler(_ACKED, *arguments)

    def _measure_round_trip(self, seconds: float, ack_delay: float, now: float) -> None:
        """Update the estimate (RFC 9002 section 5), as aioquic does."""
        loss = self._loss
        loss._rtt_latest = max(seconds, 0.001)
        loss._rtt_min = min(loss._rtt_min, loss._rtt_latest)
        ack_delay = min(ack_delay, loss.max_ack_delay)
        if loss._rtt_latest > loss._rtt_min + ack_delay:
            loss._rtt_latest -= ack_delay
        if loss._rtt_initialized:
            deviation = abs(loss._rtt_min - loss._rtt_latest)
            loss._rtt_variance += (deviation - loss._rtt_variance) / 4
            loss._rtt_smoothed += (loss._rtt_latest - loss._rtt_smoothed) / 8
        else:
            loss._rtt_first_sample_time = now
            loss._rtt_initialized = True
            loss._rtt_variance = seconds / 2
            loss._rtt_smoothed = seconds
        loss._cc.on_rtt_measurement(now=now, rtt=seconds)
        loss._pacer.update_rate(
            congestion_window=loss._cc.congestion_window, smoothed_rtt=loss._rtt_smoothed
        )

    def _look_for_losses(self, space: QuicPacketSpace, now: float) -> None:
        """Look for losses (RFC 9002 section 6.1) unless all up to the largest has arrived."""
        sent, lowest = space.sent_packets, self._lowest_sent
        while lowest < self._packet_number and lowest not in sent:
            lowest += 1
        self._lowest_sent = lowest
        if lowest < space.largest_acked_packet:
            self._loss._detect_loss(now=now, space=space)
        else:
            space.loss_time = None


def _full_number(truncated: int, bits: int, expected: int) -> int:
    """Return the packet number that is meant (RFC 9000 appendix A.3)."""
    window = 1 << bits
    found = (expected & -window) | truncated
    if found <= expected - window // 2 and found < _NUMBERS - window:
        return found + window
    if found > expected + window // 2 and found >= window:
        return found - window
    return found


def _read_ack(payload: bytes, at: int) -> tuple[list[tuple[int, int]], int, int]:
    """Return the ranges of an ACK frame, largest first, the delay as sent, and where it ends."""
    kind = payload[at]
    largest, at = read_integer(payload, at + 1)
    delay, at = _next(payload, at, kind)
    count, at = _next(payload, at, kind)
    length, at = _next(payload, at, kind)
    low = largest - length
    ranges = [(low, largest)]
    for _ in range(count):
        gap, at = _next(payload, at, kind)
        length, at = _next(payload, at, kind)
        high = low - gap - 2
        low = high - length
        ranges.append((low, high))
        if low < 0:
            break
    for _ in range(3 if kind == _ACK_ECN else 0):
        _, at = _next(payload, at, kind)
    if at < 0 or low < 0:
        raise violation(QuicErrorCode.FRAME_ENCODING_ERROR, kind, "Failed to parse frame")
    return ranges, delay, at


def _next(payload: bytes, at: int, kind: int) -> tuple[int, int]:
    value, after = read_integer(payload, at) if at > 0 else (0, -1)
    if after < 0:
        raise violation(QuicErrorCode.FRAME_ENCODING_ERROR, kind, "Failed to parse frame")
    return value, after
