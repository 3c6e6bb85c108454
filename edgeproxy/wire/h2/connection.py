"""The server side of an HTTP/2 connection, without I/O (RFC 9113, RFC 9218).

`receive` takes bytes and calls a `Sink`; what is to be sent collects in `sender.out`. The caller
passes a monotonic `now`, which only the rate limits read. Push is never used (section 8.4).

A peer's mistake on the connection ends it with GOAWAY (`is_failed` is then true and further input
is ignored), one on a stream ends that stream with RST_STREAM. Frames that are cheap to send and
cost us work draw from token buckets; an empty one ends the connection with ENHANCE_YOUR_CALM.
"""

from collections.abc import Callable
from typing import ClassVar, Protocol

from edgeproxy.errors import ConnectionFault, StreamFault
from edgeproxy.wire.h2 import codes, frames
from edgeproxy.wire.h2.field_blocks import FieldBlock, unpadded
from edgeproxy.wire.h2.guard import Guard
from edgeproxy.wire.h2.hpack import TABLE_UNUSED, Decoder, Field, FieldSectionTooLarge
from edgeproxy.wire.h2.priority import parse_priority
from edgeproxy.wire.h2.requests import RequestHead, parse_request, parse_trailers
from edgeproxy.wire.h2.sending import Sender
from edgeproxy.wire.h2.settings import parse_settings
from edgeproxy.wire.h2.streams import Stream, lane_of
from edgeproxy.wire.limits import Limits

# What all streams together may send us before we take it: 16 full stream windows.
CONNECTION_WINDOW_IN = 1024 * 1024
# Priorities for streams that are not open yet (RFC 9218 section 7.1 lets us bound them).
EARLY_PRIORITIES_MAX = 100
TABLE_SIZE = 4096


class Sink(Protocol):
    """What the connection tells its listener."""

    def on_request(self, stream: Stream, head: RequestHead) -> None:
        """A request's field section is complete; content follows unless `is_remote_ended`."""

    def on_too_large(self, stream: Stream) -> None:
        """A request's field section passed the limits; nothing of it was kept."""

    def on_content(self, stream: Stream, data: bytes) -> None:
        """Content of a request; `credit` it once it is used. The end is in `is_remote_ended`."""

    def on_reset(self, stream: Stream) -> None:
        """The stream is gone, by the peer's or our doing: stop working for it."""


class Connection:
    """One connection; see the module's docstring."""

    __slots__ = (
        "_block",
        "_credit",
        "_decoder",
        "_early_priorities",
        "_guard",
        "_is_greeted",
        "_is_settled",
        "_last_accepted",
        "_limits",
        "_no_rfc7540",
        "_pending",
        "_scheme",
        "_sink",
        "_window_in",
        "fault",
        "highest_stream_id",
        "requests",
        "sender",
        "streams",
    )

    def __init__(self, sink: Sink, limits: Limits, *, scheme: bytes = b"https") -> None:
        self._sink = sink
        self._limits = limits
        self._scheme = scheme
        self.sender = Sender()
        self.streams: dict[int, Stream] = {}
        self.highest_stream_id = 0
        self.requests = 0
        self.fault: ConnectionFault | None = None
        self._decoder = Decoder(
            table_size_max=TABLE_SIZE,
            field_section_bytes_max=limits.field_section_bytes_max,
            fields_max=limits.fields_max,
        )
        self._pending = b""
        self._is_greeted = self._is_settled = False
        self._block = FieldBlock(limits)
        self._guard = Guard(limits)
        self._window_in = CONNECTION_WINDOW_IN
        self._credit = 0
        self._early_priorities: dict[int, bytes] = {}
        self._last_accepted = frames.STREAM_ID_MAX
        self._no_rfc7540: int | None = None
        self._greet()

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
            + frames.window_update_frame(0, CONNECTION_WINDOW_IN - frames.WINDOW_DEFAULT)
        )

    @property
    def is_failed(self) -> bool:
        """Whether the connection ended by a fault; only what is in `out` may still be sent."""
        return self.fault is not None

    @property
    def is_mid_block(self) -> bool:
        """Whether a preface or a field block is begun and unfinished: a deadline runs on it."""
        return not self._is_settled or self._block.stream_id != 0

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes of the peer."""
        if self.fault is not None:
            return
        self._guard.now = now
        if self._pending:
            data = self._pending + data
        try:
            at = 0 if self._is_greeted else self._take_preface(data)
            self._pending = data[self._take_frames(data, at) :]
        except ConnectionFault as fault:
            self.fail(fault)

    def fail(self, fault: ConnectionFault) -> None:
        """End the connection with GOAWAY; every stream is told."""
        self.fault = fault
        self._pending = b""
        self.sender.append(frames.goaway_frame(self.highest_stream_id, fault.code, fault.reason))
        for stream in list(self.streams.values()):
            self._drop(stream)

    def _take_preface(self, data: bytes) -> int:
        size = len(frames.PREFACE)
        if data[:size] != frames.PREFACE[: len(data)]:
            raise ConnectionFault(codes.PROTOCOL_ERROR, "bad connection preface")
        if len(data) < size:
            return 0
        self._is_greeted = True
        return size

    def _take_frames(self, data: bytes, at: int) -> int:
        """Handle every whole frame from `at` on; return where the unfinished one begins."""
        size = len(data) if self._is_greeted else 0
        handlers, unknown = self._handlers, Connection._on_unknown
        while size - at >= frames.HEADER_BYTES:
            length = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            if length > frames.FRAME_BYTES_MAX:
                raise ConnectionFault(codes.FRAME_SIZE_ERROR, "frame over 16384 bytes")
            start = at + frames.HEADER_BYTES
            end = start + length
            if end > size:
                break
            kind = data[at + 3]
            if self._block.stream_id:
                if kind != frames.CONTINUATION:
                    raise ConnectionFault(codes.PROTOCOL_ERROR, "field block interrupted")
            elif not self._is_settled and kind != frames.SETTINGS:
                raise ConnectionFault(codes.PROTOCOL_ERROR, "first frame is not SETTINGS")
            stream_id = int.from_bytes(data[at + 5 : start], "big") & frames.STREAM_ID_MAX
            handler = handlers.get(kind, unknown)
            try:
                handler(self, data[at + 4], stream_id, data[start:end])
            except StreamFault as fault:
                self.reset(fault.stream_id, fault.code)
            at = end
        return at

    # --- frames that carry requests -------------------------------------------------------------

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id & 1:
            raise ConnectionFault(codes.PROTOCOL_ERROR, "HEADERS on a stream not of the client's")
        if flags & (frames.PADDED | frames.PRIORITIZED):
            if flags & frames.PADDED:
                payload = unpadded(payload)
            if flags & frames.PRIORITIZED:
                self._check_dependency(stream_id, payload[:5])
                payload = payload[5:]
        if flags & frames.END_HEADERS:
            self._on_field_block(stream_id, payload, flags)
            return
        self._guard.count_empty(payload)
        self._block.begin(stream_id, flags, payload)

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._guard.count_empty(payload)
        self._block.extend(stream_id, payload)
        if flags & frames.END_HEADERS:
            self._on_field_block(stream_id, self._block.end(), self._block.flags)

    def _check_dependency(self, stream_id: int, payload: bytes) -> None:
        """Check the RFC 7540 priority; its meaning is ignored (RFC 9113 section 5.3.2)."""
        if len(payload) < 5:
            raise ConnectionFault(codes.FRAME_SIZE_ERROR, "priority of less than 5 bytes")
        if int.from_bytes(payload[:4], "big") & frames.STREAM_ID_MAX == stream_id:
            raise StreamFault(stream_id, codes.PROTOCOL_ERROR, "stream depends on itself")

    def _on_field_block(self, stream_id: int, block: bytes, flags: int) -> None:
        """Take a whole field block: it is decoded in every case, the table is the connection's."""
        try:
            fields = self._decoder.decode(block)
        except FieldSectionTooLarge:
            fields = None
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._on_trailers(stream, fields, flags)
        elif stream_id > self.highest_stream_id:
            self._open(stream_id, fields, flags)
        elif not self._guard.was_reset(stream_id):
            raise ConnectionFault(codes.STREAM_CLOSED, "HEADERS on a closed stream")

    def _open(self, stream_id: int, fields: list[Field] | None, flags: int) -> None:
        self.highest_stream_id = stream_id
        if stream_id > self._last_accepted or (
            len(self.streams) >= self._limits.concurrent_streams_max
        ):
            raise StreamFault(stream_id, codes.REFUSED_STREAM, "one stream too many")
        stream = Stream(
            stream_id, self.sender.initial_window, self._limits.request_body_buffer_bytes
        )
        stream.is_remote_ended = bool(flags & frames.END_STREAM)
        self.requests += 1
        self._guard.earn_request()
        if fields is None:
            self.streams[stream_id] = stream
            self._sink.on_too_large(stream)
            return
        head = parse_request(fields, stream_id=stream_id, scheme=self._scheme)
        if stream.is_remote_ended and head.content_length:
            raise StreamFault(stream_id, codes.PROTOCOL_ERROR, "content-length without content")
        stream.content_length = head.content_length
        priority = self._early_priorities.pop(stream_id, None) or head.priority_value
        if priority is not None:
            stream.lane = lane_of(parse_priority(priority))
        self.streams[stream_id] = stream
        self._sink.on_request(stream, head)

    def _on_trailers(self, stream: Stream, fields: list[Field] | None, flags: int) -> None:
        """Check trailers and let them end the content; they are not forwarded."""
        if stream.is_remote_ended:
            raise StreamFault(stream.id, codes.STREAM_CLOSED, "HEADERS after END_STREAM")
        if not flags & frames.END_STREAM:
            raise StreamFault(stream.id, codes.PROTOCOL_ERROR, "trailers without END_STREAM")
        if fields is not None:
            parse_trailers(fields, stream_id=stream.id)
        self._end_content(stream)
        self._sink.on_content(stream, b"")

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        if not stream_id:
            raise ConnectionFault(codes.PROTOCOL_ERROR, "DATA on stream 0")
        self._window_in -= size
        if self._window_in < 0:
            raise ConnectionFault(codes.FLOW_CONTROL_ERROR, "DATA over the connection's window")
        stream = self.streams.get(stream_id)
        if stream is None or stream.is_remote_ended:
            self._on_stray_data(stream_id, size)
            return
        stream.window_in -= size
        if stream.window_in < 0:
            self._credit_connection(size)
            raise StreamFault(stream_id, codes.FLOW_CONTROL_ERROR, "DATA over the stream's window")
        data = unpadded(payload) if flags & frames.PADDED else payload
        is_end = bool(flags & frames.END_STREAM)
        if not is_end:
            self._guard.count_empty(data)
        stream.received_bytes += len(data)
        if size > len(data):
            self.credit(stream, size - len(data))
        expected = stream.content_length
        if expected is not None and stream.received_bytes > expected:
            self._credit_connection(len(data))
            raise StreamFault(stream_id, codes.PROTOCOL_ERROR, "more content than content-length")
        if is_end:
            self._end_content(stream)
        if data or is_end:
            self._sink.on_content(stream, data)

    def _on_stray_data(self, stream_id: int, size: int) -> None:
        """Take DATA that no stream waits for: its bytes still count (section 6.9)."""
        self._credit_connection(size)
        if stream_id > self.highest_stream_id:
            raise ConnectionFault(codes.PROTOCOL_ERROR, "DATA on an idle stream")
        if not self._guard.was_reset(stream_id):
            raise StreamFault(stream_id, codes.STREAM_CLOSED, "DATA on a closed stream")

    def _end_content(self, stream: Stream) -> None:
        """Mark the request as whole (section 8.1.1: the sum must match)."""
        expected = stream.content_length
        if expected is not None and stream.received_bytes != expected:
            raise StreamFault(stream.id, codes.PROTOCOL_ERROR, "less content than content-length")
        stream.is_remote_ended = True

    # --- frames about streams and the connection ------------------------------------------------

    def _on_priority(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            raise ConnectionFault(codes.PROTOCOL_ERROR, "PRIORITY on stream 0")
        self._guard.spend_control("PRIORITY flood")
        if len(payload) != 5:
            raise StreamFault(stream_id, codes.FRAME_SIZE_ERROR, "PRIORITY is not of 5 bytes")
        self._check_dependency(stream_id, payload)

    def _on_rst_stream(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(codes.FRAME_SIZE_ERROR, "RST_STREAM is not of 4 bytes")
        self._check_not_idle(stream_id, "RST_STREAM")
        stream = self.streams.get(stream_id)
        if stream is None:
            self._guard.spend_control("RST_STREAM on closed streams")
            return
        self._guard.spend_reset("rapid reset")
        self._drop(stream)

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(codes.PROTOCOL_ERROR, "SETTINGS on a stream")
        self._guard.spend_control("SETTINGS flood")
        if flags & frames.ACK:
            if payload:
                raise ConnectionFault(codes.FRAME_SIZE_ERROR, "SETTINGS acknowledgement not empty")
            if not self._is_settled:
                raise ConnectionFault(codes.PROTOCOL_ERROR, "first frame is an acknowledgement")
            return
        for identifier, value in parse_settings(payload, self._limits.settings_per_frame_max):
            self._apply_setting(identifier, value)
        self._is_settled = True
        self.sender.append(frames.SETTINGS_ACK_FRAME)

    def _apply_setting(self, identifier: int, value: int) -> None:
        if identifier == frames.SETTINGS_INITIAL_WINDOW_SIZE:
            self.sender.resize(list(self.streams.values()), value)
        elif identifier == frames.SETTINGS_HEADER_TABLE_SIZE and value < TABLE_SIZE:
            # We never use the table, but a peer that shrinks it must be told so (RFC 7541 4.2).
            self.sender.prefix = TABLE_UNUSED
        elif identifier == frames.SETTINGS_NO_RFC7540_PRIORITIES:
            if self._no_rfc7540 not in (None, value) or (self._is_settled and value):
                raise ConnectionFault(codes.PROTOCOL_ERROR, "priority setting changed")
            self._no_rfc7540 = value

    def _on_push_promise(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise ConnectionFault(codes.PROTOCOL_ERROR, "PUSH_PROMISE from a client")

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(codes.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise ConnectionFault(codes.FRAME_SIZE_ERROR, "PING is not of 8 bytes")
        self._guard.spend_control("PING flood")
        if not flags & frames.ACK:
            self.sender.append(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _on_goaway(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(codes.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise ConnectionFault(codes.FRAME_SIZE_ERROR, "GOAWAY of less than 8 bytes")
        self._guard.spend_control("GOAWAY flood")

    def _on_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(codes.FRAME_SIZE_ERROR, "WINDOW_UPDATE is not of 4 bytes")
        increment = int.from_bytes(payload, "big") & frames.WINDOW_MAX
        self._guard.spend_update("WINDOW_UPDATE flood", self.sender.sent_bytes)
        if not stream_id:
            self.sender.widen(increment)
            return
        self._check_not_idle(stream_id, "WINDOW_UPDATE")
        stream = self.streams.get(stream_id)
        if stream is not None:
            self.sender.widen_stream(stream, increment)

    def _on_priority_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(codes.PROTOCOL_ERROR, "PRIORITY_UPDATE on a stream")
        if len(payload) < 4:
            raise ConnectionFault(codes.FRAME_SIZE_ERROR, "PRIORITY_UPDATE of less than 4 bytes")
        self._guard.spend_control("PRIORITY_UPDATE flood")
        target = int.from_bytes(payload[:4], "big") & frames.STREAM_ID_MAX
        if not target & 1:
            raise ConnectionFault(codes.PROTOCOL_ERROR, "PRIORITY_UPDATE of no request stream")
        stream = self.streams.get(target)
        if stream is not None:
            self.sender.move(stream, lane_of(parse_priority(payload[4:])))
        elif target > self.highest_stream_id:
            if len(self._early_priorities) >= EARLY_PRIORITIES_MAX:
                del self._early_priorities[next(iter(self._early_priorities))]
            self._early_priorities[target] = payload[4:]

    def _on_unknown(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        """Ignore a frame of an unknown type (section 5.5), at a bounded rate."""
        self._guard.spend_control("flood of unknown frames")

    # --- what the listener asks for -------------------------------------------------------------

    def credit(self, stream: Stream, size: int) -> None:
        """Give back window for `size` bytes of request content that were used."""
        stream.credit += size
        if not stream.is_remote_ended and (
            stream.credit * 2 >= self._limits.request_body_buffer_bytes
        ):
            self.sender.append(frames.window_update_frame(stream.id, stream.credit))
            stream.window_in += stream.credit
            stream.credit = 0
        self._credit_connection(size)

    def _credit_connection(self, size: int) -> None:
        self._credit += size
        if self._credit * 2 >= CONNECTION_WINDOW_IN:
            self.sender.append(frames.window_update_frame(0, self._credit))
            self._window_in += self._credit
            self._credit = 0

    def finished(self, stream: Stream) -> None:
        """Close a stream whose response is framed whole; unread content is refused (8.1)."""
        if stream.is_remote_ended:
            self.streams.pop(stream.id, None)
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

    # --- bookkeeping ----------------------------------------------------------------------------

    def _drop(self, stream: Stream) -> None:
        self._forget(stream)
        self._sink.on_reset(stream)

    def _forget(self, stream: Stream) -> None:
        self.streams.pop(stream.id, None)
        self.sender.withdraw(stream)
        stream.release()
        self._guard.remember_reset(stream.id)

    def _check_not_idle(self, stream_id: int, what: str) -> None:
        if not stream_id or not stream_id & 1 or stream_id > self.highest_stream_id:
            raise ConnectionFault(codes.PROTOCOL_ERROR, f"{what} on an idle stream")

    _handlers: ClassVar[dict[int, Callable[["Connection", int, int, bytes], None]]] = {
        frames.DATA: _on_data,
        frames.HEADERS: _on_headers,
        frames.PRIORITY: _on_priority,
        frames.RST_STREAM: _on_rst_stream,
        frames.SETTINGS: _on_settings,
        frames.PUSH_PROMISE: _on_push_promise,
        frames.PING: _on_ping,
        frames.GOAWAY: _on_goaway,
        frames.WINDOW_UPDATE: _on_window_update,
        frames.CONTINUATION: _on_continuation,
        frames.PRIORITY_UPDATE: _on_priority_update,
    }
