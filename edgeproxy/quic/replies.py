"""Datagrams that are answered without a connection (RFC 9000 section 6, 8.1, 10.3).

Each is smaller than what it answers, or at most as large; how often is for `listeners/udp` to say.
"""

import os
from typing import Final

from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import (
    QuicFrameType,
    QuicHeader,
    QuicPacketType,
    encode_quic_retry,
)
from aioquic.quic.packet_builder import QuicPacketBuilder

from edgeproxy.quic.headers import LongHeader
from edgeproxy.quic.secrets import RESET_TOKEN_BYTES, QuicSecrets
from edgeproxy.quic.settings import DATAGRAM_BYTES_MIN, VERSIONS

# Section 10.3: 5 octets before the token look like a packet of the shortest ID; beyond 43 octets a
# reset cannot be told from other short packets, so it need not be larger.
_RESET_BYTES_MIN: Final = 5 + RESET_TOKEN_BYTES
_RESET_BYTES_MAX: Final = 43


def version_negotiation(header: LongHeader) -> bytes:
    """Return what tells a client our versions, and a reserved one among them (section 6.3, 15)."""
    reserved = bytes(0x0A | (each & 0xF0) for each in os.urandom(4))
    offered = reserved + b"".join(version.to_bytes(4, "big") for version in VERSIONS)
    return b"".join(
        (
            bytes([0xC0 | os.urandom(1)[0]]),
            bytes(4),
            bytes([len(header.source)]),
            header.source,
            bytes([len(header.destination)]),
            header.destination,
            offered,
        )
    )


def retry(header: QuicHeader, retry_id: bytes, token: bytes) -> bytes:
    """Return a Retry packet, with its integrity tag (section 17.2.5, RFC 9001 section 5.8)."""
    return encode_quic_retry(
        version=VERSIONS[0],
        source_cid=retry_id,
        destination_cid=header.source_cid,
        original_destination_cid=header.destination_cid,
        retry_token=token,
    )


def refusal(header: QuicHeader, code: int) -> bytes:
    """Return CONNECTION_CLOSE in an Initial packet, for a connection that never begins.

    CONNECTION_REFUSED and INVALID_TOKEN (section 8.1.3, 20.1) spare the client its timeout.
    """
    crypto = CryptoPair()
    crypto.setup_initial(cid=header.destination_cid, is_client=False, version=VERSIONS[0])
    builder = QuicPacketBuilder(
        host_cid=header.destination_cid,
        is_client=False,
        max_datagram_size=DATAGRAM_BYTES_MIN,
        peer_cid=header.source_cid,
        version=VERSIONS[0],
    )
    builder.start_packet(QuicPacketType.INITIAL, crypto)
    buf = builder.start_frame(QuicFrameType.TRANSPORT_CLOSE, capacity=16)
    buf.push_uint_var(code)
    buf.push_uint_var(QuicFrameType.PADDING)
    buf.push_uint_var(0)
    (datagram,), _ = builder.flush()
    return datagram


def stateless_reset(data: bytes, connection_id: bytes, secrets: QuicSecrets) -> bytes | None:
    """Return what ends a connection that nobody here knows; None where it could go round for ever.

    A reset is smaller than what it answers: two ends that know nothing of each other fall silent.
    """
    size = min(len(data) - 1, _RESET_BYTES_MAX)
    if size < _RESET_BYTES_MIN:
        return None
    filler = bytearray(os.urandom(size - RESET_TOKEN_BYTES))
    filler[0] = 0x40 | (filler[0] & 0x3F)
    return bytes(filler) + secrets.reset_token(connection_id)
