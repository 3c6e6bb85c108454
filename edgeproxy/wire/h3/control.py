"""The peer's control stream: SETTINGS, GOAWAY, pushes, priorities (RFC 9114 section 7, RFC 9218).

None of its frames carries a request; all of them are cheap to send, so each takes from the guard's
budget before it is looked at. What is kept is at most one unfinished frame.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Final

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.h2.priority import parse_priority
from edgeproxy.wire.h2.streams import lane_of
from edgeproxy.wire.h3 import codes, frames
from edgeproxy.wire.h3.guard import Guard
from edgeproxy.wire.h3.sending import Sender
from edgeproxy.wire.h3.settings import parse_settings
from edgeproxy.wire.h3.streams import Stream
from edgeproxy.wire.limits import Limits

# Priorities for streams that are not open yet (RFC 9218 section 7.2 lets us bound them).
EARLY_PRIORITIES_MAX: Final = 100
# Frames that we know are a few octets; HTTP/2's may have as many.
FRAME_BYTES_MAX: Final = 16 * 1024
# How far ahead of its requests a peer may name one: how many streams QUIC permits is not seen here,
# but it permits no more than the limit beyond those that ended (RFC 9218 section 7.2).
STREAMS_AHEAD: Final = 2

_OF_REQUESTS: Final = frozenset({frames.DATA, frames.HEADERS, frames.PUSH_PROMISE})


class Control:
    """Handles the control stream's frames.

    `early_lanes` are priorities that came before their streams; `Connection` takes them from there,
    and sets `highest_stream_id`. `is_settled` tells that SETTINGS came.
    """

    __slots__ = (
        "_guard",
        "_limits",
        "_pending",
        "_push_goaway",
        "_push_id_max",
        "_sender",
        "_skipped",
        "_streams",
        "early_lanes",
        "highest_stream_id",
        "is_settled",
    )

    def __init__(
        self, limits: Limits, guard: Guard, *, sender: Sender, streams: dict[int, Stream]
    ) -> None:
        self._limits = limits
        self._guard = guard
        self._sender = sender
        self._streams = streams
        self.early_lanes: dict[int, int] = {}
        self.highest_stream_id = -4
        self.is_settled = False
        self._pending = b""
        self._skipped = 0  # octets of an unknown frame that are still to come
        self._push_id_max = -1
        self._push_goaway = 2**62

    def receive(self, data: bytes) -> None:
        """Take the stream's next data."""
        data, at = self._pending + data, 0
        while True:
            skipped = min(self._skipped, len(data) - at)
            self._skipped -= skipped
            at += skipped
            kind, start = frames.read_integer(data, at)
            length, start = frames.read_integer(data, start) if start > 0 else (0, -1)
            if start < 0:
                break
            handler = self._handler_of(kind)
            if handler is None:
                self._guard.spend_control("flood of unknown frames")
                self._skipped, at = length, start
                continue
            if length > FRAME_BYTES_MAX:
                raise ConnectionFault(codes.EXCESSIVE_LOAD, "control frame over 16384 octets")
            if start + length > len(data):
                break
            at = start + length
            handler(self, data[start:at])
        self._pending = data[at:]

    def _handler_of(self, kind: int) -> Callable[[Any, bytes], None] | None:
        """Check that a frame may come now; None for one to ignore (section 9)."""
        if not self.is_settled and kind != frames.SETTINGS:
            raise ConnectionFault(codes.MISSING_SETTINGS, "first frame is not SETTINGS")
        if kind in frames.OF_HTTP2 or kind in _OF_REQUESTS:
            raise ConnectionFault(codes.FRAME_UNEXPECTED, f"frame {kind:#x} on the control stream")
        return self._handlers.get(kind)

    def _on_settings(self, payload: bytes) -> None:
        if self.is_settled:
            raise ConnectionFault(codes.FRAME_UNEXPECTED, "second SETTINGS")
        parse_settings(payload, self._limits.settings_per_frame_max)
        self.is_settled = True

    def _on_goaway(self, payload: bytes) -> None:
        """Take GOAWAY (section 5.2): it concerns pushes, and we make none."""
        self._guard.spend_control("GOAWAY flood")
        push_id = _only_integer(payload)
        if push_id > self._push_goaway:
            raise ConnectionFault(codes.ID_ERROR, "GOAWAY of a larger push than before")
        self._push_goaway = push_id

    def _on_max_push_id(self, payload: bytes) -> None:
        self._guard.spend_control("MAX_PUSH_ID flood")
        push_id = _only_integer(payload)
        if push_id < self._push_id_max:
            raise ConnectionFault(codes.ID_ERROR, "MAX_PUSH_ID smaller than before")
        self._push_id_max = push_id

    def _on_cancel_push(self, payload: bytes) -> None:
        _only_integer(payload)
        raise ConnectionFault(codes.ID_ERROR, "CANCEL_PUSH of what was never promised")

    def _on_priority_update(self, payload: bytes) -> None:
        """Take PRIORITY_UPDATE, for an open stream or one to come (RFC 9218 section 7.2)."""
        self._guard.spend_control("PRIORITY_UPDATE flood")
        target, at = frames.read_integer(payload, 0)
        if at < 0:
            raise ConnectionFault(codes.FRAME_ERROR, "PRIORITY_UPDATE of nothing")
        ahead = 4 * STREAMS_AHEAD * self._limits.concurrent_streams_max
        if target & 3 or target > self.highest_stream_id + ahead:
            raise ConnectionFault(codes.ID_ERROR, "PRIORITY_UPDATE of no request stream")
        stream = self._streams.get(target)
        if stream is not None:
            self._sender.move(stream, lane_of(parse_priority(payload[at:])))
            return
        # The stream may be over, or its first octets may be late: a hint that nobody asks for
        # goes when there are too many.
        self.early_lanes.pop(target, None)
        if len(self.early_lanes) >= EARLY_PRIORITIES_MAX:
            del self.early_lanes[next(iter(self.early_lanes))]
        self.early_lanes[target] = lane_of(parse_priority(payload[at:]))

    def _on_priority_update_of_push(self, _payload: bytes) -> None:
        raise ConnectionFault(codes.ID_ERROR, "PRIORITY_UPDATE of what was never promised")

    _handlers: ClassVar[dict[int, Callable[[Any, bytes], None]]] = {
        frames.SETTINGS: _on_settings,
        frames.GOAWAY: _on_goaway,
        frames.MAX_PUSH_ID: _on_max_push_id,
        frames.CANCEL_PUSH: _on_cancel_push,
        frames.PRIORITY_UPDATE: _on_priority_update,
        frames.PRIORITY_UPDATE_OF_PUSH: _on_priority_update_of_push,
    }


def _only_integer(payload: bytes) -> int:
    """Return the integer that is all of a payload (section 7.1)."""
    value, at = frames.read_integer(payload, 0)
    if at != len(payload):
        raise ConnectionFault(codes.FRAME_ERROR, "frame of another length than its integer")
    return value
