"""The server side of an HTTP/3 connection, without I/O (RFC 9114, RFC 9218).

Streams' data comes in by `received`, a `Sink` is called, and what is to be sent goes to the
`Transport`. The caller passes a monotonic `now`, which only rate limits and deadlines read. Push is
never used (section 4.6), and neither is a dynamic table of QPACK.

A peer's mistake on the connection ends it (`fault` is then set and further input is ignored), one
on a stream ends that stream, both halves of it. What is cheap to send and costs us work draws from
token buckets; an empty one ends the connection with H3_EXCESSIVE_LOAD.
"""

from collections.abc import Callable
from typing import Final, Protocol, cast

from edgeproxy.errors import ConnectionFault, StreamFault
from edgeproxy.wire.h2.hpack import FieldSectionTooLarge
from edgeproxy.wire.h2.priority import parse_priority
from edgeproxy.wire.h2.streams import DEFAULT_LANE, lane_of
from edgeproxy.wire.h3 import codes, frames, qpack
from edgeproxy.wire.h3.control import STREAMS_AHEAD, Control
from edgeproxy.wire.h3.guard import Guard
from edgeproxy.wire.h3.reading import RequestReader
from edgeproxy.wire.h3.sending import Sender
from edgeproxy.wire.h3.streams import EXPECTS_CONTENT, EXPECTS_HEAD, EXPECTS_NOTHING, Stream
from edgeproxy.wire.h3.transport import Transport
from edgeproxy.wire.h3.unidirectional import Unidirectional
from edgeproxy.wire.limits import Limits
from edgeproxy.wire.requests import (
    FIELDS_TOO_LARGE,
    TARGET_TOO_LONG,
    Field,
    MalformedRequest,
    RequestHead,
    parse_request,
    parse_trailers,
)

# A field section does not say whether content follows, and QUIC may bring the end of a stream
# later. Requests by these methods wait for one or the other: as a rule they have none.
_WITHOUT_CONTENT: Final = frozenset({b"GET", b"HEAD"})


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

    def on_behind(self, stream: Stream) -> None:
        """More came on a stream than one turn takes: call `go_on` in another one."""

    def on_reset(self, stream: Stream) -> None:
        """The stream is gone, by the peer's or our doing: stop working for it."""


class Connection(RequestReader):
    """One connection; see the module's docstring.

    `requests` counts those that were begun, `highest_stream_id` is the last of them. Their streams
    need not arrive in their order: `has_gaps` tells that some did not yet.
    """

    __slots__ = (
        "_control",
        "_control_stream_id",
        "_discarded",
        "_peer_streams",
        "_refused_from",
        "_scheme",
        "_sink",
        "_unseen",
        "fault",
        "requests",
        "sender",
        "streams",
    )

    def __init__(
        self, sink: Sink, transport: Transport, limits: Limits, *, scheme: bytes = b"https"
    ) -> None:
        super().__init__(transport, limits, Guard(limits))
        self._sink = sink
        self._scheme = scheme
        self.fault: ConnectionFault | None = None
        self.streams: dict[int, Stream] = {}
        self.requests = 0
        self.sender = Sender(transport)
        self._control = Control(limits, self._guard, sender=self.sender, streams=self.streams)
        self._peer_streams = Unidirectional(transport, self._guard, self._control)
        self._refused_from = frames.REQUEST_ID_MAX
        self._unseen: set[int] = set()  # below the highest, and nothing of them came yet
        self._discarded: set[int] = set()  # whose rest nobody wants; QUIC bounds them as well
        self._control_stream_id = transport.open_unidirectional()
        self._greet()

    def _greet(self) -> None:
        settings = (
            (frames.SETTINGS_MAX_FIELD_SECTION_SIZE, self._limits.field_section_bytes_max),
            (frames.SETTINGS_GREASE, 0),
        )  # no table and no blocked streams are the defaults (RFC 9204 section 5)
        greeting = frames.integer(frames.CONTROL_STREAM) + frames.settings_frame(settings)
        self._transport.send(self._control_stream_id, greeting)
        # SETTINGS and GOAWAY come before anything that is asked for
        self._transport.prioritise(self._control_stream_id, 0, incremental=False)

    @property
    def is_settled(self) -> bool:
        """Whether the peer's SETTINGS came."""
        return self._control.is_settled

    @property
    def highest_stream_id(self) -> int:
        """The highest request stream so far, -4 before the first one."""
        return self._control.highest_stream_id

    @property
    def has_gaps(self) -> bool:
        """Whether requests below the highest are still under way."""
        return bool(self._unseen)

    # --- what the transport tells ---------------------------------------------------------------

    def received(self, stream_id: int, data: bytes, now: float, *, end: bool) -> None:
        """Take a stream's next data."""
        self._guarded(now, self._on_data, stream_id, data, end)

    def go_on(self, stream: Stream, now: float) -> None:
        """Take the next portion of what a stream brought, after `on_behind`."""
        if not stream.is_gone:
            self._guarded(now, self._go_on, stream)

    def was_reset(self, stream_id: int, now: float) -> None:
        """Take the peer's RESET_STREAM."""
        self._guarded(now, self._on_was_reset, stream_id)

    def was_stopped(self, stream_id: int, now: float) -> None:
        """Take the peer's STOP_SENDING."""
        self._guarded(now, self._on_was_stopped, stream_id)

    def expire(self, now: float) -> None:
        """Turn away requests that take too long to be complete: nobody has worked on them."""
        patience = self._limits.headers_seconds
        for stream in list(self.streams.values()):
            if stream.is_awaited and not stream.is_behind and now - stream.began > patience:
                self._guarded(now, self.reset, stream.id, codes.REQUEST_REJECTED)

    def _guarded(self, now: float, work: Callable[..., None], *args: object) -> None:
        """Do what the peer asks for, as long as it makes no fault."""
        if self.fault is not None:
            return
        self._guard.now = now
        try:
            try:
                work(*args)
            except StreamFault as fault:
                self.reset(fault.stream_id, fault.code)
        except ConnectionFault as fault:
            self.fail(fault)

    def fail(self, fault: ConnectionFault) -> None:
        """End the connection, once; every stream is told."""
        if self.fault is not None:
            return
        self.fault = fault
        self._transport.close(fault.code, fault.reason)
        self.drop_all()

    # --- requests -------------------------------------------------------------------------------

    def _on_data(self, stream_id: int, data: bytes, end: bool) -> None:
        stream = self.streams.get(stream_id)
        if stream_id & 2:
            self._peer_streams.receive(stream_id, data, end=end)
        elif stream is not None:
            self._read(stream, data, end=end)
        elif not self._is_new(stream_id):
            self._transport.consumed(stream_id, len(data))
            if end:
                self._discarded.discard(stream_id)
        elif stream_id >= self._refused_from or (
            len(self.streams) >= self._limits.concurrent_streams_max
        ):
            self._transport.consumed(stream_id, len(data))
            self._turn_away(stream_id, codes.REQUEST_REJECTED, has_fin=end)
        else:
            self._guard.earn_request()
            if not end or not self._open_whole(stream_id, data):
                self._read(self._add(stream_id), data, end=end)

    def _is_new(self, stream_id: int) -> bool:
        """Whether nothing came on that stream before; streams may overtake one another."""
        highest = self._control.highest_stream_id
        if stream_id <= highest:
            if stream_id not in self._unseen:
                return False
            self._unseen.remove(stream_id)
        else:
            skipped = range(highest + 4, stream_id, 4)
            ahead = STREAMS_AHEAD * self._limits.concurrent_streams_max
            if len(skipped) + len(self._unseen) > ahead:
                raise ConnectionFault(codes.EXCESSIVE_LOAD, "requests far ahead of others")
            self._unseen.update(skipped)
            self._control.highest_stream_id = stream_id
        self.requests += 1
        return True

    def _turn_away(self, stream_id: int, code: int, *, has_fin: bool) -> None:
        """Reset a stream that never had an object."""
        self._guard.spend_reset("made to reset too many streams")
        self._transport.reset(stream_id, code)
        if not has_fin:
            self._discard(stream_id, code)

    def _discard(self, stream_id: int, code: int) -> None:
        """Refuse what still comes on a stream."""
        self._transport.stop(stream_id, code)
        self._discarded.add(stream_id)
        if len(self._discarded) > STREAMS_AHEAD * self._limits.concurrent_streams_max:
            self.fail(ConnectionFault(codes.EXCESSIVE_LOAD, "refused requests that never end"))

    def _open_whole(self, stream_id: int, data: bytes) -> bool:
        """Take a request that came as one frame and is no more than that; False if it is more."""
        length, start = frames.read_integer(data, 1)
        if data[:1] != b"\x01" or start < 0 or start + length != len(data):
            return False
        if length > self._limits.field_block_bytes_max:
            return False
        self._transport.consumed(stream_id, len(data))
        head = self._head_of(stream_id, data[start:])
        if isinstance(head, int):
            stream = self._add(stream_id)
            stream.has_fin = stream.is_remote_ended = True
            self._refuse_too_large(stream, head)
            return True
        if head.content_length:
            raise StreamFault(stream_id, codes.MESSAGE_ERROR, "content-length without content")
        lane = self._lane_of(stream_id, head)
        exchange = self._sink.on_whole_request(stream_id, head)
        if exchange is not None:
            stream = self._add(stream_id)
            stream.has_fin = stream.is_remote_ended = True
            stream.expects = EXPECTS_CONTENT
            stream.lane = lane
            stream.exchange = exchange
            self._sink.on_request(stream, head)
        return True

    def _head_of(self, stream_id: int, section: bytes) -> RequestHead | int:
        """Read a request's field section; the status of its refusal if it is over the limits."""
        limits = self._limits
        try:
            fields = qpack.decode(
                section,
                field_section_bytes_max=limits.field_section_bytes_max,
                fields_max=limits.fields_max,
            )
            head = parse_request(fields, self._scheme)
        except FieldSectionTooLarge:
            return FIELDS_TOO_LARGE
        except MalformedRequest as error:
            raise StreamFault(stream_id, codes.MESSAGE_ERROR, str(error)) from None
        return head if len(head.target) <= limits.target_bytes_max else TARGET_TOO_LONG

    def _lane_of(self, stream_id: int, head: RequestHead) -> int:
        """Return a request's priority, of which the transport is told (RFC 9218 sections 4, 7)."""
        lane = self._control.early_lanes.pop(stream_id, None)
        if lane is None:
            value = head.priority_value
            lane = DEFAULT_LANE if value is None else lane_of(parse_priority(value))
        self.sender.prioritise(stream_id, lane)
        return lane

    def _add(self, stream_id: int) -> Stream:
        stream = self.streams[stream_id] = Stream(stream_id, self._guard.now)
        return stream

    def _refuse_too_large(self, stream: Stream, status: int) -> None:
        stream.expects = EXPECTS_CONTENT
        self._guard.spend_reset("requests over the limits")
        self._sink.on_too_large(stream, status)

    def _on_large_section(self, stream: Stream, size: int) -> None:
        if stream.expects == EXPECTS_HEAD:
            self._refuse_too_large(stream, FIELDS_TOO_LARGE)
        else:
            self._on_trailers(stream, None)

    def _on_section(self, stream: Stream, section: bytes) -> None:
        if stream.expects == EXPECTS_CONTENT:
            self._on_trailers(stream, section)
            return
        head = self._head_of(stream.id, section)
        if isinstance(head, int):
            self._refuse_too_large(stream, head)
            return
        stream.expects = EXPECTS_CONTENT
        stream.lane = self._lane_of(stream.id, head)
        stream.content_length = head.content_length
        may_be_whole = head.method in _WITHOUT_CONTENT and not head.content_length
        if may_be_whole and all(name != b"expect" for name, _ in head.fields):
            stream.held = head
        else:
            self._sink.on_request(stream, head)

    def _on_trailers(self, stream: Stream, section: bytes | None) -> None:
        """Take trailers; those over the limits are as if there were none."""
        self._let_go(stream)
        stream.expects = EXPECTS_NOTHING
        limits, trailers = self._limits, list[Field]()
        try:
            if section is not None:
                fields = qpack.decode(
                    section,
                    field_section_bytes_max=limits.field_section_bytes_max,
                    fields_max=limits.fields_max,
                )
                trailers = parse_trailers(fields)
        except FieldSectionTooLarge:
            pass
        except MalformedRequest as error:
            raise StreamFault(stream.id, codes.MESSAGE_ERROR, str(error)) from None
        if trailers:
            self._sink.on_trailers(stream, trailers)

    def _on_content(self, stream: Stream, data: bytes) -> None:
        self._let_go(stream)
        stream.received_bytes += len(data)
        self._check_length(stream, is_end=False)
        self._sink.on_content(stream, data)

    def _let_go(self, stream: Stream) -> None:
        """Begin to work on a request that does have content."""
        if stream.held is not None:
            head, stream.held = stream.held, None
            self._sink.on_request(stream, head)

    def _on_end(self, stream: Stream) -> None:
        if stream.expects == EXPECTS_HEAD:
            raise StreamFault(stream.id, codes.REQUEST_INCOMPLETE, "end without a request")
        self._check_length(stream, is_end=True)
        stream.is_remote_ended = True
        head, stream.held = stream.held, None
        if head is None:
            self._sink.on_content(stream, b"")
            return
        stream.exchange = self._sink.on_whole_request(stream.id, head)
        if stream.exchange is None:
            self.streams.pop(stream.id)
        else:
            self._sink.on_request(stream, head)

    def _check_length(self, stream: Stream, *, is_end: bool) -> None:
        """Hold content against its content-length (section 4.1.2: the sum must match)."""
        expected, received = stream.content_length, stream.received_bytes
        if expected is not None and (received != expected if is_end else received > expected):
            raise StreamFault(stream.id, codes.MESSAGE_ERROR, "content is not of content-length")

    def _on_behind(self, stream: Stream) -> None:
        self._sink.on_behind(stream)

    # --- streams that end early -----------------------------------------------------------------

    def _on_was_reset(self, stream_id: int) -> None:
        if stream_id & 2:
            self._peer_streams.was_reset(stream_id)
            return
        stream = self.streams.get(stream_id)
        if stream is not None:
            stream.has_fin = True
            self._on_cancelled(stream)
        elif self._is_new(stream_id):
            self._turn_away(stream_id, codes.REQUEST_CANCELLED, has_fin=True)
        else:
            self._discarded.discard(stream_id)

    def _on_was_stopped(self, stream_id: int) -> None:
        if stream_id & 2:
            raise ConnectionFault(codes.CLOSED_CRITICAL_STREAM, "our control stream was stopped")
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._on_cancelled(stream)
        elif self._is_new(stream_id):
            self._turn_away(stream_id, codes.REQUEST_CANCELLED, has_fin=False)

    def _on_cancelled(self, stream: Stream) -> None:
        """Stop for a client that does not want the answer any more (section 4.1.1)."""
        self._guard.spend_reset("rapid reset")
        self._break(stream, codes.REQUEST_CANCELLED)
        self._sink.on_reset(stream)

    # --- what the listener asks for -------------------------------------------------------------

    def writable(self, stream_id: int) -> None:
        """Let a stream go on: the transport has room for it."""
        stream = self.streams.get(stream_id)
        if stream is not None:
            self.sender.unblock(stream)

    def finished(self, stream: Stream) -> None:
        """Close a stream whose response was sent whole; unread content is refused (4.1.1)."""
        if stream.is_gone:
            return
        self._forget(stream)
        if not stream.has_fin:
            self._discard(stream.id, codes.NO_ERROR)

    def abandon(self, stream: Stream, code: int) -> None:
        """Break a stream off for a reason of ours, not the peer's."""
        if not stream.is_gone:
            self._break(stream, code)

    def reset(self, stream_id: int, code: int) -> None:
        """Reset a stream for the peer's mistake: it counts (CVE-2025-8671)."""
        stream = self.streams.get(stream_id)
        if stream is None:
            self._turn_away(stream_id, code, has_fin=True)
            return
        self._guard.spend_reset("made to reset too many streams")
        self._break(stream, code)
        self._sink.on_reset(stream)

    def announce_shutdown(self) -> None:
        """Tell the peer to begin no more requests; those under way are still taken (5.2)."""
        self._transport.send(self._control_stream_id, frames.goaway_frame(frames.REQUEST_ID_MAX))

    def shut_down(self) -> None:
        """Take no requests above the highest so far."""
        self._refused_from = self.highest_stream_id + 4
        self._transport.send(self._control_stream_id, frames.goaway_frame(self._refused_from))

    def drop_all(self) -> None:
        """Let go of every stream: the connection is over."""
        for stream in list(self.streams.values()):
            self._forget(stream)
            self._sink.on_reset(stream)

    def release(self) -> None:
        """Let go of every stream, and of the sink that holds this connection: it is gone.

        Without that the two would stay in memory until the collector finds them.
        """
        self.drop_all()
        self._sink = cast("Sink", None)

    # --- bookkeeping ----------------------------------------------------------------------------

    def _break(self, stream: Stream, code: int) -> None:
        """Reset what we send on a stream, and refuse what the peer still sends."""
        self._forget(stream)
        self._transport.reset(stream.id, code)
        if not stream.has_fin:
            self._discard(stream.id, code)

    def _forget(self, stream: Stream) -> None:
        del self.streams[stream.id]
        self.sender.withdraw(stream)
        stream.release()
        self.credit(stream, stream.unused_bytes)
