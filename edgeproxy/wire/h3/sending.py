"""The sending half of HTTP/3's streams: frames, queues and their order (RFC 9114, RFC 9218).

Content waits here by reference and goes to the transport as far as that has room: what it holds is
bounded by what the peer acknowledges. Streams are served by urgency; within one urgency the
non-incremental ones each to its end, then the incremental ones in turns (RFC 9218 section 10). A
stream stands in its lane only while it can send: one without room holds up nobody. In which order
packets leave is the transport's say; it is told the same priorities.
"""

from collections import deque
from typing import Final

from edgeproxy.wire.h2.streams import DEFAULT_LANE, LANES
from edgeproxy.wire.h3.frames import data_head, headers_frame
from edgeproxy.wire.h3.prepared import PreparedResponse
from edgeproxy.wire.h3.streams import Stream
from edgeproxy.wire.h3.transport import HEAD_BYTES_MAX, Transport

# What an incremental stream sends before the next one of its urgency has its turn.
TURN_BYTES: Final = 16 * 1024
_ALL: Final = 2**62


class Sender:
    """Turns responses into frames as far as the transport has room.

    `ended` lists the queued streams whose end went out, `relieved` those that ran dry and wait for
    more content; the listener empties both. `sent_bytes` is all content that the transport took.
    """

    __slots__ = ("_lanes", "_occupied", "_transport", "ended", "relieved", "sent_bytes")

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.ended: list[Stream] = []
        self.relieved: list[Stream] = []
        self.sent_bytes = 0
        self._lanes: list[dict[int, Stream]] = [{} for _ in range(LANES)]
        self._occupied = 0  # bit n: lane n has a stream

    @property
    def has_queued(self) -> bool:
        """Whether a stream may still have something for the transport."""
        return self._occupied != 0

    def send_prepared(self, stream_id: int, prepared: PreparedResponse) -> bool:
        """Send a whole response on a stream that has no other business; False if it must queue."""
        transport, size = self._transport, prepared.size
        if not size:
            transport.send(stream_id, prepared.head, end=True)
            return True
        if self._occupied or transport.room(stream_id) < prepared.wire_bytes:
            return False
        transport.send(stream_id, prepared.head)
        transport.send(stream_id, prepared.body, end=True)
        self.sent_bytes += size
        return True

    def respond(self, stream: Stream, section: bytes, body: bytes | memoryview) -> bool:
        """Send a field section and queue a whole body; True when that is all there is."""
        stream.is_final = True
        if body:
            stream.current, stream.queued_bytes = body, len(body)
            self._send_head(stream, headers_frame(section) + data_head(len(body)))
        elif self._send_head(stream, headers_frame(section), end=True):
            return True
        self.enqueue(stream)
        return False

    def start(self, stream: Stream, section: bytes) -> None:
        """Send a field section; content follows by `feed`."""
        self._send_head(stream, headers_frame(section))
        self.enqueue(stream)

    def interim(self, stream: Stream, section: bytes) -> None:
        """Send the field section of an interim response, unless the peer is behind."""
        frame = headers_frame(section)
        if not stream.head and self._transport.room(stream.id) >= len(frame):
            self._transport.send(stream.id, frame)

    def _send_head(self, stream: Stream, head: bytes, *, end: bool = False) -> bool:
        """Send what stands in front of content at once; False if it is so large that it queues."""
        if stream.head or len(head) > HEAD_BYTES_MAX:
            stream.head += head
            return False
        self._transport.send(stream.id, head, end=end)
        stream.is_local_ended = end
        return True

    def feed(self, stream: Stream, chunk: bytes | memoryview) -> None:
        """Queue content of a stream whose length is not known yet."""
        if not chunk:
            return
        stream.queued_bytes += len(chunk)
        if stream.offset >= len(stream.current):
            self._begin_chunk(stream, chunk)
        elif stream.chunks is None:
            stream.chunks = deque((chunk,))
        else:
            stream.chunks.append(chunk)
        self.enqueue(stream)

    def _begin_chunk(self, stream: Stream, chunk: bytes | memoryview) -> None:
        stream.current, stream.offset = chunk, 0
        stream.head += data_head(len(chunk))

    def finish(self, stream: Stream, trailers: bytes = b"") -> None:
        """Say that no content follows what was fed, only that field section if there is one."""
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

    def prioritise(self, stream_id: int, lane: int) -> None:
        """Tell the transport of a priority that is not the usual one."""
        if lane != DEFAULT_LANE:
            self._transport.prioritise(stream_id, lane >> 1, incremental=bool(lane & 1))

    def move(self, stream: Stream, lane: int) -> None:
        """Give a stream another priority (RFC 9218 section 7.2)."""
        self.withdraw(stream)
        stream.lane = lane
        self._transport.prioritise(stream.id, lane >> 1, incremental=bool(lane & 1))
        self.enqueue(stream)

    def unblock(self, stream: Stream) -> None:
        """Go on with a stream: the transport has room for it again."""
        stream.is_blocked = False
        self.enqueue(stream)

    def pump(self) -> None:
        """Hand on what is queued, in the order of the priorities, as far as there is room."""
        while self._occupied:
            number = (self._occupied & -self._occupied).bit_length() - 1
            lane = self._lanes[number]
            stream = next(iter(lane.values()))
            self._send(stream, TURN_BYTES if number & 1 else _ALL)
            if not stream.is_sendable:
                self._settle(stream)
            elif number & 1:
                del lane[stream.id]
                lane[stream.id] = stream

    def _settle(self, stream: Stream) -> None:
        """Note why a stream left its lane: it ended, or it ran dry, or there is no room."""
        self.withdraw(stream)
        if stream.is_local_ended:
            self.ended.append(stream)
        elif not stream.queued_bytes and not stream.is_blocked:
            self.relieved.append(stream)

    def _send(self, stream: Stream, allowed: int) -> None:
        """Hand on up to `allowed` octets of one stream's content."""
        transport, sent = self._transport, 0
        while not stream.is_blocked:
            if stream.head:
                self._send_queued_head(stream)
                continue
            size = len(stream.current) - stream.offset
            if size <= 0:
                if stream.chunks:
                    self._begin_chunk(stream, stream.chunks.popleft())
                    continue
                self._send_end(stream)
                break
            n = min(size, transport.room(stream.id), allowed - sent)
            if n <= 0:
                stream.is_blocked = sent < allowed
                break
            self._send_piece(stream, n, is_last=n == size)
            sent += n
        stream.queued_bytes -= sent
        stream.sent_bytes += sent
        self.sent_bytes += sent

    def _send_piece(self, stream: Stream, size: int, *, is_last: bool) -> None:
        begin, end = stream.offset, stream.offset + size
        piece = stream.current
        if size < len(piece):
            piece = memoryview(piece)[begin:end]
        ends = is_last and stream.is_final and not stream.chunks and not stream.trailers
        self._transport.send(stream.id, piece, end=ends)
        stream.offset = end
        if is_last:
            stream.current, stream.offset = b"", 0
        stream.is_local_ended = ends

    def _send_queued_head(self, stream: Stream) -> None:
        """Send of what stands in front of content as much as there is room for."""
        head = stream.head
        n = min(len(head), self._transport.room(stream.id))
        if n > 0:
            self._transport.send(stream.id, head[:n])
            stream.head = head[n:]
        else:
            stream.is_blocked = True

    def _send_end(self, stream: Stream) -> None:
        """End a stream that is final, behind its trailers if it has any (section 4.1)."""
        if not stream.is_final or stream.is_local_ended:
            return
        if stream.trailers:
            trailers, stream.trailers = stream.trailers, b""
            self._send_head(stream, headers_frame(trailers), end=True)
        else:
            self._transport.send(stream.id, b"", end=True)
            stream.is_local_ended = True
