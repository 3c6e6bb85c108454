"""What acknowledgements do: packets that arrived, round trips, losses (RFC 9002).

The fast lane's counterpart of aioquic's `on_ack_received`, which looks through all packets under
way for each ACK. Here an ACK costs as much as the packets that it is the first to name, and losses
are looked for only when something is missing below the largest; what is lost then, and what follows
from it, is aioquic's to say.
"""

from collections.abc import Sequence
from typing import Any, Final

from aioquic.quic.packet import QuicErrorCode
from aioquic.quic.packet_builder import QuicDeliveryState, QuicSentPacket
from aioquic.quic.recovery import QuicPacketSpace

from edgeproxy.quic.frames import Guarded, violation
from edgeproxy.quic.lane import SentPacket
from edgeproxy.wire.h3.frames import read_integer

ACK, ACK_ECN = 0x02, 0x03
_ACKED: Final = QuicDeliveryState.ACKED


class Acknowledged(Guarded):
    """See the module; a part of `connection.ServerConnection`."""

    def _begin_acknowledged(self) -> None:
        self._lowest_sent = 0  # no packet before this one is under way

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
                self._space.ack_eliciting_in_flight -= 1
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
    for _ in range(3 if kind == ACK_ECN else 0):
        _, at = _next(payload, at, kind)
    if at < 0 or low < 0:
        raise violation(QuicErrorCode.FRAME_ENCODING_ERROR, kind, "Failed to parse frame")
    return ranges, delay, at


def _next(payload: bytes, at: int, kind: int) -> tuple[int, int]:
    value, after = read_integer(payload, at) if at > 0 else (0, -1)
    if after < 0:
        raise violation(QuicErrorCode.FRAME_ENCODING_ERROR, kind, "Failed to parse frame")
    return value, after
