"""A whole response cut into frames ahead of time: all but the stream identifiers (RFC 9113, 4.1).

It is the same for every stream and connection, because field blocks use no dynamic table: made
once, it is sent any number of times. It holds references to the body, never copies.
"""

from edgeproxy.wire.h2.frames import FRAME_BYTES_MAX


class PreparedResponse:
    """HEADERS and DATA of one response; its field block fits one frame.

    On the wire it is `head`, the identifier, `block`; then, with content, the identifier, `first`,
    and for each of `rest` its head, the identifier, its piece. `block` ends with the head of the
    first DATA frame. `size` is the content's, `wire_bytes` what all frames have together.
    """

    __slots__ = ("block", "first", "head", "rest", "size", "wire_bytes")

    def __init__(self, block: bytes, body: bytes | memoryview) -> None:
        if len(block) > FRAME_BYTES_MAX:
            raise ValueError("field block over one frame")
        self.size = size = len(body)
        self.head = len(block).to_bytes(3, "big") + (b"\x01\x04" if size else b"\x01\x05")
        self.first = body
        self.rest: tuple[tuple[bytes, memoryview], ...] = ()
        if size > FRAME_BYTES_MAX:
            view = memoryview(body)
            self.first = view[:FRAME_BYTES_MAX]
            self.rest = tuple(_pieces(view[FRAME_BYTES_MAX:]))
        self.block = block
        if size:
            self.block += _data_head(len(self.first), is_end=not self.rest)
        self.wire_bytes = len(block) + size + 9 * (2 + len(self.rest) if size else 1)


def _pieces(view: memoryview) -> list[tuple[bytes, memoryview]]:
    pieces = [view[at : at + FRAME_BYTES_MAX] for at in range(0, len(view), FRAME_BYTES_MAX)]
    return [(_data_head(len(each), is_end=each is pieces[-1]), each) for each in pieces]


def _data_head(size: int, *, is_end: bool) -> bytes:
    """Return the head of a DATA frame up to its stream identifier."""
    return size.to_bytes(3, "big") + (b"\0\x01" if is_end else b"\0\0")
