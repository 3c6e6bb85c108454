"""The sending half of a connection: windows, order, DATA frames (RFC 9113 section 6.9, RFC 9218).

Frames are collected in `out`, a list of byte strings that the listener joins and encrypts; bodies
are in it by reference. Streams are served by urgency; within one urgency the non-incremental ones
each to its end, then the incremental ones in turns of one frame (RFC 9218 section 10). A stream
stands in its lane only while it can send: one blocked on its own window holds up nobody.
"""

from collections import deque

from edgeproxy.errors import ConnectionFault, StreamFault
from edgeproxy.wire.h2 import codes
from edgeproxy.wire.h2.frames import (
    END_STREAM,
    FRAME_BYTES_MAX,
    HEADER_BYTES,
    WINDOW_DEFAULT,
    WINDOW_MAX,
    field_block_frames,
)
from edgeproxy.wire.h2.prepared import PreparedResponse
from edgeproxy.wire.h2.streams import LANES, Stream

# A body up to here is framed at once when nothing waits and the windows allow it: eight frames are
# one write. Larger ones take turns.
STRAIGHT_BYTES_MAX = 8 * FRAME_BYTES_MAX
_FULL_FRAME = FRAME_BYTES_MAX.to_bytes(3, "big") + b"\0\0"


class Sender:
    """Turns responses into frames as far as windows and the caller's budget allow.

    `ended` lists the queued streams whose END_STREAM went out, `relieved` those that ran dry and
    wait for more content; the listener empties both. `sent_pieces` counts how often a queued
    stream had its turn.
    """

    __slots__ = (
        "_lanes",
        "_occupied",
        "ended",
        "initial_window",
        "is_held",
        "out",
        "out_bytes",
        "prefix",
        "relieved",
        "sent_bytes",
        "sent_pieces",
        "window",
    )

    def __init__(self) -> None:
        self.out: list[bytes | memoryview] = []
        self.out_bytes = 0
        self.window = WINDOW_DEFAULT
        self.initial_window = WINDOW_DEFAULT
        self.is_held = False
        self.prefix = b""
        self.ended: list[Stream] = []
        self.relieved: list[Stream] = []
        self.sent_bytes = self.sent_pieces = 0
        self._lanes: list[dict[int, Stream]] = [{} for _ in range(LANES)]
        self._occupied = 0  # bit n: lane n has a stream

    @property
    def has_queued(self) -> bool:
        """Whether a stream could send if the connection's window allowed it."""
        return self._occupied != 0

    def append(self, data: bytes) -> None:
        """Add control frames to the output."""
        self.out.append(data)
        self.out_bytes += len(data)

    def send_prepared(self, stream_id: int, prepared: PreparedResponse) -> bool:
        """Send a whole response on a stream that has no other business; False if it must queue.

        It goes at once when nothing else waits and both windows are wide enough.
        """
        size = prepared.size
        if (
            size > self.window
            or size > self.initial_window
            or size > STRAIGHT_BYTES_MAX
            or self._occupied
            or self.is_held
            or self.prefix
        ):
            return False
        ident = stream_id.to_bytes(4, "big")
        self.out_bytes += prepared.wire_bytes
        if not size:
            self.out.append(prepared.head + ident + prepared.block)
            return True
        append = self.out.append
        append(prepared.head + ident + prepared.block + ident)
        append(prepared.first)
        for head, piece in prepared.rest:
            append(head + ident)
            append(piece)
        self.window -= size
        self.sent_bytes += size
        return True

    def respond(self, stream: Stream, block: bytes, body: bytes | memoryview) -> bool:
        """Send a field section and queue a whole body; True when that is all there is."""
        if not body:
            self.start(stream, block, END_STREAM)
            stream.is_local_ended = True
            return True
        self.start(stream, block)
        stream.current, stream.queued_bytes = body, len(body)
        stream.is_final = True
        self.enqueue(stream)
        return False

    def start(self, stream: Stream, block: bytes, flags: int = 0) -> None:
        """Send a field section; content follows by `feed` unless END_STREAM is in `flags`."""
        if self.prefix:
            block, self.prefix = self.prefix + block, b""
        self.append(field_block_frames(stream.id, block, flags))

    def feed(self, stream: Stream, chunk: bytes | memoryview) -> None:
        """Queue content of a stream whose length is not known yet."""
        if not chunk:
            return
        stream.queued_bytes += len(chunk)
        if stream.offset >= len(stream.current):
            stream.current, stream.offset = chunk, 0
        elif stream.chunks is None:
            stream.chunks = deque((chunk,))
        else:
            stream.chunks.append(chunk)
        self.enqueue(stream)

    def finish(self, stream: Stream, trailers: bytes = b"") -> None:
        """Say that no content follows what was fed, only that field block if there is one."""
        stream.is_final = True
        stream.trailers = trailers
        self.enqueue(stream)

    def enqueue(self, stream: Stream) -> None:
        """Put a stream into its lane if it can send."""
        if not stream.is_queued and stream.is_sendable:
            stream.is_queued = True
            self._lanes[stream.lane][stream.id] = stream
            self._occupied |= 1 << stream.lane

    def withdraw(self, stream: Stream) -> None:
        """Take a stream out of its lane: it is reset, dry or blocked."""
        if stream.is_queued:
            stream.is_queued = False
            lane = self._lanes[stream.lane]
            del lane[stream.id]
            if not lane:
                self._occupied &= ~(1 << stream.lane)

    def move(self, stream: Stream, lane: int) -> None:
        """Give a stream another priority (RFC 9218 section 7.1)."""
        self.withdraw(stream)
        stream.lane = lane
        self.enqueue(stream)

    def pump(self, budget: int) -> None:
        """Frame up to `budget` bytes of queued content, in the order of the priorities."""
        while self._occupied:
            number = (self._occupied & -self._occupied).bit_length() - 1
            lane = self._lanes[number]
            stream = next(iter(lane.values()))
            allowed = min(budget, self.window, stream.window)
            if allowed <= 0:
                if stream.queued_bytes:
                    return
                allowed = 0  # END_STREAM alone needs no window, not even one that is not negative
            if number & 1:
                allowed = min(allowed, FRAME_BYTES_MAX)
            budget -= self._send(stream, allowed)
            if not stream.is_sendable:
                self._settle(stream)
            elif number & 1:
                del lane[stream.id]
                lane[stream.id] = stream

    def _settle(self, stream: Stream) -> None:
        """Note why a stream left its lane: it ended, or it ran dry, or its window is used up."""
        self.withdraw(stream)
        if stream.is_local_ended:
            self.ended.append(stream)
        elif not stream.queued_bytes:
            self.relieved.append(stream)

    def _send(self, stream: Stream, allowed: int) -> int:
        """Frame up to `allowed` bytes of one stream and return how many went out."""
        out, ident, sent = self.out, stream.id_bytes, 0
        while True:
            current, offset = stream.current, stream.offset
            size = len(current) - offset
            if size <= 0 and stream.chunks:
                stream.current, stream.offset = stream.chunks.popleft(), 0
                continue
            if (full := (min(size - 1, allowed - sent)) // FRAME_BYTES_MAX) > 0:
                self._append_full_frames(stream, full)
                sent += full * FRAME_BYTES_MAX
                continue
            n = min(size, FRAME_BYTES_MAX, allowed - sent)
            is_end = n == size and stream.is_final and not stream.chunks
            if n <= 0 and not is_end:
                break
            if is_end and stream.trailers:
                sent += self._append_ending(stream, n)
                break
            out.append(n.to_bytes(3, "big") + (b"\0\x01" if is_end else b"\0\0") + ident)
            if n:
                out.append(
                    current if n == len(current) else memoryview(current)[offset : offset + n]
                )
                stream.offset = offset + n
                sent += n
            self.out_bytes += n + 9
            if is_end:
                stream.is_local_ended = True
                stream.current, stream.offset = b"", 0
                break
        self.window -= sent
        stream.window -= sent
        stream.queued_bytes -= sent
        stream.sent_bytes += sent
        self.sent_bytes += sent
        self.sent_pieces += 1
        return sent

    def _append_full_frames(self, stream: Stream, count: int) -> None:
        """Frame that many pieces of full size that are not the last of what is queued."""
        append, head = self.out.append, _FULL_FRAME + stream.id_bytes
        view, at = memoryview(stream.current), stream.offset
        for _ in range(count):
            append(head)
            append(view[at : at + FRAME_BYTES_MAX])
            at += FRAME_BYTES_MAX
        stream.offset = at
        self.out_bytes += count * (FRAME_BYTES_MAX + HEADER_BYTES)

    def _append_ending(self, stream: Stream, size: int) -> int:
        """Frame the last `size` bytes of content and the trailers behind them (section 8.1)."""
        if size:
            self.out.append(size.to_bytes(3, "big") + b"\0\0" + stream.id_bytes)
            self.out.append(memoryview(stream.current)[stream.offset : stream.offset + size])
            self.out_bytes += size + HEADER_BYTES
        self.start(stream, stream.trailers, END_STREAM)
        stream.is_local_ended = True
        stream.current, stream.offset = b"", 0
        return size

    def widen(self, increment: int) -> None:
        """Take a WINDOW_UPDATE for the connection (section 6.9.1)."""
        if not increment:
            raise ConnectionFault(codes.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        self.window += increment
        if self.window > WINDOW_MAX:
            raise ConnectionFault(codes.FLOW_CONTROL_ERROR, "connection window over 2^31-1")

    def widen_stream(self, stream: Stream, increment: int) -> None:
        """Take a WINDOW_UPDATE for a stream (section 6.9.1)."""
        if not increment:
            raise StreamFault(stream.id, codes.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        if stream.window + increment > WINDOW_MAX:
            raise StreamFault(stream.id, codes.FLOW_CONTROL_ERROR, "stream window over 2^31-1")
        stream.window += increment
        self.enqueue(stream)

    def resize(self, streams: list[Stream], initial_window: int) -> None:
        """Apply SETTINGS_INITIAL_WINDOW_SIZE to every stream (section 6.9.2)."""
        change = initial_window - self.initial_window
        self.initial_window = initial_window
        for stream in streams:
            stream.window += change
            if stream.window > WINDOW_MAX:
                raise ConnectionFault(codes.FLOW_CONTROL_ERROR, "stream window over 2^31-1")
            if stream.is_sendable:
                self.enqueue(stream)
            else:
                self.withdraw(stream)
