"""What goes into the next packets, and in which order (RFC 9000 section 13, RFC 9218 section 10).

Takes the place of aioquic's loop over all streams for each packet: streams with something to send
are found once for each transmission, and served by urgency; of one urgency first those that are not
incremental, one after the other, then the incremental ones in turns.

The peer's windows are kept here as well: aioquic doubles them by what arrived, whether or not
anybody read it; here they open by what was consumed and by nothing else.

This class knows frames and no events. A lane of our own for 1-RTT packets would take the place of
`_write_application` and of nothing else.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aioquic import tls
from aioquic.quic.connection import (
    CONNECTION_LIMIT_FRAME_CAPACITY,
    MAX_STREAM_DATA_FRAME_CAPACITY,
    QuicConnection,
    QuicNetworkPath,
)
from aioquic.quic.packet import QuicFrameType, QuicPacketType
from aioquic.quic.packet_builder import (
    QuicDeliveryState,
    QuicPacketBuilder,
    QuicPacketBuilderStop,
)
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream

URGENCY_DEFAULT: Final = 3
_URGENCY_CONTROL: Final = -1
_FRAME_BYTES_MIN: Final = 32  # what is left of a packet is not worth a frame below that


@dataclass(slots=True)
class Place:
    """A stream's place in the order; `served` is when it last had its turn, as a count."""

    urgency: int = URGENCY_DEFAULT
    is_incremental: bool = False
    served: int = 0


@dataclass(slots=True)
class Receipt:
    """How much of a stream was handed on, and how much of that was consumed, in octets."""

    delivered: int = 0
    consumed: int = 0
    is_stopped: bool = False


class Sending(QuicConnection):
    """The sending half of a server's connection; see `connection.ServerConnection`."""

    stream_window: int
    connection_window: int

    def _begin_sending(self) -> None:
        """Make what this half needs; `__init__` is aioquic's."""
        self._places: dict[int, Place] = {}
        self._receipts: dict[int, Receipt] = {}
        self._windows_to_tell: set[int] = set()
        self._consumed_bytes = 0
        self._serving = 0
        self.is_dropped = False

    # --- receive windows (RFC 9000 section 4.2) ---------------------------------------------------

    def consumed(self, stream_id: int, octets: int) -> None:
        """Give credit for octets of a stream; for no more than were handed on."""
        receipt = self._receipts.get(stream_id)
        if receipt is None:
            return
        octets = min(octets, receipt.delivered - receipt.consumed)
        receipt.consumed += octets
        self._credit_connection(octets)
        stream = self._streams.get(stream_id)
        if stream is None or stream.receiver.is_finished:
            return
        limit = receipt.consumed + self.stream_window
        if limit - stream.max_stream_data_local >= self.stream_window // 2:
            stream.max_stream_data_local = limit
            self._windows_to_tell.add(stream_id)

    def _credit_connection(self, octets: int) -> None:
        self._consumed_bytes += octets
        limit = self._consumed_bytes + self.connection_window
        if limit - self._local_max_data.value >= self.connection_window // 2:
            self._local_max_data.value = limit

    def _credit_rest(self, stream: QuicStream) -> None:
        """Count what nobody will consume any more of a stream that is over (section 4.2)."""
        receipt = self._receipts.setdefault(stream.stream_id or 0, Receipt())
        rest = stream.receiver.highest_offset - receipt.consumed
        receipt.consumed = receipt.delivered = stream.receiver.highest_offset
        self._credit_connection(rest)

    def _on_max_stream_data_delivery(self, delivery: QuicDeliveryState, stream: QuicStream) -> None:
        if delivery != QuicDeliveryState.ACKED and not stream.receiver.is_finished:
            self._windows_to_tell.add(stream.stream_id or 0)

    # --- packets ----------------------------------------------------------------------------------

    def _write_application(
        self, builder: QuicPacketBuilder, network_path: QuicNetworkPath, now: float
    ) -> None:
        crypto = self._cryptos[tls.Epoch.ONE_RTT]
        if not crypto.send.is_valid():
            return
        space = self._spaces[tls.Epoch.ONE_RTT]
        queues = self._in_order()
        while True:
            is_due = space.ack_at is not None and space.ack_at <= now
            if not is_due:
                self._pacing_at = self._loss._pacer.next_send_time(now=now)
                if self._pacing_at is not None:
                    return
            builder.start_packet(QuicPacketType.ONE_RTT, crypto)
            try:
                self._write_packet(builder, network_path, now, queues)
            except QuicPacketBuilderStop:
                if builder.packet_is_empty:
                    raise  # no window and no path has room: this was the last packet
            if builder.packet_is_empty:
                return
            self._loss._pacer.update_after_send(now=now)

    def _write_packet(
        self,
        builder: QuicPacketBuilder,
        path: QuicNetworkPath,
        now: float,
        queues: list[deque[QuicStream]],
    ) -> None:
        """Fill one packet; raises `QuicPacketBuilderStop` when something had no room."""
        space = self._spaces[tls.Epoch.ONE_RTT]
        if space.ack_at is not None and (space.ack_at <= now or queues):
            self._write_ack_frame(builder=builder, space=space, now=now)
        if self._handshake_complete:
            self._write_control(builder, path, now)
        if self._probe_pending:
            self._write_ping_frame(builder, comment="probe")
            self._probe_pending = False
        crypto_stream = self._crypto_streams[tls.Epoch.ONE_RTT]
        if not crypto_stream.sender.buffer_is_empty:
            self._write_crypto_frame(builder=builder, space=space, stream=crypto_stream)
        self._write_streams(builder, space, queues)

    def _write_control(self, builder: QuicPacketBuilder, path: QuicNetworkPath, now: float) -> None:
        if not (path.is_validated or path.local_challenge_sent):
            self._write_path_challenge_frame(builder=builder, network_path=path)
            if path.validation_deadline is None:  # section 8.2.4
                waits = max(self._loss.get_probe_timeout(), 2 * self._configuration.initial_rtt)
                path.validation_deadline = now + 3 * waits
        if self._handshake_done_pending:
            self._write_handshake_done_frame(builder=builder)
            self._handshake_done_pending = False
        while path.remote_challenges:
            self._write_path_response_frame(builder=builder, challenge=path.remote_challenges[0])
            path.remote_challenges.popleft()
        for connection_id in self._host_cids:
            if not connection_id.was_sent:
                self._write_new_connection_id_frame(builder=builder, connection_id=connection_id)
        while self._retire_connection_ids:
            number = self._retire_connection_ids[0]
            self._write_retire_connection_id_frame(builder=builder, sequence_number=number)
            self._retire_connection_ids.pop(0)
        self._write_windows(builder)

    def _write_windows(self, builder: QuicPacketBuilder) -> None:
        """Tell the peer what it may send and open now: MAX_DATA, MAX_STREAM_DATA, MAX_STREAMS."""
        data = self._local_max_data
        streams = [
            each
            for each in (self._local_max_streams_bidi, self._local_max_streams_uni)
            if each.sent - each.used < each.value - each.sent  # else it has enough left
        ]
        for limit in (data, *streams):
            if limit.value == limit.sent:
                continue
            buf = builder.start_frame(
                limit.frame_type,
                capacity=CONNECTION_LIMIT_FRAME_CAPACITY,
                handler=self._on_connection_limit_delivery,
                handler_args=(limit,),
            )
            buf.push_uint_var(limit.value)
            limit.sent = limit.value
        while self._windows_to_tell:
            stream_id = next(iter(self._windows_to_tell))
            stream = self._streams.get(stream_id)
            if stream is not None and not stream.receiver.is_finished:
                buf = builder.start_frame(
                    QuicFrameType.MAX_STREAM_DATA,
                    capacity=MAX_STREAM_DATA_FRAME_CAPACITY,
                    handler=self._on_max_stream_data_delivery,
                    handler_args=(stream,),
                )
                buf.push_uint_var(stream_id)
                buf.push_uint_var(stream.max_stream_data_local)
                stream.max_stream_data_local_sent = stream.max_stream_data_local
            self._windows_to_tell.discard(stream_id)

    # --- streams ----------------------------------------------------------------------------------

    def _in_order(self) -> list[deque[QuicStream]]:
        """Return streams with something to send, queues of equals; forget those that are over."""
        ready: list[tuple[tuple[int, bool, int], QuicStream]] = []
        over: list[QuicStream] = []
        for stream in self._streams_queue:
            if stream.is_finished:
                over.append(stream)
            elif not stream.is_blocked and _has_something(stream):
                ready.append((self._rank(stream.stream_id or 0), stream))
        if over:
            self._forget(over)
        ready.sort(key=lambda each: each[0])
        queues: list[deque[QuicStream]] = []
        last: tuple[int, bool] | None = None
        for (urgency, is_incremental, _), stream in ready:
            if not queues or last != (urgency, is_incremental):
                queues.append(deque())
                last = (urgency, is_incremental)
            queues[-1].append(stream)
        return queues

    def _rank(self, stream_id: int) -> tuple[int, bool, int]:
        if stream_id & 0x02:
            return _URGENCY_CONTROL, False, stream_id
        place = self._places.get(stream_id)
        if place is None:
            return URGENCY_DEFAULT, False, stream_id
        return (
            place.urgency,
            place.is_incremental,
            (place.served if place.is_incremental else stream_id),
        )

    def _forget(self, over: Iterable[QuicStream]) -> None:
        """Drop streams that are over; the peer may open as many new ones (section 4.6)."""
        for stream in over:
            stream_id = stream.stream_id or 0
            self._streams.pop(stream_id, None)
            self._places.pop(stream_id, None)
            if not stream_id & 0x01:
                self._stream_limit(stream_id).value += 1
                self._credit_rest(stream)
                self._receipts.pop(stream_id, None)
        gone = set(over)
        self._streams_queue = [each for each in self._streams_queue if each not in gone]

    def _write_streams(
        self,
        builder: QuicPacketBuilder,
        space: QuicPacketSpace,
        queues: list[deque[QuicStream]],
    ) -> None:
        while queues:
            queue = queues[0]
            stream = queue[0]
            if self._write_stream(builder, space, stream):
                queue.popleft()
                if not queue:
                    queues.pop(0)
                continue
            place = self._places.get(stream.stream_id or 0)
            if place is not None and place.is_incremental:
                self._serving += 1
                place.served = self._serving
                queue.rotate(-1)
            return

    def _write_stream(
        self, builder: QuicPacketBuilder, space: QuicPacketSpace, stream: QuicStream
    ) -> bool:
        """Put as much of a stream into the packet as fits; False when there is more of it."""
        sender = stream.sender
        if stream.receiver.stop_pending:
            self._write_stop_sending_frame(builder=builder, stream=stream)
        if sender.reset_pending:
            self._write_reset_stream_frame(builder=builder, stream=stream)
            return True
        while not sender.buffer_is_empty:
            if not len(sender._pending) and not sender._pending_eof:
                sender.buffer_is_empty = True
                return True
            limit = min(
                sender.highest_offset + self._remote_max_data - self._remote_max_data_used,
                stream.max_stream_data_remote,
            )
            if len(sender._pending) and sender._pending[0].start >= limit:
                return True  # the peer's window is shut
            if builder.remaining_flight_space < _FRAME_BYTES_MIN:
                return False
            used = self._write_stream_frame(
                builder=builder, space=space, stream=stream, max_offset=limit
            )
            self._remote_max_data_used += used
        return True


def _has_something(stream: QuicStream) -> bool:
    sender = stream.sender
    return (
        not sender.buffer_is_empty
        or sender.reset_pending
        or (stream.receiver.stop_pending and not stream.receiver.is_finished)
    )
