"""What can be read of a datagram without keys (RFC 8999, RFC 9000 section 17).

The invariants of all versions come first: they say whose connection it is, and what to answer to a
version that is not ours. Of our own version only the first packet of a client is read further.
"""

from typing import Final, NamedTuple

from aioquic.buffer import Buffer
from aioquic.quic.packet import QuicHeader, QuicPacketType, pull_quic_header

from edgeproxy.quic.connection_ids import CONNECTION_ID_BYTES
from edgeproxy.quic.settings import DATAGRAM_BYTES_MIN

_LONG: Final = 0x80
_FIXED: Final = 0x40
_IDS_AT: Final = 5
# RFC 9000 section 7.2: shorter ones could be guessed by who does not see them
_CLIENTS_ID_BYTES_MIN: Final = 8


class LongHeader(NamedTuple):
    """The invariant part of a long header; the IDs may have up to 255 octets."""

    version: int
    destination: bytes
    source: bytes


def destination_of(data: bytes) -> bytes:
    """Return the connection ID that a datagram is for, b"" where it has none that we could know."""
    if not data:
        return b""
    if data[0] & _LONG:
        header = long_header(data)
        return b"" if header is None else header.destination
    return data[1 : 1 + CONNECTION_ID_BYTES] if data[0] & _FIXED else b""


def long_header(data: bytes) -> LongHeader | None:
    """Return the long header of a datagram, None where it has a short one or is cut off."""
    if len(data) <= _IDS_AT or not data[0] & _LONG:
        return None
    at = _IDS_AT + 1
    source_at = at + data[_IDS_AT]
    if len(data) <= source_at:
        return None
    end = source_at + 1 + data[source_at]
    if len(data) < end:
        return None
    version = int.from_bytes(data[1:_IDS_AT], "big")
    return LongHeader(version, data[at:source_at], data[source_at + 1 : end])


def first_packet(data: bytes) -> QuicHeader | None:
    """Return the header of a client's first packet; None: no connection begins with that.

    It comes in a datagram of at least 1200 octets (section 14.1) and chooses an ID that nobody
    guesses (section 7.2).
    """
    if len(data) < DATAGRAM_BYTES_MIN:
        return None
    try:
        header = pull_quic_header(Buffer(data=data), CONNECTION_ID_BYTES)
    except ValueError:
        return None
    if header.packet_type is not QuicPacketType.INITIAL:
        return None
    return header if len(header.destination_cid) >= _CLIENTS_ID_BYTES_MIN else None
