"""HTTP/2 frames as bytes: layout, types, flags, settings, and builders (RFC 9113 sections 4 and 6).

Builders return whole frames. Parsing stands in `connection.py`: one loop, one place for the limits.
"""

from collections.abc import Iterable

HEADER_BYTES = 9
# We never announce a larger SETTINGS_MAX_FRAME_SIZE, nor use one that a peer announces: frames
# above 16 KiB gain nothing over TLS, whose records hold as much, and make priorities coarse.
FRAME_BYTES_MAX = 16384
WINDOW_MAX = 2**31 - 1
WINDOW_DEFAULT = 65535
STREAM_ID_MAX = 2**31 - 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA = 0x0
HEADERS = 0x1
PRIORITY = 0x2
RST_STREAM = 0x3
SETTINGS = 0x4
PUSH_PROMISE = 0x5
PING = 0x6
GOAWAY = 0x7
WINDOW_UPDATE = 0x8
CONTINUATION = 0x9
PRIORITY_UPDATE = 0x10  # RFC 9218 section 7.1

END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITIZED = 0x20

SETTINGS_HEADER_TABLE_SIZE = 0x1
SETTINGS_ENABLE_PUSH = 0x2
SETTINGS_MAX_CONCURRENT_STREAMS = 0x3
SETTINGS_INITIAL_WINDOW_SIZE = 0x4
SETTINGS_MAX_FRAME_SIZE = 0x5
SETTINGS_MAX_HEADER_LIST_SIZE = 0x6
SETTINGS_NO_RFC7540_PRIORITIES = 0x9  # RFC 9218 section 2.1

SETTINGS_ACK_FRAME = b"\0\0\0\x04\x01\0\0\0\0"


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """Return one whole frame."""
    return (
        len(payload).to_bytes(3, "big")
        + bytes((kind, flags))
        + stream_id.to_bytes(4, "big")
        + payload
    )


def settings_frame(settings: Iterable[tuple[int, int]]) -> bytes:
    """Return a SETTINGS frame of identifier and value pairs."""
    payload = b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in settings)
    return frame(SETTINGS, 0, 0, payload)


def window_update_frame(stream_id: int, increment: int) -> bytes:
    """Return a WINDOW_UPDATE frame; the increment is 1 to 2**31-1 bytes."""
    return frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def rst_stream_frame(stream_id: int, code: int) -> bytes:
    """Return a RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))


def goaway_frame(last_stream_id: int, code: int, reason: str = "") -> bytes:
    """Return a GOAWAY frame with the reason as its debug data."""
    payload = last_stream_id.to_bytes(4, "big") + code.to_bytes(4, "big") + reason.encode()
    return frame(GOAWAY, 0, 0, payload)


def field_block_frames(stream_id: int, block: bytes, flags: int) -> bytes:
    """Return HEADERS and as many CONTINUATION frames as the field block needs (section 4.3)."""
    if len(block) <= FRAME_BYTES_MAX:
        return frame(HEADERS, flags | END_HEADERS, stream_id, block)
    parts = [block[at : at + FRAME_BYTES_MAX] for at in range(0, len(block), FRAME_BYTES_MAX)]
    frames = [frame(HEADERS, flags, stream_id, parts[0])]
    frames += [frame(CONTINUATION, 0, stream_id, part) for part in parts[1:-1]]
    frames.append(frame(CONTINUATION, END_HEADERS, stream_id, parts[-1]))
    return b"".join(frames)
