"""The server side of an HTTP/2 connection, without I/O (RFC 9113, RFC 9218).

`receive` takes bytes and calls a `Sink`; what is to be sent collects in `sender.out`. The caller
passes a monotonic `now`, which only rate limits and deadlines read. Push is never used (8.4).

A peer's mistake on the connection ends it with GOAWAY (`is_failed` is then true and further input
is ignored), one on a stream ends that stream with RST_STREAM. Frames that are cheap to send and
cost us work draw from token buckets; an empty one ends the connection with ENHANCE_YOUR_CALM.
"""

from typing import ClassVar, Protocol, cast

from edgeproxy.errors import ConnectionFault, StreamFault
from edgeproxy.wire.h2 import codes, frames
from edgeproxy.wire.h2.control import TABLE_SIZE, Control, check_dependency
from edgeproxy.wire.h2.field_blocks import FieldBlock, unpadded
from edgeproxy.wire.h2.frames import END_HEADERS, END_STREAM, PADDED, PRIORITIZED
from edgeproxy.wire.h2.guard import Guard
from edgeproxy.wire.h2.hpack import Decoder, Field, FieldSectionTooLarge
from edgeproxy.wire.h2.priority import parse_priority
from edgeproxy.wire.h2.reading import OTHER, FrameReader, Handler
from edgeproxy.wire.h2.receiving import Receiver
from edgeproxy.wire.h2.requests import parse_request, parse_trailers
from edgeproxy.wire.h2.sending import Sender
from edgeproxy.wire.h2.streams import Stream, lane_of
from edgeproxy.wire.limits import Limits
from edgeproxy.wire.requests import FIELDS_TOO_LARGE, TARGET_TOO_LONG, RequestHead

_PADDED_OR_PRIORITIZED = PADDED | PRIORITIZED


class Sink(Protocol):
    """What the connection tells its listener."""

    def on_whole_request(self, stream_id: int, head: RequestHead) -> object | None:
        """A request without content: answer it with `Sender.send_prepared` and return None.

        What is returned otherwise becomes the `exchange` of the stream that `on_request` gets.
        """

    def on_request(self, stream: Stream, head: RequestHead) -> None:
        """A request to work on; content follows unless `is_remote_ended`."""

    def on_too_large(self, stream: Stream, status: int) -> None:
        """A request's field section, or its target, passed the limits; nothing of it was kept."""

    def on_content(self, stream: Stream, data: bytes) -> None:
        """Content of a request; `credit` it once it is used. The end is in `is_remote_ended`."""

    def on_trailers(self, stream: Stream, fields: list[Field]) -> None:
        """Fields behind a request's content, whose end `on_content` tells next."""

    def on_reset(self, stream: Stream) -> None:
        """The stream is gone, by the peer's or our doing: stop working for it."""


class Connection(FrameReader):
    """One connection; see the module's docstring."""

    __slots__ = (
        "_block",
        "_control",
        "_decoder",
        "_early_lanes",
        "_guard",
        "_last_accepted",
        "_limits",
        "_receiver",
        "_scheme",
        "_sink",
        "highest_stream_id",
        "requests",
        "sender",
        "streams",
    )

    def __init__(self, sink: Sink, limits: Limits, *, scheme: bytes = b"https") -> None:
        super().__init__()
        self._sink = sink
        self._limits = limits
        self._scheme = scheme
        self.streams: dict[int, Stream] = {}
        self.highest_stream_id = 0
        self.requests = 0
        self._decoder = Decoder(
            table_size_max=TABLE_SIZE,
            field_section_bytes_max=limits.field_section_bytes_max,
            fields_max=limits.fields_max,
        )
        self._block = FieldBlock(limits)
        self._guard = Guard(limits)
        self.sender = Sender()
        self._greet()
        self._receiver = Receiver(self.sender, limits.request_body_buffer_bytes)
        self._control = Control(
            limits, self._guard, sender=self.sender, receiver=self._receiver, streams=self.streams
        )
        self._early_lanes = self._control.early_lanes
        self._last_accepted = frames.STREAM_ID_MAX

    def _greet(self) -> None:
        limits = self._limits
        self.sender.append(
            frames.settings_frame(
                (
                    (frames.SETTINGS_MAX_CONCURRENT_STREAMS, limits.concurrent_streams_max),
                    (frames.SETTINGS_INITIAL_WINDOW_SIZE, limits.request_body_buffer_bytes),
                    (frames.SETTINGS_MAX_HEADER_LIST_SIZE, limits.field_section_bytes_max),
                    (frames.SETTINGS_NO_RFC7540_PRIORITIES, 1),
                )
            )
        )

    @property
    def is_failed(self) -> bool:
        """Whether the connection ended by a fault; only what is in `out` may still be sent."""
        return self.fault is not None

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes of the peer."""
        if self.fault is None:
            self._guard.now = now
            self._read(data, now)

    def go_on(self, now: float) -> None:
        """Take the next portion of what `receive` left: call it while `is_behind`."""
        if self.fault is None:
            self._guard.now = now
            self._go_on(now)

    def fail(self, fault: ConnectionFault) -> None:
        """End the connection with GOAWAY; every stream is told."""
        self.fault = fault
        last = min(self.highest_stream_id, self._last_accepted)  # never more than before (6.8)
        self.sender.append(frames.goaway_frame(last, fault.code, fault.reason))
        self.drop_all()

    # --- frames that carry requests -------------------------------------------------------------

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id & 1:
            raise ConnectionFault(codes.PROTOCOL_ERROR, "HEADERS on a stream not of the client's")
        if flags & _PADDED_OR_PRIORITIZED:
            if flags & frames.PADDED:
                payload = unpadded(payload)
            if flags & frames.PRIORITIZED:
                check_dependency(stream_id, payload[:5])
                payload = payload[5:]
        if flags & END_HEADERS:
            self._on_field_block(stream_id, payload, flags)
            return
        self._guard.count_empty(payload)
        self._block.begin(stream_id, flags, payload)
        self.awaited = frames.CONTINUATION

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._guard.count_empty(payload)
        self._block.extend(stream_id, payload)
        if flags & frames.END_HEADERS:
            self.awaited = None
            self._on_field_block(stream_id, self._block.end(), self._block.flags)

    def _on_field_block(self, stream_id: int, block: bytes, flags: int) -> None:
        """Take a whole field block: it is decoded in every case, the table is the connection's."""
        try:
            fields = self._decoder.decode(block)
        except FieldSectionTooLarge:
            fields = None
        if stream_id > self.highest_stream_id:
            self._open(stream_id, fields, flags)
        elif (stream := self.streams.get(stream_id)) is not None:
            self._on_trailers(stream, fields, flags)
        elif self._guard.was_reset(stream_id):
            self._guard.spend_control("HEADERS on streams that were reset")
        elif self.requests * 2 - 1 == self.highest_stream_id:  # every lower one was opened
            raise ConnectionFault(codes.STREAM_CLOSED, "HEADERS on a closed stream")
        else:
            raise ConnectionFault(codes.PROTOCOL_ERROR, "HEADERS on a closed stream")

    def _open(self, stream_id: int, fields: list[Field] | None, flags: int) -> None:
        self.highest_stream_id = stream_id
        self.requests += 1
        lane = self._early_lanes.pop(stream_id, None) if self._early_lanes else None
        if stream_id > self._last_accepted or (
            len(self.streams) >= self._limits.concurrent_streams_max
        ):
            raise StreamFault(stream_id, codes.REFUSED_STREAM, "one stream too many")
        self._guard.earn_request()
        if fields is None:
            self._refuse_too_large(stream_id, flags, FIELDS_TOO_LARGE)
            return
        head = parse_request(fields, stream_id=stream_id, scheme=self._scheme)
        if len(head.target) > self._limits.target_bytes_max:
            self._refuse_too_large(stream_id, flags, TARGET_TOO_LONG)
            return
        exchange = None
        if flags & END_STREAM:
            if head.content_length:
                raise StreamFault(stream_id, codes.PROTOCOL_ERROR, "content-length without content")
            exchange = self._sink.on_whole_request(stream_id, head)
            if exchange is None:
                return  # answered: the stream is closed again and never needed an object
        stream = self._add(stream_id, flags)
        stream.exchange = exchange
        stream.content_length = head.content_length
        if lane is not None:
            stream.lane = lane
        elif head.priority_value is not None:
            stream.lane = lane_of(parse_priority(head.priority_value))
        self._sink.on_request(stream, head)

    def _refuse_too_large(self, stream_id: int, flags: int, status: int) -> None:
        self._guard.spend_reset("requests over the limits")
        self._sink.on_too_large(self._add(stream_id, flags), status)

    def _add(self, stream_id: int, flags: int) -> Stream:
        stream = Stream(stream_id, self.sender.initial_window, self._receiver.initial_window)
        stream.is_remote_ended = bool(flags & frames.END_STREAM)
        self.streams[stream_id] = stream
        return stream

    def _on_trailers(self, stream: Stream, fields: list[Field] | None, flags: int) -> None:
        """Let trailers end the content; those over the limits are as if there were none."""
        if stream.is_remote_ended:
            raise StreamFault(stream.id, codes.STREAM_CLOSED, "HEADERS after END_STREAM")
        if not flags & frames.END_STREAM:
            raise StreamFault(stream.id, codes.PROTOCOL_ERROR, "trailers without END_STREAM")
        trailers = [] if fields is None else parse_trailers(fields, stream_id=stream.id)
        self._check_length(stream, is_end=True)
        stream.is_remote_ended = True
        if trailers:
            self._sink.on_trailers(stream, trailers)
        self._sink.on_content(stream, b"")

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._check_not_idle(stream_id, "DATA")
        size, is_end = len(payload), bool(flags & frames.END_STREAM)
        self._receiver.take(size)
        stream = self.streams.get(stream_id)
        if stream is None or stream.is_remote_ended:
            self._on_stray_data(stream_id, payload)
            return
        self._receiver.take_on(stream, size)
        data = unpadded(payload) if flags & frames.PADDED else payload
        stream.received_bytes += len(data)
        self._check_length(stream, is_end=is_end)
        stream.is_remote_ended = is_end
        if size > len(data):
            self._receiver.credit(stream, size - len(data))
        if not is_end:
            self._guard.count_empty(data)
            self._guard.count_content(len(data))
        if data or is_end:
            self._sink.on_content(stream, data)

    def _on_stray_data(self, stream_id: int, payload: bytes) -> None:
        """Take DATA that no stream waits for: its bytes still count (section 6.9)."""
        self._receiver.credit_connection(len(payload))
        self._guard.count_empty(payload)
        if not self._guard.was_reset(stream_id):
            raise StreamFault(stream_id, codes.STREAM_CLOSED, "DATA on a closed stream")

    def _check_length(self, stream: Stream, *, is_end: bool) -> None:
        """Hold content against its content-length (section 8.1.1: the sum must match)."""
        expected, received = stream.content_length, stream.received_bytes
        if expected is not None and (received != expected if is_end else received > expected):
            raise StreamFault(stream.id, codes.PROTOCOL_ERROR, "content is not of content-length")

    # --- frames about streams and the connection ------------------------------------------------

    def _on_rst_stream(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(codes.FRAME_SIZE_ERROR, "RST_STREAM is not of 4 bytes")
        self._check_not_idle(stream_id, "RST_STREAM")
        stream = self.streams.get(stream_id)
        if stream is None:
            # the h2 library sends one for every DATA frame that was under way
            self._spend_update("RST_STREAM on closed streams")
            return
        self._guard.spend_reset("rapid reset")
        self._drop(stream)

    def _on_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(codes.FRAME_SIZE_ERROR, "WINDOW_UPDATE is not of 4 bytes")
        increment = int.from_bytes(payload, "big") & frames.WINDOW_MAX
        self._spend_update("WINDOW_UPDATE flood")
        if not stream_id:
            self.sender.widen(increment)
            return
        self._check_not_idle(stream_id, "WINDOW_UPDATE")
        stream = self.streams.get(stream_id)
        if stream is not None:
            self.sender.widen_stream(stream, increment)

    def _spend_update(self, reason: str) -> None:
        sender = self.sender
        self._guard.spend_update(reason, sender.sent_bytes, sender.sent_pieces)

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._control.on_settings(flags, stream_id, payload)
        self.awaited = None

    # --- what the listener asks for -------------------------------------------------------------

    def credit(self, stream: Stream, size: int) -> None:
        """Give back window for `size` bytes of request content that were used."""
        self._receiver.credit(stream, size)

    def finished(self, stream: Stream) -> None:
        """Close a stream whose response is framed whole; unread content is refused (8.1)."""
        if stream.is_remote_ended:
            self.streams.pop(stream.id, None)
            if stream.unused_bytes:
                self._receiver.release(stream)
        else:
            self._forget(stream)
            self.sender.append(frames.rst_stream_frame(stream.id, codes.NO_ERROR))

    def abandon(self, stream: Stream, code: int) -> None:
        """Break a stream off for a reason of ours, not the peer's."""
        if stream.id in self.streams:
            self._forget(stream)
            self.sender.append(frames.rst_stream_frame(stream.id, code))

    def reset(self, stream_id: int, code: int) -> None:
        """Reset a stream for the peer's mistake: it counts (CVE-2025-8671)."""
        self._guard.spend_reset("made to reset too many streams")
        self.sender.append(frames.rst_stream_frame(stream_id, code))
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._drop(stream)
        self._guard.remember_reset(stream_id)

    def announce_shutdown(self) -> None:
        """Tell the peer to open no more streams; those under way are still taken (6.8)."""
        self.sender.append(frames.goaway_frame(frames.STREAM_ID_MAX, codes.NO_ERROR))

    def shut_down(self) -> None:
        """Take no streams above the highest so far."""
        self._last_accepted = self.highest_stream_id
        self.sender.append(frames.goaway_frame(self.highest_stream_id, codes.NO_ERROR))

    def drop_all(self) -> None:
        """Let go of every stream: the connection is over."""
        for stream in list(self.streams.values()):
            self._drop(stream)

    def release(self) -> None:
        """Let go of every stream, and of the sink that holds this connection: it is gone.

        Without that the two would stay in memory until the collector finds them.
        """
        self.drop_all()
        self._sink = cast("Sink", None)

    # --- bookkeeping ----------------------------------------------------------------------------

    def _drop(self, stream: Stream) -> None:
        self._forget(stream)
        self._sink.on_reset(stream)

    def _forget(self, stream: Stream) -> None:
        self.streams.pop(stream.id, None)
        self.sender.withdraw(stream)
        stream.release()
        self._receiver.release(stream)
        self._guard.remember_reset(stream.id)

    def _check_not_idle(self, stream_id: int, what: str) -> None:
        if not stream_id & 1 or stream_id > self.highest_stream_id:
            raise ConnectionFault(codes.PROTOCOL_ERROR, f"{what} on an idle stream")

    _handlers: ClassVar[dict[int, Handler]] = {
        frames.DATA: _on_data,
        frames.HEADERS: _on_headers,
        frames.RST_STREAM: _on_rst_stream,
        frames.WINDOW_UPDATE: _on_window_update,
        frames.CONTINUATION: _on_continuation,
        frames.SETTINGS: _on_settings,
        OTHER: lambda self, *of: self._control.on_unknown(*of),
        frames.PUSH_PROMISE: lambda self, *of: self._control.on_push_promise(*of),
        frames.PING: lambda self, *of: self._control.on_ping(*of),
        frames.GOAWAY: lambda self, *of: self._control.on_goaway(*of),
        frames.PRIORITY: lambda self, *of: self._control.on_priority(
            *of, highest_stream_id=self.highest_stream_id
        ),
        frames.PRIORITY_UPDATE: lambda self, *of: self._control.on_priority_update(
            *of, highest_stream_id=self.highest_stream_id
        ),
    }
