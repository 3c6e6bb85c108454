"""One request stream of HTTP/3: its two halves and what is queued on it (RFC 9114 section 4.1).

A request that is answered at once never has an object: `Connection.streams` holds the others, from
their first octet until both halves are done with.
"""

from collections import deque
from typing import Final

from edgeproxy.wire.h2.streams import DEFAULT_LANE
from edgeproxy.wire.requests import RequestHead

# What the peer may send next: its field section, then content, then nothing behind trailers (4.1).
EXPECTS_HEAD: Final = 0
EXPECTS_CONTENT: Final = 1
EXPECTS_NOTHING: Final = 2


class Stream:
    """A stream whose request or response is under way.

    Incoming: `pending` is an unfinished frame, of which `left` octets are still to come if it is
    content or (`is_skipping`) of an unknown type; behind `has_fin` nothing follows, and
    `is_remote_ended` tells that it was all taken. `is_behind`: more is pending than one turn takes.
    `held` is a request that waits to see whether content follows. Of the octets that came
    in, `unused_bytes` were not given back yet, whether content or not.

    Outgoing: `head`, then `current[offset:]`, then `chunks`, of which each is one DATA frame;
    `queued_bytes` of content in all; references only, never copies. `trailers` is the field
    section that ends a final stream, b"" for none. `is_blocked` until the transport has room again.

    `exchange` belongs to the listener. `is_gone` when the connection has let go of it.
    """

    __slots__ = (
        "began",
        "chunks",
        "content_length",
        "current",
        "exchange",
        "expects",
        "has_fin",
        "head",
        "held",
        "id",
        "is_behind",
        "is_blocked",
        "is_final",
        "is_gone",
        "is_local_ended",
        "is_queued",
        "is_remote_ended",
        "is_skipping",
        "lane",
        "left",
        "offset",
        "pending",
        "queued_bytes",
        "received_bytes",
        "sent_bytes",
        "trailers",
        "unused_bytes",
    )

    def __init__(self, stream_id: int, now: float) -> None:
        self.id = stream_id
        self.began = now
        self.lane = DEFAULT_LANE
        self.expects = EXPECTS_HEAD
        self.pending = b""
        self.left = 0
        self.is_skipping = self.is_behind = False
        self.has_fin = False
        self.held: RequestHead | None = None
        self.is_remote_ended = False
        self.is_local_ended = False
        self.content_length: int | None = None
        self.received_bytes = 0
        self.unused_bytes = 0
        self.head = b""
        self.current: bytes | memoryview = b""
        self.offset = 0
        self.chunks: deque[bytes | memoryview] | None = None
        self.queued_bytes = 0
        self.is_final = False
        self.is_gone = False
        self.is_queued = False
        self.is_blocked = False
        self.sent_bytes = 0
        self.trailers = b""
        self.exchange: object | None = None

    @property
    def is_awaited(self) -> bool:
        """Whether its request is not complete enough to work on: that has a deadline."""
        return self.expects == EXPECTS_HEAD or self.held is not None

    @property
    def is_sendable(self) -> bool:
        """Whether something could be handed to the transport now."""
        if self.is_blocked:
            return False
        return (
            self.queued_bytes > 0 or self.head != b"" or (self.is_final and not self.is_local_ended)
        )

    def release(self) -> None:
        """Forget what is queued either way: the stream was reset, or is not read any more."""
        self.is_gone = self.is_local_ended = True
        self.head = self.pending = b""
        self.current = b""
        self.offset = self.queued_bytes = 0
        self.chunks = None
        self.held = None
