"""QUIC and HTTP/3 frames as an attacker writes them: no checks, and as few octets as there can be.

Shares nothing with the server under attack (RFC 9000 sections 16 and 19, RFC 9114 section 7, RFC
9204 section 4).
"""

from collections.abc import Iterable

from bench.floods.frames import string

PING = b"\x01"
DATA, HEADERS, SETTINGS, GOAWAY, MAX_PUSH_ID = 0, 1, 4, 7, 0xD
PRIORITY_UPDATE = 0xF0700
UNKNOWN = 0x21  # of the types that mean nothing, on purpose
CONTROL, ENCODER, DECODER = 2, 6, 10
"""Streams that this client uses for what they are called; the next one of its kind is 14."""


def integer(value: int) -> bytes:
    """Return a variable-length integer."""
    for octets, bits in ((1, 0), (2, 1), (4, 2), (8, 3)):
        if value < 1 << (8 * octets - 2):
            return (value | bits << (8 * octets - 2)).to_bytes(octets, "big")
    raise ValueError(value)


def plain(kind: int, *values: int) -> bytes:
    """Return a frame that is nothing but integers."""
    return b"".join(map(integer, (kind, *values)))


def stream(stream_id: int, data: bytes = b"", offset: int = 0, *, end: bool = False) -> bytes:
    """Return a STREAM frame with all of its fields."""
    return plain(0x0E | end, stream_id, offset, len(data)) + data


def crypto(offset: int, data: bytes) -> bytes:
    """Return a CRYPTO frame."""
    return plain(0x06, offset, len(data)) + data


def ack(largest: int, first: int, further: int = 0) -> bytes:
    """Return an ACK frame of a range, and of further ones of one packet, each behind a gap of one.

    `first` is how many packets below the largest the first range has.
    """
    return plain(0x02, largest, 0, further, first) + b"\0\0" * further


def ack_of(numbers: Iterable[int], ranges_max: int) -> bytes:
    """Return an ACK frame of packets, the newest of them first, in so many ranges at most."""
    ranges: list[list[int]] = []  # lowest and highest
    for number in numbers:
        if ranges and ranges[-1][0] == number + 1:
            ranges[-1][0] = number
        elif len(ranges) < ranges_max:
            ranges.append([number, number])
        else:
            break
    low, high = ranges[0]
    said = [0x02, high, 0, len(ranges) - 1, high - low]
    for below, above in ranges[1:]:
        said += (low - above - 2, above - below)
        low = below
    return plain(*said)


def reset(stream_id: int, size: int = 0) -> bytes:
    """Return a RESET_STREAM frame of H3_REQUEST_CANCELLED."""
    return plain(0x04, stream_id, 0x10C, size)


def stop(stream_id: int) -> bytes:
    """Return a STOP_SENDING frame of H3_REQUEST_CANCELLED."""
    return plain(0x05, stream_id, 0x10C)


def max_stream_data(stream_id: int, limit: int) -> bytes:
    """Return a MAX_STREAM_DATA frame."""
    return plain(0x11, stream_id, limit)


def new_connection_id(number: int, retired_below: int) -> bytes:
    """Return a NEW_CONNECTION_ID frame."""
    own = number.to_bytes(8, "big")
    return plain(0x18, number, retired_below, len(own)) + own + own * 2


def frame(kind: int, payload: bytes = b"") -> bytes:
    """Return a frame of HTTP/3."""
    return plain(kind, len(payload)) + payload


def section(path: bytes, *, method: int = 17, more: bytes = b"") -> bytes:
    """Return the field section of a request; `method` is of the static table, GET if not said."""
    known = bytes((0, 0, 0xC0 | method, 0xD7))
    return known + b"\x50" + string(b"localhost") + b"\x51" + string(path) + more


def get(stream_id: int, path: bytes, *, more: bytes = b"") -> bytes:
    """Return a whole request in a STREAM frame."""
    return stream(stream_id, frame(HEADERS, section(path, more=more)), end=True)


def greeting() -> bytes:
    """Return the beginnings of a client's three streams."""
    return (
        stream(CONTROL, b"\0" + frame(SETTINGS)) + stream(ENCODER, b"\2") + stream(DECODER, b"\3")
    )
