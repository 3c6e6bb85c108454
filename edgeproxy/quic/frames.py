"""What is asked of the peer's frames beyond what aioquic asks (RFC 9000 section 19, 21).

aioquic holds everything that a valid client could want, which is more than a client that wants harm
should get: half a megabyte for one packet, a list that is walked for every octet, work for frames
that do nothing. Each check here is one such case; the figure beside it says what a client needs.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from aioquic import tls
from aioquic.buffer import Buffer
from aioquic.quic.connection import QuicConnectionError, QuicReceiveContext
from aioquic.quic.packet import QuicErrorCode, QuicFrameType, pull_ack_frame
from aioquic.quic.stream import QuicStreamReceiver

from edgeproxy.quic.sending import Sending
from edgeproxy.wire.buckets import TokenBucket
from edgeproxy.wire.limits import Limits

# A ClientHello with a post-quantum share is 2 KB; with a ticket and what else browsers add, 4.
CRYPTO_BYTES_MAX: Final = 16 * 1024
# Ranges that wait for what is missing before them: 64 KiB are 55 packets, and loss leaves
# half of them at most. Chromium cuts its ClientHello into some ten pieces, on purpose.
RANGES_MAX: Final = 256
# Frames that move nothing: a client sends some on every connection and none in numbers.
IDLE_FRAMES_BURST: Final = 1000
IDLE_FRAMES_PER_SECOND: Final = 100.0
_WINDOW_STEP_MIN: Final = 1024  # raising a limit by less is not worth a frame
# Content of less, that does not end its stream, is counted as in HTTP/2 (`Limits.small_data_…`).
_SMALL_BYTES: Final = 64
# Packets that a client has not acknowledged. What is under way at most, and as many of ours that
# only acknowledge, are some 4000; who never says what arrived makes us remember all of it.
SENT_PACKETS_MAX: Final = 8192

NOT_SENT: Final = "acknowledges what was not sent"

_EXPECTED_BY: Final = {
    tls.Epoch.INITIAL: tls.State.SERVER_EXPECT_CLIENT_HELLO,
    tls.Epoch.HANDSHAKE: tls.State.SERVER_EXPECT_FINISHED,
    tls.Epoch.ONE_RTT: tls.State.SERVER_POST_HANDSHAKE,
}
_IDLE_FRAMES: Final = (
    QuicFrameType.PING,
    QuicFrameType.RESET_STREAM,
    QuicFrameType.STOP_SENDING,
    QuicFrameType.MAX_STREAMS_BIDI,
    QuicFrameType.MAX_STREAMS_UNI,
    QuicFrameType.DATA_BLOCKED,
    QuicFrameType.STREAM_DATA_BLOCKED,
    QuicFrameType.STREAMS_BLOCKED_BIDI,
    QuicFrameType.STREAMS_BLOCKED_UNI,
    QuicFrameType.NEW_CONNECTION_ID,
    QuicFrameType.RETIRE_CONNECTION_ID,
    QuicFrameType.PATH_CHALLENGE,
    QuicFrameType.PATH_RESPONSE,
)

_EPOCHS: dict[frozenset[tls.Epoch], frozenset[tls.Epoch]] = {}
"""aioquic makes these sets for each connection; there are four of them."""

_IS_LAST, _HAS_LENGTH, _HAS_OFFSET = 0x01, 0x02, 0x04  # of a STREAM frame's type

_Handler = Callable[[QuicReceiveContext, int, Buffer], None]


def violation(code: int, frame_type: int, reason: str) -> QuicConnectionError:
    """Return what ends the connection, with a transport error code."""
    return QuicConnectionError(error_code=code, frame_type=frame_type, reason_phrase=reason)


class Guarded(Sending):
    """A connection that checks frames before aioquic acts on them."""

    def _begin_guarding(self, limits: Limits) -> None:
        self._idle_frames = TokenBucket(IDLE_FRAMES_BURST, IDLE_FRAMES_PER_SECOND)
        self._small_frames = TokenBucket(
            limits.small_data_frames_burst, limits.small_data_frames_per_second
        )
        self._acknowledging: QuicReceiveContext | None = None
        # aioquic's own table of handlers, made by its `__init__`: the one place to see all frames
        table: dict[int, tuple[_Handler, frozenset[tls.Epoch]]]
        table = vars(self)["_QuicConnection__frame_handlers"]
        for kind, (handler, epochs) in table.items():
            if kind in _IDLE_FRAMES:
                handler = partial(self._handle_idle_frame, handler)  # noqa: PLW2901
            table[kind] = handler, _EPOCHS.setdefault(epochs, epochs)

    def _handle_idle_frame(
        self, handler: _Handler, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        self._charge(context.time, frame_type)
        handler(context, frame_type, buf)

    def _charge(self, now: float, frame_type: int) -> None:
        if not self._idle_frames.take(now):
            raise violation(QuicErrorCode.INTERNAL_ERROR, frame_type, "too many control frames")

    # --- CRYPTO (section 7.5; RFC 9001 section 4.1.3) ---------------------------------------------

    def _handle_crypto_frame(
        self, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        start = buf.tell()
        end = buf.pull_uint_var() + buf.pull_uint_var()
        buf.seek(start)
        receiver = self._crypto_streams[context.epoch].receiver
        if end > CRYPTO_BYTES_MAX:
            raise violation(
                QuicErrorCode.CRYPTO_BUFFER_EXCEEDED, frame_type, "too much handshake data"
            )
        if end > receiver.highest_offset and self.tls.state != _EXPECTED_BY[context.epoch]:
            raise violation(
                QuicErrorCode.PROTOCOL_VIOLATION, frame_type, "handshake data of the wrong level"
            )
        if end <= receiver.highest_offset:
            self._charge(context.time, frame_type)
        super()._handle_crypto_frame(context, frame_type, buf)
        _check_ranges(receiver, frame_type)

    # --- STREAM -----------------------------------------------------------------------------------

    def _handle_stream_frame(
        self, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        start = buf.tell()
        stream_id = buf.pull_uint_var()
        if frame_type & _HAS_OFFSET:
            buf.pull_uint_var()
        size = buf.pull_uint_var() if frame_type & _HAS_LENGTH else buf.capacity - buf.tell()
        if size < _SMALL_BYTES:
            self._count_small(context, frame_type, stream_id, size)
        buf.seek(start)
        super()._handle_stream_frame(context, frame_type, buf)
        stream = self._streams.get(stream_id)
        if stream is not None:
            _check_ranges(stream.receiver, frame_type)

    def _count_small(
        self, context: QuicReceiveContext, frame_type: int, stream_id: int, size: int
    ) -> None:
        """Count what brings little; the end of a stream does not, the first time."""
        if frame_type & _IS_LAST:
            if self._has_ended(stream_id):
                self._charge(context.time, frame_type)
        elif not size:
            self._charge(context.time, frame_type)
        elif not self._small_frames.take(context.time):
            raise violation(QuicErrorCode.INTERNAL_ERROR, frame_type, "too many small pieces")

    def _has_ended(self, stream_id: int) -> bool:
        stream = self._streams.get(stream_id)
        if stream is None:
            return self._stream_is_discarded(stream_id)
        return stream.receiver._final_size is not None

    # --- ACK (section 13.1) -----------------------------------------------------------------------

    def _handle_ack_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        self._check_sent(buf, frame_type)
        if context is self._acknowledging:  # one says it all
            self._charge(context.time, frame_type)
        self._acknowledging = context
        space = self._spaces[context.epoch]
        in_flight = space.ack_eliciting_in_flight
        super()._handle_ack_frame(context, frame_type, buf)
        if space.ack_eliciting_in_flight < in_flight:
            # Who downloads fast has its acknowledgements acknowledged by a PING now and then
            # (section 13.2.4): ngtcp2 by one in four packets, hundreds a second.
            self._idle_frames.give()

    def _check_sent(self, buf: Buffer, frame_type: int) -> None:
        start = buf.tell()
        try:
            ranges, _ = pull_ack_frame(buf)
        except ValueError:
            return  # aioquic says so as well, and better
        finally:
            buf.seek(start)
        if ranges.bounds().stop > self._packet_number or self.skipped in ranges:
            raise violation(QuicErrorCode.PROTOCOL_VIOLATION, frame_type, NOT_SENT)

    # --- windows ----------------------------------------------------------------------------------

    def _handle_max_data_frame(
        self, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        before = self._remote_max_data
        super()._handle_max_data_frame(context, frame_type, buf)
        self._window_opened()
        if self._remote_max_data - before < _WINDOW_STEP_MIN:
            self._charge(context.time, frame_type)

    def _handle_max_stream_data_frame(
        self, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        start = buf.tell()
        stream_id = buf.pull_uint_var()
        stream = self._streams.get(stream_id)
        buf.seek(start)
        before = 0 if stream is None else stream.max_stream_data_remote
        if stream is None:
            self._charge(context.time, frame_type)
        super()._handle_max_stream_data_frame(context, frame_type, buf)
        self._window_opened(stream_id)
        if stream is not None and stream.max_stream_data_remote - before < _WINDOW_STEP_MIN:
            self._charge(context.time, frame_type)

    # --- connection IDs (section 5.1.2, 19.15) ----------------------------------------------------

    def _handle_new_connection_id_frame(
        self, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        if not self._peer_cid.cid:
            raise violation(
                QuicErrorCode.PROTOCOL_VIOLATION, frame_type, "has no connection IDs to replace"
            )
        super()._handle_new_connection_id_frame(context, frame_type, buf)

    def _consume_peer_cid(self) -> None:
        if not self._peer_cid_available:
            raise violation(
                QuicErrorCode.PROTOCOL_VIOLATION,
                QuicFrameType.NEW_CONNECTION_ID,
                "retires its last connection ID",
            )
        super()._consume_peer_cid()


def _check_ranges(receiver: QuicStreamReceiver, frame_type: int) -> None:
    if len(receiver._ranges) > RANGES_MAX:
        raise violation(QuicErrorCode.INTERNAL_ERROR, frame_type, "too many pieces")
