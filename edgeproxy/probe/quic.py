"""Whether anybody speaks QUIC at an address: one datagram of a version that nobody speaks.

Whoever does must answer it with Version Negotiation (RFC 9000 section 6.1), without a connection.
Blocks for as long as it waits.
"""

import os
import socket
from typing import Final

from edgeproxy.probe.addresses import Address

TIMEOUT_SECONDS: Final = 1.0
_TRIES: Final = 2
_DATAGRAM_BYTES: Final = 1200
_LONG_HEADER: Final = 0xC0
_RESERVED_VERSION: Final = b"\x1a\x2a\x3a\x4a"  # of the pattern 0x?a?a?a?a, section 15
_ID_BYTES: Final = 8
_HERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to be told apart, not to bind


def answers_quic(address: Address, *, timeout_seconds: float = TIMEOUT_SECONDS) -> bool:
    """Return whether Version Negotiation came back in time; an address of all is asked here."""
    destination, source = os.urandom(_ID_BYTES), os.urandom(_ID_BYTES)
    header = b"%c%s%c%s%c%s" % (
        _LONG_HEADER, _RESERVED_VERSION, _ID_BYTES, destination, _ID_BYTES, source,
    )  # fmt: skip
    # It has no version, and the IDs are ours, exchanged.
    expected = b"%s%c%s%c%s" % (bytes(4), _ID_BYTES, source, _ID_BYTES, destination)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout_seconds / _TRIES)
        try:
            sock.connect((_HERE.get(address.host, address.host), address.port))
        except OSError:
            return False
        for _ in range(_TRIES):
            try:
                sock.send(header.ljust(_DATAGRAM_BYTES, b"\0"))
                answer = sock.recv(_DATAGRAM_BYTES)
            except OSError:
                continue
            if answer[:1] >= b"\x80" and answer[1:].startswith(expected):
                return True
    return False
