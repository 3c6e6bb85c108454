"""Retry tokens: an address, proven by who sends one back (RFC 9000 section 8.1.2 to 8.1.4).

Sealed under a key that all workers share; bound to address and port, to the connection ID that the
Retry gave, and to ten seconds; used once, since that ID leads to one worker, who remembers it as
long. NEW_TOKEN is never sent, so a token that is not of this kind is somebody else's, or of an
earlier life of ours: it counts as none.
"""

import os
import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edgeproxy.quic.secrets import QuicSecrets

# A client answers a Retry within a round trip.
TOKEN_LIFETIME_SECONDS: Final = 10.0
_USED_MAX: Final = 4096
_NONCE_BYTES: Final = 12
_ISSUED = struct.Struct("!Q")


@dataclass(frozen=True, slots=True)
class Proof:
    """What a token shows: the client is where it says; `original_id` is what it called us first."""

    original_id: bytes


class RetryTokens:
    """Makes and opens them; `now` is in seconds since the epoch, which workers agree upon."""

    def __init__(self, secrets: QuicSecrets) -> None:
        self._aead = AESGCM(secrets.derive(b"retry token"))
        self._used: OrderedDict[bytes, float] = OrderedDict()

    def seal(
        self, address: tuple[str, int], original_id: bytes, retry_id: bytes, now: float
    ) -> bytes:
        """Return the token of one Retry; `retry_id` is the ID that it gives."""
        nonce = os.urandom(_NONCE_BYTES)
        content = _ISSUED.pack(int(now * 1000)) + original_id
        return nonce + self._aead.encrypt(nonce, content, _bound_to(address, retry_id))

    def open(
        self, token: bytes, address: tuple[str, int], destination_id: bytes, now: float
    ) -> Proof | Literal["used"] | None:
        """Return what a token shows; "used" for one that was, or is too old; None for no token.

        One that was given to somebody else cannot be told from one that never was ours.
        """
        if len(token) < _NONCE_BYTES:
            return None
        nonce, sealed = token[:_NONCE_BYTES], token[_NONCE_BYTES:]
        try:
            content = self._aead.decrypt(nonce, sealed, _bound_to(address, destination_id))
        except InvalidTag:
            return None
        (issued,) = _ISSUED.unpack_from(content)
        if not 0 <= now - issued / 1000 + 1 <= TOKEN_LIFETIME_SECONDS + 1:
            return "used"
        return self._once(destination_id, now) or Proof(content[_ISSUED.size :])

    def _once(self, retry_id: bytes, now: float) -> Literal["used"] | None:
        used = self._used
        while used and (len(used) >= _USED_MAX or next(iter(used.values())) <= now):
            used.popitem(last=False)
        if retry_id in used:
            return "used"
        used[retry_id] = now + TOKEN_LIFETIME_SECONDS
        return None


def _bound_to(address: tuple[str, int], retry_id: bytes) -> bytes:
    return repr((address[0], address[1])).encode() + retry_id
