"""Frames about the connection: SETTINGS, PING, GOAWAY, priorities (RFC 9113 section 6, RFC 9218).

None of them carries a request; all of them are cheap to send, so each takes from the guard's
budget for control frames before it is looked at. Priorities of RFC 7540 are checked and ignored
(section 5.3.2).
"""

from edgeproxy.errors import ConnectionFault, StreamFault
from edgeproxy.wire.h2 import codes, frames
from edgeproxy.wire.h2.guard import Guard
from edgeproxy.wire.h2.hpack import TABLE_UNUSED
from edgeproxy.wire.h2.priority import parse_priority
from edgeproxy.wire.h2.receiving import Receiver
from edgeproxy.wire.h2.sending import Sender
from edgeproxy.wire.h2.settings import parse_settings
from edgeproxy.wire.h2.streams import Stream, lane_of
from edgeproxy.wire.limits import Limits

# Priorities for streams that are not open yet (RFC 9218 section 7.1 lets us bound them).
EARLY_PRIORITIES_MAX = 100
TABLE_SIZE = 4096


class Control:
    """Handles what belongs to no stream's message.

    `early_lanes` are priorities that came before their streams; `Connection` takes them from there.
    """

    __slots__ = (
        "_guard",
        "_is_acknowledged",
        "_limits",
        "_no_rfc7540",
        "_receiver",
        "_sender",
        "_streams",
        "early_lanes",
    )

    def __init__(
        self,
        limits: Limits,
        guard: Guard,
        *,
        sender: Sender,
        receiver: Receiver,
        streams: dict[int, Stream],
    ) -> None:
        self._limits = limits
        self._guard = guard
        self._sender = sender
        self._receiver = receiver
        self._streams = streams
        self.early_lanes: dict[int, int] = {}
        self._is_acknowledged = False
        self._no_rfc7540: int | None = None

    def on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Take SETTINGS (section 6.5)."""
        if stream_id:
            raise ConnectionFault(codes.PROTOCOL_ERROR, "SETTINGS on a stream")
        self._guard.spend_control("SETTINGS flood")
        if flags & frames.ACK:
            self._on_acknowledgement(payload)
            return
        pairs = parse_settings(payload, self._limits.settings_per_frame_max)
        for _ in range(len(pairs) - len({identifier for identifier, _ in pairs})):
            # each may change the window of every stream; whoever means it says it once
            self._guard.spend_control("settings said again and again")
        for identifier, value in pairs:
            self._apply(identifier, value)
        if self._no_rfc7540 is None:
            self._no_rfc7540 = 0  # the first SETTINGS decide, also by silence (RFC 9218, 2.1)
        self._sender.append(frames.SETTINGS_ACK_FRAME)

    def _on_acknowledgement(self, payload: bytes) -> None:
        if payload:
            raise ConnectionFault(codes.FRAME_SIZE_ERROR, "SETTINGS acknowledgement not empty")
        if self._no_rfc7540 is None:
            raise ConnectionFault(codes.PROTOCOL_ERROR, "first frame is an acknowledgement")
        if not self._is_acknowledged:
            self._is_acknowledged = True
            self._receiver.settle(self._streams.values())

    def _apply(self, identifier: int, value: int) -> None:
        if identifier == frames.SETTINGS_INITIAL_WINDOW_SIZE:
            self._sender.resize(list(self._streams.values()), value)
        elif identifier == frames.SETTINGS_HEADER_TABLE_SIZE and value < TABLE_SIZE:
            # We never use the table, but a peer that shrinks it must be told so (RFC 7541 4.2).
            self._sender.prefix = TABLE_UNUSED
        elif identifier == frames.SETTINGS_NO_RFC7540_PRIORITIES:
            if self._no_rfc7540 not in (None, value):
                raise ConnectionFault(codes.PROTOCOL_ERROR, "priority setting changed")
            self._no_rfc7540 = value

    def on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Answer PING (section 6.7)."""
        if stream_id:
            raise ConnectionFault(codes.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise ConnectionFault(codes.FRAME_SIZE_ERROR, "PING is not of 8 bytes")
        self._guard.spend_control("PING flood")
        if not flags & frames.ACK:
            self._sender.append(frames.frame(frames.PING, frames.ACK, 0, payload))

    def on_goaway(self, _flags: int, stream_id: int, payload: bytes) -> None:
        """Take GOAWAY (section 6.8): it concerns streams of ours, and we open none."""
        if stream_id:
            raise ConnectionFault(codes.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise ConnectionFault(codes.FRAME_SIZE_ERROR, "GOAWAY of less than 8 bytes")
        self._guard.spend_control("GOAWAY flood")

    def on_push_promise(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        """Refuse what a client must not send (section 8.4)."""
        raise ConnectionFault(codes.PROTOCOL_ERROR, "PUSH_PROMISE from a client")

    def on_unknown(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        """Ignore a frame of an unknown type (section 5.5), at a bounded rate."""
        self._guard.spend_control("flood of unknown frames")

    def on_priority(
        self, _flags: int, stream_id: int, payload: bytes, *, highest_stream_id: int
    ) -> None:
        """Check PRIORITY (section 6.3)."""
        if not stream_id:
            raise ConnectionFault(codes.PROTOCOL_ERROR, "PRIORITY on stream 0")
        self._guard.spend_control("PRIORITY flood")
        if len(payload) != 5:
            if stream_id > highest_stream_id or not stream_id & 1:  # idle: cannot be reset
                raise ConnectionFault(codes.FRAME_SIZE_ERROR, "PRIORITY is not of 5 bytes")
            raise StreamFault(stream_id, codes.FRAME_SIZE_ERROR, "PRIORITY is not of 5 bytes")
        check_dependency(stream_id, payload)

    def on_priority_update(
        self, _flags: int, stream_id: int, payload: bytes, *, highest_stream_id: int
    ) -> None:
        """Take PRIORITY_UPDATE, for an open stream or one to come (RFC 9218 section 7.1)."""
        if stream_id:
            raise ConnectionFault(codes.PROTOCOL_ERROR, "PRIORITY_UPDATE on a stream")
        if len(payload) < 4:
            raise ConnectionFault(codes.FRAME_SIZE_ERROR, "PRIORITY_UPDATE of less than 4 bytes")
        self._guard.spend_control("PRIORITY_UPDATE flood")
        target = int.from_bytes(payload[:4], "big") & frames.STREAM_ID_MAX
        if not target & 1:
            raise ConnectionFault(codes.PROTOCOL_ERROR, "PRIORITY_UPDATE of no request stream")
        stream = self._streams.get(target)
        if stream is not None:
            self._sender.move(stream, lane_of(parse_priority(payload[4:])))
        elif target > highest_stream_id:
            self.early_lanes.pop(target, None)
            if len(self.early_lanes) >= EARLY_PRIORITIES_MAX:
                del self.early_lanes[next(iter(self.early_lanes))]
            self.early_lanes[target] = lane_of(parse_priority(payload[4:]))


def check_dependency(stream_id: int, payload: bytes) -> None:
    """Check a priority of RFC 7540 section 5.3.1; its meaning is ignored.

    A stream that depends on itself ends the connection and not only the stream: a HEADERS frame
    that is not decoded would leave the compression state behind.
    """
    if len(payload) < 5:
        raise ConnectionFault(codes.FRAME_SIZE_ERROR, "priority of less than 5 bytes")
    if int.from_bytes(payload[:4], "big") & frames.STREAM_ID_MAX == stream_id:
        raise ConnectionFault(codes.PROTOCOL_ERROR, "stream depends on itself")
