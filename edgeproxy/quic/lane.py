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
from typing import Any, Final, NamedTuple, cast

from aioquic import tls
from aioquic._crypto import AEAD, HeaderProtection
from aioquic.quic.connection import NetworkAddress
from aioquic.quic.packet import QuicPacketType
from aioquic.quic.packet_builder import QuicDeliveryHandler
from aioquic.quic.recovery import QuicPacketSpace

from edgeproxy.quic.keys import OneRttKeys
from edgeproxy.quic.outgoing import Outgoing
from edgeproxy.quic.pacing import Pacer
from edgeproxy.quic.sending import FRAME_BYTES_MIN, Sending
from edgeproxy.wire.h3.frames import integer

SAMPLE_BYTES: Final = 16
TAG_BYTES: Final = 16
_NUMBER_BYTES: Final = 2
_FIXED: Final = 0x40
_TWO_OCTETS: Final = 0x01  # of a packet number (RFC 9000 section 17.3.1)
_STREAM, _FIN, _LENGTH, _OFFSET = 0x08, 0x01, 0x02, 0x04
_KINDS: Final = tuple(bytes([kind]) for kind in range(_STREAM + 8))
_TWO_OCTET_INTEGER: Final = 0x4000
# A range takes four octets; who has more holes hears of the rest later (section 13.2.3).
_ACK_RANGES_MAX: Final = 32

Frame = tuple[Outgoing, int, int, bool]  # of which stream, from where to where, and whether it ends
_Delivery = tuple[QuicDeliveryHandler, Any]  # whom to tell what became of a packet
_Payload = tuple[bytes, Sequence[Frame], _Delivery | None]


class Burst(NamedTuple):
    """Datagrams for one address, one behind the other.

    All have `size` octets but the last one, which may have less.
    """

    data: bytes | bytearray
    size: int
    address: NetworkAddress


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

    def __init__(
        self,
        number: int,
        now: float,
        size: int,
        frames: Sequence[Frame],
        acknowledging: _Delivery | None,
    ) -> None:
        self.packet_number = number
        self.sent_time = now
        self.sent_bytes = size
        self.frames = frames
        self.acknowledging = acknowledging

    @property
    def delivery_handlers(self) -> list[_Delivery]:
        """Return whom to tell, as aioquic asks when it declares packets lost."""
        found: list[_Delivery] = [
            (sender.on_data_delivery, (start, stop, fin))
            for sender, start, stop, fin in self.frames
        ]
        return found if self.acknowledging is None else [self.acknowledging, *found]


class Lane(Sending):
    """See the module; a part of `connection.ServerConnection`."""

    keys: OneRttKeys

    def _begin_lane(self) -> None:
        self._held_until: float | None = None  # when so few packets leave as there are

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

    def _content(self, now: float) -> Burst | None:
        """Return packets with as much content as may leave now."""
        if not len(self._schedule):
            return None
        cc, size = self._loss._cc, self._max_datagram_size
        pacer = cast("Pacer", self._loss._pacer)
        room = (cc.congestion_window - cc.bytes_in_flight) // size
        most = min(room, pacer.allowed(now))
        if room <= 0 or self._is_held(most, size, now):
            return None
        if most <= 0:
            self._pacing_at = now + (pacer.packet_time or 0.0)
            return None
        header_bytes = 1 + len(self._peer_cid.cid) + _NUMBER_BYTES
        payloads = self._payloads(most, size - header_bytes - TAG_BYTES, now)
        if not payloads:
            return None
        pacer.sent(len(payloads))
        if len(self._schedule) and len(payloads) == most < room:
            self._pacing_at = now + (pacer.packet_time or 0.0)
        return Burst(self._seal(payloads, size, now), size, self._network_paths[0].addr)

    def _is_held(self, most: int, size: int, now: float) -> bool:
        """Whether to wait for a portion, rather than to send so few packets of much content now."""
        pacer = cast("Pacer", self._loss._pacer)
        portion = pacer.portion
        waiting = self._schedule.outstanding_bytes - self._loss._cc.bytes_in_flight
        if most >= portion or waiting < portion * size or not self._loss._cc.bytes_in_flight:
            self._held_until = None
            return False
        if self._held_until is None:
            self._held_until = now + portion * (pacer.packet_time or 0.0)
        if now < self._held_until:
            self._pacing_at = self._held_until
            return True
        self._held_until = None
        return False

    def _payloads(self, most: int, room: int, now: float) -> list[_Payload]:
        """Return what packets have inside; all but the last have so many octets."""
        space = self._space
        found: list[_Payload] = []
        while len(found) < most:
            parts: list[bytes | memoryview] = []
            frames: list[Frame] = []
            acknowledging = None
            if space.ack_at is not None:
                parts.append(self._ack_frame(space, now))
                acknowledging = self._on_ack_delivery, (space, space.largest_received_packet)
            elif self._fill_several(found, room, most):
                continue
            left = self._fill(room - sum(map(len, parts)), parts, frames)
            if not frames:
                break
            if acknowledging is not None:
                space.ack_at = None
            if 0 < left < FRAME_BYTES_MIN:  # PADDING: what is of one size leaves in one call
                parts.append(bytes(left))
            found.append((b"".join(parts), frames, acknowledging))
        return found

    def _fill_several(self, found: list[_Payload], room: int, most: int) -> bool:
        """Add packets that a stream fills all alone; False if it fills none."""
        schedule = self._schedule
        stream_id = schedule.first()
        stream = None if stream_id is None else self._streams.get(stream_id)
        sender = None if stream is None else stream.sender
        if stream is None or not isinstance(sender, Outgoing) or not schedule.is_in_order:
            return False
        at = sender.highest_offset
        chunk, begin, stop = sender.ahead(self._limit(stream, sender))
        if stop - at < 2 * room:  # what ends a stream, a chunk or a window is `_fill`'s
            return False
        before, kind, name = at, _KINDS[_STREAM | _OFFSET], sender.name
        while len(found) < most:
            offset = integer(at)
            end = at + room - 1 - len(name) - len(offset)
            if end >= stop:
                break
            payload = b"".join((kind, name, offset, chunk[at - begin : end - begin]))
            found.append((payload, ((sender, at, end, False),), None))
            at = end
        sender.highest_offset = at
        self._remote_max_data_used += at - before
        return True

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

    def _seal(self, payloads: Sequence[_Payload], size: int, now: float) -> bytearray:
        """Return protected packets, one behind the other, and register them."""
        send, cid = self.keys.send, self._peer_cid.cid
        aead, protection = cast("AEAD", send.aead), cast("HeaderProtection", send.hp)
        encrypt, secret = aead._aead.encrypt_into, aead._iv
        first = _FIXED | self._spin_bit << 5 | send.key_phase << 2 | _TWO_OCTETS
        prefix = bytes([first]) + cid
        header_bytes = len(prefix) + _NUMBER_BYTES
        burst = bytearray(
            (len(payloads) - 1) * size + header_bytes + len(payloads[-1][0]) + TAG_BYTES
        )
        view, number, at = memoryview(burst), self._packet_number, 0
        packets = []
        samples = []
        for payload, frames, acknowledging in payloads:
            end = at + header_bytes + len(payload) + TAG_BYTES
            encrypt(
                (secret ^ number).to_bytes(12, "big"),
                payload,
                prefix + (number & 0xFFFF).to_bytes(2, "big"),
                view[at + header_bytes : end],
            )
            packets.append(SentPacket(number, now, end - at, frames, acknowledging))
            at += header_bytes
            samples.append(burst[at + 2 : at + 2 + SAMPLE_BYTES])
            at, number = end, number + 1
        mask = masks(protection, samples)
        for n, packet in enumerate(packets):
            at, m = n * size, n * SAMPLE_BYTES
            hidden = (packet.packet_number & 0xFFFF) ^ (mask[m + 1] << 8 | mask[m + 2])
            view[at : at + header_bytes] = b"%c%b%c%c" % (
                first ^ (mask[m] & 0x1F),
                cid,
                hidden >> 8,
                hidden & 0xFF,
            )
        self._register(packets, len(burst), now)
        return burst

    def _register(self, packets: Sequence[SentPacket], size: int, now: float) -> None:
        """Hand packets to loss recovery and congestion control."""
        loss, space = self._loss, self._space
        sent: dict[int, Any] = space.sent_packets
        for packet in packets:
            sent[packet.packet_number] = packet
        on_packet_sent: Any = loss._cc.on_packet_sent
        on_packet_sent(packet=SentPacket(-1, now, size, (), None))  # all of them, for Reno adds up
        space.ack_eliciting_in_flight += len(packets)
        loss._time_of_last_sent_ack_eliciting_packet = now
        self._packet_number += len(packets)
        self._network_paths[0].bytes_sent += size
        if not self._ack_eliciting_sent_since_receipt:  # section 10.1
            self._close_at = now + self._idle_timeout()
            self._ack_eliciting_sent_since_receipt = True


def masks(protection: HeaderProtection, samples: Sequence[bytes | bytearray]) -> bytes:
    """Return the masks of packets, `SAMPLE_BYTES` for each (RFC 9001 section 5.4)."""
    if protection._is_chacha20:
        return b"".join(
            [protection._mask(bytes(each)).ljust(SAMPLE_BYTES, b"\0") for each in samples]
        )
    return protection._encryptor.update(b"".join(samples))  # blocks of AES, one by one
