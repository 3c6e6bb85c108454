"""The peer's QPACK streams (RFC 9204 section 4): without tables there is next to nothing to say.

Neither side of ours has a dynamic table, so all that a correct peer can send is a capacity of 0 on
its encoder stream, and cancellations on its decoder stream. Everything else is an error (sections
3.2.3, 4.3 and 4.4).
"""

from collections.abc import Callable

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.h3 import codes

_CAPACITY_0 = b"\x20"
# An integer of 62 bits behind a prefix of six.
_INTEGER_OCTETS_MAX = 9


def check_encoder_stream(data: bytes) -> None:
    """Check instructions of the peer's encoder (section 4.3)."""
    if data.strip(_CAPACITY_0):
        raise ConnectionFault(codes.QPACK_ENCODER_STREAM_ERROR, "use of a table of capacity 0")


class DecoderStream:
    """What the peer's decoder says (section 4.4); `cancelled` is called for each cancellation."""

    __slots__ = ("_cancelled", "_octets")

    def __init__(self, cancelled: Callable[[], None]) -> None:
        self._cancelled = cancelled
        self._octets = 0  # of an unfinished integer

    def receive(self, data: bytes) -> None:
        """Take the stream's next data."""
        for octet in data:
            if self._octets:
                self._octets = self._octets + 1 if octet & 0x80 else 0
                if self._octets > _INTEGER_OCTETS_MAX:
                    raise _error("integer too long")
            elif octet & 0xC0 == 0x40:
                self._cancelled()
                self._octets = 1 if octet & 0x3F == 0x3F else 0
            else:
                raise _error("acknowledgement of a table that we do not use")


def _error(reason: str) -> ConnectionFault:
    return ConnectionFault(codes.QPACK_DECODER_STREAM_ERROR, reason)
