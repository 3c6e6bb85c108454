"""HTTP/3 frames as bytes: integers, types, settings, and builders (RFC 9114 sections 6.2 and 7).

Builders return whole frames, or the head of one whose payload follows. What frames mean stands in
`requests.py` and `control.py`.
"""

from collections.abc import Iterable
from typing import Final

DATA: Final = 0x0
HEADERS: Final = 0x1
CANCEL_PUSH: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
GOAWAY: Final = 0x7
MAX_PUSH_ID: Final = 0xD
PRIORITY_UPDATE: Final = 0xF0700  # RFC 9218 section 7.2
PRIORITY_UPDATE_OF_PUSH: Final = 0xF0701

# Types of HTTP/2 that mean nothing here; who sends them mistakes the protocol (section 7.2.8).
OF_HTTP2: Final = frozenset({0x2, 0x6, 0x8, 0x9})

CONTROL_STREAM: Final = 0x0
PUSH_STREAM: Final = 0x1
QPACK_ENCODER_STREAM: Final = 0x2
QPACK_DECODER_STREAM: Final = 0x3

SETTINGS_QPACK_MAX_TABLE_CAPACITY: Final = 0x1
SETTINGS_MAX_FIELD_SECTION_SIZE: Final = 0x6
SETTINGS_QPACK_BLOCKED_STREAMS: Final = 0x7
# One of the identifiers that receivers have to ignore, sent to keep them in practice (7.2.4.1).
SETTINGS_GREASE: Final = 0x21

# The largest identifier of a stream that a client can open (section 5.2, RFC 9000 section 16).
REQUEST_ID_MAX: Final = 2**62 - 4


def integer(value: int) -> bytes:
    """Encode an integer of less than 2**62 in as few octets as it takes (RFC 9000 section 16)."""
    if value < 0x40:
        return bytes((value,))
    if value < 0x4000:
        return (value | 0x4000).to_bytes(2, "big")
    if value < 0x4000_0000:
        return (value | 0x8000_0000).to_bytes(4, "big")
    return (value | 0xC000_0000_0000_0000).to_bytes(8, "big")


def read_integer(data: bytes, at: int) -> tuple[int, int]:
    """Return the integer at `at` and where what follows begins, -1 if it is not all there yet."""
    if at >= len(data):
        return 0, -1
    first = data[at]
    if first < 0x40:
        return first, at + 1
    size = 1 << (first >> 6)
    end = at + size
    if end > len(data):
        return 0, -1
    return int.from_bytes(data[at:end], "big") & ((1 << (8 * size - 2)) - 1), end


def frame(kind: int, payload: bytes) -> bytes:
    """Return one whole frame."""
    return integer(kind) + integer(len(payload)) + payload


def headers_frame(section: bytes) -> bytes:
    """Return a HEADERS frame around an encoded field section."""
    return b"\x01" + integer(len(section)) + section


def data_head(size: int) -> bytes:
    """Return the head of a DATA frame, behind which so many octets of content have to follow."""
    return b"\0" + integer(size)


def settings_frame(settings: Iterable[tuple[int, int]]) -> bytes:
    """Return a SETTINGS frame of identifier and value pairs."""
    return frame(SETTINGS, b"".join([integer(key) + integer(value) for key, value in settings]))


def goaway_frame(stream_id: int) -> bytes:
    """Return a GOAWAY frame: requests from this identifier on are not processed (section 5.2)."""
    return frame(GOAWAY, integer(stream_id))
