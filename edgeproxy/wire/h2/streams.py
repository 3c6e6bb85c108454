"""One HTTP/2 stream: its two halves and what is queued on it (RFC 9113 section 5.1).

Idle and closed streams have no object: `Connection.streams` holds the open and half-closed ones.
"""

from collections import deque

from edgeproxy.wire.h2.priority import Priority


class Stream:
    """An open or half-closed stream.

    `window` is what we may still send on it, `window_in` what the peer may; both in bytes, `window`
    may be negative (section 6.9.2). Output is `current[offset:]`, then `chunks`, `queued_bytes` in
    all; references only, never copies. Of what came in, `unused_bytes` were not given back to the
    connection's window yet, and `credit` not to the stream's. `trailers` is the field block that
    ends a final stream, b"" for none. `exchange` belongs to the listener.
    """

    __slots__ = (
        "chunks",
        "content_length",
        "credit",
        "current",
        "exchange",
        "id",
        "id_bytes",
        "is_final",
        "is_local_ended",
        "is_queued",
        "is_remote_ended",
        "lane",
        "offset",
        "queued_bytes",
        "received_bytes",
        "sent_bytes",
        "trailers",
        "unused_bytes",
        "window",
        "window_in",
    )

    def __init__(self, stream_id: int, window: int, window_in: int) -> None:
        self.id = stream_id
        self.id_bytes = stream_id.to_bytes(4, "big")
        self.window = window
        self.window_in = window_in
        self.lane = DEFAULT_LANE
        self.is_remote_ended = False
        self.is_local_ended = False
        self.content_length: int | None = None
        self.received_bytes = 0
        self.credit = 0
        self.unused_bytes = 0
        self.current: bytes | memoryview = b""
        self.offset = 0
        self.chunks: deque[bytes | memoryview] | None = None
        self.queued_bytes = 0
        self.is_final = False
        self.is_queued = False
        self.sent_bytes = 0
        self.trailers = b""
        self.exchange: object | None = None

    @property
    def is_sendable(self) -> bool:
        """Whether DATA could go out now, the connection's window aside."""
        if self.queued_bytes:
            return self.window > 0
        return self.is_final and not self.is_local_ended

    def release(self) -> None:
        """Forget queued content: the stream was reset, and nothing is sent on it any more."""
        self.is_local_ended = True
        self.current = b""
        self.offset = self.queued_bytes = 0
        self.chunks = None


def lane_of(priority: Priority) -> int:
    """Return the sending lane: by urgency, and per urgency first the non-incremental ones."""
    return priority.urgency * 2 + priority.incremental


DEFAULT_LANE = lane_of(Priority())
LANES = 16
