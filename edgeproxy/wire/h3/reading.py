"""From a request stream's data to frames, and which frame may come (RFC 9114 sections 4.1 and 7).

Knows types and lengths only; what frames mean stands in `connection.py`, which derives from
`RequestReader` so that there is no call in between. Keeps no more than one unfinished HEADERS
frame; content is handed on as it comes, and what is unknown is skipped as it comes.
"""

from abc import ABC, abstractmethod
from typing import Final

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.h3 import codes, frames
from edgeproxy.wire.h3.guard import Guard
from edgeproxy.wire.h3.streams import EXPECTS_CONTENT, EXPECTS_NOTHING, Stream
from edgeproxy.wire.h3.transport import Transport
from edgeproxy.wire.limits import Limits

# What is read of one stream before others have their turn. A datagram has fewer; only what waited
# for a lost one comes at once, and frames of an octet cost more than they bring.
FRAMES_PER_TURN: Final = 64

_OF_CONTROL: Final = frozenset(
    {
        frames.SETTINGS,
        frames.GOAWAY,
        frames.MAX_PUSH_ID,
        frames.CANCEL_PUSH,
        frames.PUSH_PROMISE,  # and this is of servers only
        frames.PRIORITY_UPDATE,
        frames.PRIORITY_UPDATE_OF_PUSH,
    }
)


class RequestReader(ABC):
    """Cuts request streams into frames and hands on what is in them.

    Octets of frames get their receive credit back here, those of content when they are used.
    """

    __slots__ = ("_guard", "_limits", "_transport")

    def __init__(self, transport: Transport, limits: Limits, guard: Guard) -> None:
        self._transport = transport
        self._limits = limits
        self._guard = guard

    @abstractmethod
    def _on_section(self, stream: Stream, section: bytes) -> None:
        """Take an encoded field section: of the request, or its trailers."""

    @abstractmethod
    def _on_large_section(self, stream: Stream, size: int) -> None:
        """Take note of a field section that is too large to be kept."""

    @abstractmethod
    def _on_content(self, stream: Stream, data: bytes) -> None:
        """Take content."""

    @abstractmethod
    def _on_end(self, stream: Stream) -> None:
        """Take the end of the request."""

    @abstractmethod
    def _on_behind(self, stream: Stream) -> None:
        """Take note that `_go_on` has to be called for a stream."""

    def credit(self, stream: Stream, size: int) -> None:
        """Give receive credit back for octets that were used, as far as that was not done."""
        size = min(size, stream.unused_bytes)
        if size:
            stream.unused_bytes -= size
            self._transport.consumed(stream.id, size)

    def _read(self, stream: Stream, data: bytes, *, end: bool) -> None:
        """Take a stream's next data."""
        stream.unused_bytes += len(data)
        stream.has_fin = end
        if stream.pending:
            data = stream.pending + data
        if stream.is_behind:
            stream.pending = data
        else:
            self._take_frames(stream, data)

    def _go_on(self, stream: Stream) -> None:
        """Take the next portion of what waits."""
        stream.is_behind = False
        self._take_frames(stream, stream.pending)

    def _take_frames(self, stream: Stream, data: bytes) -> None:
        """Take one portion of frames, and the end of the stream if that comes behind them."""
        at, content = 0, 0
        for _ in range(FRAMES_PER_TURN):
            if not stream.left:
                after = self._take_frame(stream, data, at)
                if after < 0:
                    break
                at = after
            if stream.left and not stream.is_gone:
                n = min(stream.left, len(data) - at)
                stream.left -= n
                at += n
                if n and not stream.is_skipping:
                    content += n
                    self._on_content(stream, data[at - n : at])
            if stream.left or stream.is_gone:
                break
        else:
            stream.is_behind = at < len(data)
        if stream.is_gone:
            return
        stream.pending = data[at:]
        self.credit(stream, at - content)
        if stream.is_behind:
            self._on_behind(stream)
        elif stream.has_fin:
            if stream.pending or stream.left:
                raise ConnectionFault(codes.FRAME_ERROR, "stream ends within a frame")
            self._on_end(stream)

    def _take_frame(self, stream: Stream, data: bytes, at: int) -> int:
        """Take a field section, or the head of another frame; return its end, -1 if unfinished."""
        kind, start = frames.read_integer(data, at)
        length, start = frames.read_integer(data, start) if start > 0 else (0, -1)
        if start < 0:
            return -1
        if kind == frames.DATA:
            if stream.expects != EXPECTS_CONTENT:
                raise ConnectionFault(codes.FRAME_UNEXPECTED, "DATA where no content belongs")
            self._guard.count_empty(length)
            self._guard.count_content(length)
            stream.is_skipping = False
        elif kind == frames.HEADERS:
            if stream.expects == EXPECTS_NOTHING:
                raise ConnectionFault(codes.FRAME_UNEXPECTED, "HEADERS behind trailers")
            if length <= self._limits.field_block_bytes_max:
                end = start + length
                if end > len(data):
                    return -1
                self._on_section(stream, data[start:end])
                return end
            stream.is_skipping = True
            self._on_large_section(stream, length)
        else:
            if kind in _OF_CONTROL or kind in frames.OF_HTTP2:
                raise ConnectionFault(codes.FRAME_UNEXPECTED, f"frame {kind:#x} on a request")
            self._guard.spend_control("flood of unknown frames")
            stream.is_skipping = True
        stream.left = length
        return start
