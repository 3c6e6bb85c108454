"""What goes into the next packets, and in which order (RFC 9000 section 13, RFC 9218 section 10).

Takes the place of aioquic's loop over all streams for each packet: streams with something to send
stand in a `schedule`, and those whose window is shut do not.

This class knows frames and no events. What it writes goes through aioquic's packets, one call for
each field; content on a confirmed connection has a faster `lane`, for which this is what it falls
back to, and what it is compared with.
"""

from typing import Final

from aioquic import tls
from aioquic.quic.connection import (
    STOP_SENDING_FRAME_CAPACITY,
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

from edgeproxy.quic.outgoing import Outgoing
from edgeproxy.quic.windows import Windows

FRAME_BYTES_MIN: Final = 32  # what is left of a packet is not worth a frame below that


class Sending(Windows):
    """The sending half of a server's connection; see `connection.ServerConnection`."""

    def _begin_sending(self) -> None:
        """Make what this half needs; `__init__` is aioquic's."""
        self._begin_windows()
        self._is_carrying_streams = True

    # --- streams ----------------------------------------------------------------------------------

    def _get_or_create_stream(self, frame_type: int, stream_id: int) -> QuicStream:
        found = self._streams.get(stream_id)
        if found is None:
            found = super()._get_or_create_stream(frame_type, stream_id)
            self._adopt_streams()
        return found

    def _get_or_create_stream_for_send(self, stream_id: int) -> QuicStream:
        found = super()._get_or_create_stream_for_send(stream_id)
        self._adopt_streams()
        return found

    def _adopt_streams(self) -> None:
        """Give new streams our own sending half."""
        for stream in self._streams_queue:
            if not stream.sender.is_finished:
                stream.sender = Outgoing(stream.stream_id or 0, self._schedule)
        self._streams_queue.clear()

    def _outgoing(self, stream_id: int) -> Outgoing | None:
        """Return the sending half of a stream, None if that is gone or was never there."""
        stream = self._streams.get(stream_id)
        sender = None if stream is None else stream.sender
        return sender if isinstance(sender, Outgoing) else None

    def _forget_over(self) -> None:
        """Drop streams that are over; the peer may open as many new ones (section 4.6)."""
        over = self._schedule.over
        for stream_id in over:
            stream = self._streams.get(stream_id)
            if stream is not None and stream.is_finished:
                self._forget(stream, stream_id)
        over.clear()

    def _forget(self, stream: QuicStream, stream_id: int) -> None:
        del self._streams[stream_id]
        self._schedule.forget(stream_id)
        self._shut.discard(stream_id)
        if not stream_id & 0x01:
            self._stream_limit(stream_id).value += 1
            self._credit_rest(stream)
            self._receipts.pop(stream_id, None)

    # --- packets ----------------------------------------------------------------------------------

    def _write_application(
        self, builder: QuicPacketBuilder, network_path: QuicNetworkPath, now: float
    ) -> None:
        crypto = self._cryptos[tls.Epoch.ONE_RTT]
        if not crypto.send.is_valid():
            return
        space = self._space
        self._forget_over()
        while True:
            is_due = space.ack_at is not None and space.ack_at <= now
            if not is_due:
                self._pacing_at = self._loss._pacer.next_send_time(now=now)
                if self._pacing_at is not None:
                    return
            builder.start_packet(QuicPacketType.ONE_RTT, crypto)
            try:
                self._write_packet(builder, network_path, now)
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
    ) -> None:
        """Fill one packet; raises `QuicPacketBuilderStop` when something had no room."""
        space = self._space
        is_carrying = self._is_carrying_streams and len(self._schedule)
        if space.ack_at is not None and (space.ack_at <= now or is_carrying):
            self._write_ack_frame(builder=builder, space=space, now=now)
        if self._handshake_complete:
            self._write_control(builder, path, now)
        if self._probe_pending:
            self._write_ping_frame(builder, comment="probe")
            self._probe_pending = False
        crypto_stream = self._crypto_streams[tls.Epoch.ONE_RTT]
        if not crypto_stream.sender.buffer_is_empty:
            self._write_crypto_frame(builder=builder, space=space, stream=crypto_stream)
        if self._is_carrying_streams:
            self._write_streams(builder, space)

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
        self._write_ends(builder)

    def _is_control_due(self) -> bool:
        """Whether `_write_control` or another path has something to say, or TLS has."""
        path = self._network_paths[0]
        return bool(
            self._schedule.to_tell
            or self._windows_to_tell
            or self._local_max_data.value != self._local_max_data.sent
            or self._handshake_done_pending
            or self._retire_connection_ids
            or path.remote_challenges
            or len(self._network_paths) > 1
            or self._is_stream_limit_due(self._local_max_streams_bidi)
            or self._is_stream_limit_due(self._local_max_streams_uni)
            or not self._crypto_streams[tls.Epoch.ONE_RTT].sender.buffer_is_empty
            or not all(each.was_sent for each in self._host_cids)
        )

    def _write_ends(self, builder: QuicPacketBuilder) -> None:
        """Break streams off that are to be: STOP_SENDING, RESET_STREAM."""
        to_tell = self._schedule.to_tell
        while to_tell:
            stream_id = next(iter(to_tell))
            stream = self._streams.get(stream_id)
            if stream is not None and stream.receiver.stop_pending:
                self._write_stop(builder, stream)
            if stream is not None and stream.sender.reset_pending:
                self._write_reset_stream_frame(builder=builder, stream=stream)
            del to_tell[stream_id]

    def _write_stop(self, builder: QuicPacketBuilder, stream: QuicStream) -> None:
        if stream.receiver.is_finished:
            stream.receiver.stop_pending = False
            return
        buf = builder.start_frame(
            QuicFrameType.STOP_SENDING,
            capacity=STOP_SENDING_FRAME_CAPACITY,
            handler=self._on_stop_delivery,
            handler_args=(stream,),
        )
        frame = stream.receiver.get_stop_frame()
        buf.push_uint_var(frame.stream_id)
        buf.push_uint_var(frame.error_code)

    def _on_stop_delivery(self, delivery: QuicDeliveryState, stream: QuicStream) -> None:
        stream.receiver.on_stop_sending_delivery(delivery)
        if stream.receiver.stop_pending and stream.stream_id in self._streams:
            self._schedule.to_tell[stream.stream_id] = None

    def _write_streams(self, builder: QuicPacketBuilder, space: QuicPacketSpace) -> None:
        schedule = self._schedule
        while (stream_id := schedule.first()) is not None:
            stream = self._streams.get(stream_id)
            if stream is None or self._write_stream(builder, space, stream, stream_id):
                schedule.remove(stream_id)
                continue
            schedule.served()
            return

    def _write_stream(
        self,
        builder: QuicPacketBuilder,
        space: QuicPacketSpace,
        stream: QuicStream,
        stream_id: int,
    ) -> bool:
        """Put as much of a stream into the packet as fits; False when there is more of it."""
        sender = stream.sender
        while isinstance(sender, Outgoing) and sender.has_something:
            limit = self._limit(stream, sender)
            start, stop = sender.unsent(limit)
            if stop <= start < sender.queued:
                self._shut_out(stream_id)
                return True
            if builder.remaining_flight_space < FRAME_BYTES_MIN:
                return False
            used = self._write_stream_frame(
                builder=builder, space=space, stream=stream, max_offset=limit
            )
            self._remote_max_data_used += used
        return True
