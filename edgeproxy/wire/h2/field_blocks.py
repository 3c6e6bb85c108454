"""Field blocks that come in parts: HEADERS and its CONTINUATIONs (RFC 9113 sections 4.3, 6.10)."""

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.h2 import codes
from edgeproxy.wire.limits import Limits


class FieldBlock:
    """An unfinished field block; `stream_id` is 0 while there is none.

    Its size and its number of parts are capped while it grows (CVE-2024-27316).
    """

    __slots__ = ("_bytes_max", "_data", "_parts", "_parts_max", "flags", "stream_id")

    def __init__(self, limits: Limits) -> None:
        self.stream_id = 0
        self.flags = 0
        self._data = b""
        self._parts = 0
        self._parts_max = limits.continuations_max
        self._bytes_max = limits.field_block_bytes_max

    def begin(self, stream_id: int, flags: int, part: bytes) -> None:
        """Take the part that came in HEADERS."""
        self.stream_id, self.flags, self._data, self._parts = stream_id, flags, part, 0

    def extend(self, stream_id: int, part: bytes) -> None:
        """Take the part of a CONTINUATION."""
        if not self.stream_id or stream_id != self.stream_id:
            raise ConnectionFault(codes.PROTOCOL_ERROR, "CONTINUATION without its HEADERS")
        self._data += part
        self._parts += 1
        if self._parts > self._parts_max or len(self._data) > self._bytes_max:
            raise ConnectionFault(codes.ENHANCE_YOUR_CALM, "field block over the limit")

    def end(self) -> bytes:
        """Return the whole block and be empty again."""
        data, self._data, self.stream_id = self._data, b"", 0
        return data


def unpadded(payload: bytes) -> bytes:
    """Return a PADDED frame's payload without its padding (RFC 9113 sections 6.1, 6.2)."""
    if not payload:
        raise ConnectionFault(codes.FRAME_SIZE_ERROR, "padded frame without pad length")
    end = len(payload) - payload[0]
    if end < 1:
        raise ConnectionFault(codes.PROTOCOL_ERROR, "more padding than payload")
    return payload[1:end]
