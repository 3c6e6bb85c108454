"""The fast lane of sending: 1-RTT packets of STREAM frames, and of the ACK that is due beside them.

aioquic builds a packet out of some sixty calls, and its ciphers are called twice for each. Nearly
all packets of an edge carry content on a connection that has long been confirmed; those are made
here in one go, and protected together. Every other packet and every other frame is `sending`'s:
handshakes, paths that are not validated, probes, key updates, windows, resets. Both lanes share
numbers, streams, loss recovery and congestion control, so that a connection may change lanes
between any two packets.

Invariants: a packet is registered before it leaves, with what is lost if it is; no more leaves than
the congestion window, the pacer and the peer's windows allow.
"""

from collections.abc import Sequence
from typing import Any, Final

from aioquic import tls
from aioquic._crypto import HeaderProtection
from aioquic.quic.packet import QuicPacketType
from aioquic.quic.packet_builder import QuicDeliveryHandler
from aioquic.quic.recovery import QuicPacketSpace

from edgeproxy.quic.keys import OneRttKeys
from edgeproxy.quic.outgoing import Outgoing
from edgeproxy.quic.pacing import Pacer
from edgeproxy.quic.sending import FRAME_BYTES_MIN, Sending
from edgeproxy.wire.h3.frames import integer

SAMPLE_BYTES: Final = 16
_TAG_BYTES: Final = 16
_FIXED: Final = 0x40
_TWO_OCTETS: Final = 0x01  # of a packet number (RFC 9000 section 17.3.1)
_STREAM, _FIN, _LENGTH, _OFFSET = 0x08, 0x01, 0x02, 0x04
_KINDS: Final = tuple(bytes([kind]) for kind in range(_STREAM + 8))
_TWO_OCTET_INTEGER: Final = 0x4000
# A range takes four octets; who has more holes hears of the rest later (section 13.2.3).
_ACK_RANGES_MAX: Final = 32

Frame = tuple[Outgoing, int, int, bool]  # of which stream, from where to where, and whether it ends


class SentPacket:
    """What has to be known of a packet until it is acknowledged or lost.

    Stands where aioquic keeps its `QuicSentPacket`. `acknowledging` is what to do about the ACK
    frame in it.
    """

    __slots__ = ("acknowledging", "frames", "packet_number", "sent_bytes", "sent_time")

    epoch: Final = tls.Epoch.ONE_RTT
    packet_type: Final = QuicPacketType.ONE_RTT
    in_flight: Final = True
    is_ack_eliciting: Final = True
    is_crypto_packet: Final = False

    def __init__(self, number: int, now: float, size: int, frames: list[Frame]) -> None:
        self.packet_number = number
        self.sent_time = now
        self.sent_bytes = size
        self.frames = frames
        self.acknowledging: tuple[QuicDeliveryHandler, Any] | None = None

    @property
    def delivery_handlers(self) -> list[tuple[QuicDeliveryHandler, Any]]:
        """Return whom to tell, as aioquic asks when it declares packets lost."""
        found: list[tuple[QuicDeliveryHandler, Any]] = [
            (sender.on_data_delivery, (start, stop, fin)) for sender, start, stop, fin in self.frames
        ]
        return found if self.acknowledging is None else [self.acknowledging, *found]


class Lane(Sending):
    """See the module; a part of `connection.ServerConnection`."""

    keys: OneRttKeys

    @property
    def is_lane_open(self) -> bool:
        """Whether packets of this kind may be made now."""
        return (
            self._handshake_confirmed
            and self._network_paths[0].is_validated
            and not self._probe_pending
            and not self._close_pending
            and not self.keys.is_update_requested
        )

    def _content(self, now: float) -> list[bytes]:
        """Return datagrams with as much content as may leave now."""
        if not len(self._schedule):
            return []
        cc, pacer, size = self._loss._cc, self._loss._pacer, self._max_datagram_size
        assert isinstance(pacer, Pacer)
        allowed = min(pacer.allowed(now), (cc.congestion_window - cc.bytes_in_flight) // size)
        if allowed <= 0:
            if cc.congestion_window - cc.bytes_in_flight >= size:
                self._pacing_at = now + (pacer.packet_time or 0.0)
            return []
        packets = self._packets(allowed, size, now)
        pacer.sent(len(packets))
        if len(self._schedule) and len(packets) == allowed:
            self._pacing_at = now + (pacer.packet_time or 0.0)
        return packets

    def _packets(self, allowed: int, size: int, now: float) -> list[bytes]:
        """Return protected packets of STREAM frames, up to so many of up to so many octets."""
        send, space = self.keys.send, self._spaces[tls.Epoch.ONE_RTT]
        assert send.aead is not None
        assert send.hp is not None
        encrypt, secret = send.aead._aead.encrypt, send.aead._iv
        first = _FIXED | self._spin_bit << 5 | send.key_phase << 2 | _TWO_OCTETS
        prefix = bytes([first]) + self._peer_cid.cid
        room = size - len(prefix) - 2 - _TAG_BYTES
        sealed: list[bytes] = []
        found: list[SentPacket] = []
        number = self._packet_number
        while len(sealed) < allowed:
            parts: list[bytes | memoryview] = []
            frames: list[Frame] = []
            acknowledging = None
            left = room
            if space.ack_at is not None:
                parts.append(self._ack_frame(space, now))
                acknowledging = self._on_ack_delivery, (space, space.largest_received_packet)
                left -= len(parts[0])
            left = self._fill(left, parts, frames)
            if not frames:
                break
            if acknowledging is not None:
                space.ack_at = None
            if 0 < left < FRAME_BYTES_MIN:  # PADDING: segments of one size leave in one call
                parts.append(bytes(left))
            ciphertext = encrypt(
                (secret ^ number).to_bytes(12, "big"),
                b"".join(parts),
                prefix + (number & 0xFFFF).to_bytes(2, "big"),
            )
            sealed.append(ciphertext)
            packet = SentPacket(number, now, len(prefix) + 2 + len(ciphertext), frames)
            packet.acknowledging = acknowledging
            found.append(packet)
            number += 1
        self._register(space, found, now)
        return _protected(send.hp, prefix, number - len(sealed), sealed)

    def _fill(self, room: int, parts: list[bytes | memoryview], frames: list[Frame]) -> int:
        """Add STREAM frames as long as there is room, and return what is left of it."""
        schedule, streams = self._schedule, self._streams
        is_cut = False
        while room >= FRAME_BYTES_MIN and (stream_id := schedule.first()) is not None:
            stream = streams.get(stream_id)
            sender = None if stream is None else stream.sender
            if stream is None or not isinstance(sender, Outgoing) or not sender.has_something:
                schedule.remove(stream_id)
                continue
            start, stop = sender.unsent(self._limit(stream, sender))
            if stop <= start and start != sender.ends_at:
                self._shut_out(stream_id)
                continue
            offset = integer(start) if start else b""
            room -= 1 + len(sender.name) + len(offset)
            if stop - start >= room:  # it fills the packet, and needs no length
                kind, length, stop = _STREAM, b"", start + room
            else:
                stop = min(stop, start + room - 2)
                kind = _STREAM | _LENGTH
                length = (_TWO_OCTET_INTEGER | (stop - start)).to_bytes(2, "big")
            before = sender.highest_offset
            data = sender.send(start, stop)
            self._remote_max_data_used += sender.highest_offset - before
            is_end = stop == sender.ends_at
            if offset:
                kind |= _OFFSET
            parts += (_KINDS[kind | is_end], sender.name, offset, length, data)
            frames.append((sender, start, stop, is_end))
            room -= len(length) + len(data)
            is_cut = sender.has_something
            if not is_cut:
                schedule.remove(stream_id)
        if is_cut:
            schedule.served()
        return room

    def _ack_frame(self, space: QuicPacketSpace, now: float) -> bytes:
        """Return an ACK frame of what has arrived (section 19.3)."""
        received = list(space.ack_queue)[-_ACK_RANGES_MAX:]
        delay = int((now - (space.largest_received_time or now)) * 1_000_000)
        newest = received.pop()
        low = newest.start
        said = [
            b"\x02",
            integer(newest.stop - 1),
            integer(max(delay, 0) >> self._local_ack_delay_exponent),
            integer(len(received)),
            integer(newest.stop - 1 - low),
        ]
        for each in reversed(received):
            said += (integer(low - each.stop - 1), integer(each.stop - 1 - each.start))
            low = each.start
        return b"".join(said)

    def _register(self, space: QuicPacketSpace, packets: Sequence[SentPacket], now: float) -> None:
        """Hand packets to loss recovery and congestion control."""
        if not packets:
            return
        loss = self._loss
        sent: dict[int, Any] = space.sent_packets
        on_packet_sent: Any = loss._cc.on_packet_sent
        total = 0
        for packet in packets:
            sent[packet.packet_number] = packet
            on_packet_sent(packet=packet)
            total += packet.sent_bytes
        space.ack_eliciting_in_flight += len(packets)
        loss._time_of_last_sent_ack_eliciting_packet = now
        self._packet_number += len(packets)
        self._network_paths[0].bytes_sent += total
        if not self._ack_eliciting_sent_since_receipt:  # section 10.1
            self._close_at = now + self._idle_timeout()
            self._ack_eliciting_sent_since_receipt = True


def masks(protection: HeaderProtection, samples: Sequence[bytes]) -> bytes:
    """Return the masks of packets, `SAMPLE_BYTES` for each (RFC 9001 section 5.4)."""
    if protection._is_chacha20:
        return b"".join([protection._mask(each).ljust(SAMPLE_BYTES, b"\0") for each in samples])
    return protection._encryptor.update(b"".join(samples))  # blocks of AES, one by one


def _protected(
    protection: HeaderProtection, prefix: bytes, number: int, sealed: Sequence[bytes]
) -> list[bytes]:
    """Return packets of consecutive numbers with protected headers."""
    mask = masks(protection, [each[2 : 2 + SAMPLE_BYTES] for each in sealed])
    first, rest = prefix[0], prefix[1:]
    found = []
    for n, ciphertext in enumerate(sealed):
        at = n * SAMPLE_BYTES
        hidden = (number + n & 0xFFFF) ^ (mask[at + 1] << 8 | mask[at + 2])
        found.append(
            b"%c%b%b%b"
            % (first ^ (mask[at] & 0x1F), rest, hidden.to_bytes(2, "big"), ciphertext)
        )
    return found
