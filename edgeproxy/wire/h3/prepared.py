"""A whole response made into frames ahead of time (RFC 9114 section 7).

It is the same for every stream and connection, because field sections use no dynamic table: made
once, it is sent any number of times. It holds a reference to the body, never a copy.
"""

from edgeproxy.wire.h3.frames import data_head, headers_frame
from edgeproxy.wire.h3.transport import HEAD_BYTES_MAX


class PreparedResponse:
    """HEADERS and, with content, one DATA frame: `head`, then `body` of `size` octets."""

    __slots__ = ("body", "head", "size", "wire_bytes")

    def __init__(self, section: bytes, body: bytes | memoryview) -> None:
        self.body = body
        self.size = size = len(body)
        self.head = headers_frame(section) + (data_head(size) if size else b"")
        if len(self.head) > HEAD_BYTES_MAX:
            raise ValueError("field section over what may be sent at once")
        self.wire_bytes = len(self.head) + size
