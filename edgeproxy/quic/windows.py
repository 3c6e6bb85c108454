"""Flow control in both directions (RFC 9000 section 4): what the peer may send, and what we may.

aioquic doubles the peer's windows by what arrived, whether or not anybody read it; here they open
by what was consumed and by nothing else. Streams that the peer gives no window stand aside until it
does.
"""

from dataclasses import dataclass

from aioquic.quic.connection import (
    CONNECTION_LIMIT_FRAME_CAPACITY,
    MAX_STREAM_DATA_FRAME_CAPACITY,
    Limit,
    QuicConnection,
)
from aioquic.quic.packet import QuicFrameType
from aioquic.quic.packet_builder import QuicDeliveryState, QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream, QuicStreamSender

from edgeproxy.quic.schedule import Schedule


@dataclass(slots=True)
class Receipt:
    """How much of a stream was handed on, and how much of that was consumed, in octets."""

    delivered: int = 0
    consumed: int = 0
    is_stopped: bool = False


class Windows(QuicConnection):
    """See the module; a part of `connection.ServerConnection`. Windows are octets."""

    stream_window: int
    connection_window: int

    def _begin_windows(self) -> None:
        """Make what this part needs; `__init__` is aioquic's."""
        self._space = QuicPacketSpace(is_application_data=True)  # aioquic's own, once it has some
        self._schedule = Schedule()
        self._shut: set[int] = set()  # streams that wait for a window of the peer's
        self._receipts: dict[int, Receipt] = {}
        self._windows_to_tell: set[int] = set()
        self._consumed_bytes = 0

    # --- ours -------------------------------------------------------------------------------------

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

    @staticmethod
    def _is_stream_limit_due(limit: Limit) -> bool:
        """Whether the peer may open more streams and has half of what it knew of used up."""
        return limit.sent - limit.used < limit.value - limit.sent

    def _write_windows(self, builder: QuicPacketBuilder) -> None:
        """Tell the peer what it may send and open now: MAX_DATA, MAX_STREAM_DATA, MAX_STREAMS."""
        data = self._local_max_data
        streams = [
            each
            for each in (self._local_max_streams_bidi, self._local_max_streams_uni)
            if self._is_stream_limit_due(each)
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

    # --- the peer's windows (section 4.1) ---------------------------------------------------------

    def _limit(self, stream: QuicStream, sender: QuicStreamSender) -> int:
        """Return the offset that the peer lets a stream reach."""
        if stream.is_blocked:
            return 0
        left = self._remote_max_data - self._remote_max_data_used
        return min(sender.highest_offset + left, stream.max_stream_data_remote)

    def _shut_out(self, stream_id: int) -> None:
        """Take a stream out of the order until a window opens."""
        self._schedule.remove(stream_id)
        self._shut.add(stream_id)

    def _window_opened(self, stream_id: int | None = None) -> None:
        """Let a stream try again, or all that wait for a window."""
        if stream_id is None:
            for each in self._shut:
                self._schedule.add(each)
            self._shut.clear()
        elif stream_id in self._shut:
            self._shut.discard(stream_id)
            self._schedule.add(stream_id)

    def _unblock_streams(self, is_unidirectional: bool) -> None:
        super()._unblock_streams(is_unidirectional)
        self._window_opened()
