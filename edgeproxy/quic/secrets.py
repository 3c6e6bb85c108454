"""The one secret that all workers of a PoP share for QUIC, and what is derived of it.

Made by the main process before it forks, so that a session ticket, a Retry token or a stateless
reset of one worker is one of all. Never written down: when the PoP starts anew, tickets are worth
nothing and connections of before are reset by nobody, which costs clients a handshake or a timeout.

Each purpose has a key of its own (HKDF-Expand, RFC 5869); none leads to the master or to another.
"""

import hmac
import os
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

_MASTER_BYTES: Final = 32
RESET_TOKEN_BYTES: Final = 16


class QuicSecrets:
    """Keys by purpose; `master` is 32 random octets, made here when it is not given."""

    def __init__(self, master: bytes | None = None) -> None:
        self._master = os.urandom(_MASTER_BYTES) if master is None else master
        if len(self._master) != _MASTER_BYTES:
            raise ValueError("the secret has to be 32 octets")
        self._reset_key = self.derive(b"stateless reset")

    def derive(self, purpose: bytes) -> bytes:
        """Return the 32 octets of one purpose, always the same."""
        expand = HKDFExpand(algorithm=SHA256(), length=32, info=b"edgeproxy quic " + purpose)
        return expand.derive(self._master)

    def reset_token(self, connection_id: bytes) -> bytes:
        """Return the stateless reset token of a connection ID (RFC 9000 section 10.3.2)."""
        return hmac.digest(self._reset_key, connection_id, "sha256")[:RESET_TOKEN_BYTES]
