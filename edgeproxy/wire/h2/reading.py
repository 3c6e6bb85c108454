"""From bytes to frames: the preface, frame headers, and which frame may come (RFC 9113 section 4).

Knows lengths and types only; what frames mean stands in `connection.py`, which derives from
`FrameReader` so that the hot path has no call in between. Keeps no more than one unfinished frame.
"""

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from edgeproxy.errors import ConnectionFault, StreamFault
from edgeproxy.wire.h2 import codes, frames
from edgeproxy.wire.h2.frames import FRAME_BYTES_MAX, HEADER_BYTES, STREAM_ID_MAX

# What is read at once before other connections have their turn, content not counted: 75 of the
# smallest requests, or 20 of a browser's, are half a millisecond of work or one. Fifty connections
# that send as fast as they can keep another one waiting for fifty such portions (`make floods`).
TURN_BYTES = 1024
# In the place of a type: the handler of all types that have none.
OTHER = -1

Handler = Callable[[Any, int, int, bytes], None]

# Length in two parts, type, flags, stream identifier with its reserved bit (section 4.1).
_frame_head = struct.Struct(">HBBBL").unpack_from
_HEADERS_TYPE = bytes((frames.HEADERS,))


class FrameReader(ABC):
    """Cuts a byte stream into frames and hands each to its handler.

    `awaited` is the only type of frame that may come now, None for any: SETTINGS at first,
    CONTINUATION within a field block. A handler takes flags, stream id and payload; it raises
    `StreamFault`, which resets that stream, or `ConnectionFault`, which ends everything. `fault`
    is what ended the connection. `mid_block_since` is since when a field block is begun and
    unfinished, 0.0 if there is none. `is_behind` tells that whole frames may wait for `go_on`.
    """

    __slots__ = (
        "_is_greeted",
        "_pending",
        "awaited",
        "fault",
        "is_behind",
        "mid_block_since",
    )

    _handlers: ClassVar[dict[int, Handler]]

    def __init__(self) -> None:
        self.fault: ConnectionFault | None = None
        self.awaited: int | None = frames.SETTINGS
        self.mid_block_since = 0.0
        self._pending = b""
        self._is_greeted = False
        self.is_behind = False

    @abstractmethod
    def fail(self, fault: ConnectionFault) -> None:
        """End the connection; set `fault`."""

    @abstractmethod
    def reset(self, stream_id: int, code: int) -> None:
        """Reset a stream for the peer's mistake."""

    @property
    def is_settled(self) -> bool:
        """Whether the peer's preface is complete: its first SETTINGS came."""
        return self.awaited != frames.SETTINGS

    def _read(self, data: bytes, now: float) -> None:
        """Take bytes of the peer."""
        if self._pending:
            data = self._pending + data
            if self.is_behind:
                self._pending = data
                return
        try:
            at = 0 if self._is_greeted else self._take_preface(data)
            end = self._take_frames(data, at)
        except ConnectionFault as fault:
            self._pending = b""
            self.fail(fault)
            return
        self._pending = rest = data[end:]
        if self.is_behind:
            self.mid_block_since = 0.0  # it is we who take our time
        elif self.awaited is None and rest[3:4] != _HEADERS_TYPE:
            self.mid_block_since = 0.0
        elif not self.mid_block_since:
            self.mid_block_since = now

    def _go_on(self, now: float) -> None:
        """Take the next portion of what waits."""
        self.is_behind = False
        self._read(b"", now)

    def _take_preface(self, data: bytes) -> int:
        size = len(frames.PREFACE)
        if data[:size] != frames.PREFACE[: len(data)]:
            raise ConnectionFault(codes.PROTOCOL_ERROR, "bad connection preface")
        if len(data) < size:
            return 0
        self._is_greeted = True
        return size

    def _take_frames(self, data: bytes, at: int) -> int:
        """Handle whole frames from `at` on, one portion at most; return where the rest begins."""
        size = len(data) if self._is_greeted else 0
        handlers, other = self._handlers, self._handlers[OTHER]
        portion, last = TURN_BYTES, size - HEADER_BYTES
        while at <= last and at < portion:
            high, low, kind, flags, stream_id = _frame_head(data, at)
            length = high << 8 | low
            if length > FRAME_BYTES_MAX:
                raise ConnectionFault(codes.FRAME_SIZE_ERROR, "frame over 16384 bytes")
            start = at + HEADER_BYTES
            end = start + length
            if end > size:
                break
            if self.awaited is not None and kind != self.awaited:
                raise ConnectionFault(codes.PROTOCOL_ERROR, "first SETTINGS or field block broken")
            try:
                handlers.get(kind, other)(self, flags, stream_id & STREAM_ID_MAX, data[start:end])
            except StreamFault as fault:
                self.reset(fault.stream_id, fault.code)
            at = end
            if not kind:
                portion += length  # content costs by the frame, not by the octet
        if at >= portion:
            self.is_behind = at < size
        return at
