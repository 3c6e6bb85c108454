"""Session tickets that any worker can open (RFC 8446 section 4.6.1).

A ticket is the session itself, sealed with AES-GCM: nothing is kept here. Its key is of the day
that it was sealed on, derived of the shared secret: no key seals more than a day's tickets. What
it says of early data (`early`) only one process will honour.

Invariants: a ticket is taken only with the name and the protocol that it was given for, within its
lifetime; no session goes on for longer than seven days, however often it was resumed. What is not
ours, or was changed, is no ticket: the client gets a full handshake.
"""

import os
import struct
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edgeproxy.quic.early import Offer
from edgeproxy.quic.secrets import QuicSecrets

SESSION_LIFETIME_SECONDS: Final = 7 * 24 * 3600
_DAY_SECONDS: Final = 24 * 3600
_NONCE_BYTES: Final = 12
_DAY = struct.Struct("!I")
# issued and begun in milliseconds, cipher suite, lengths of secret, name and protocol
_HEAD = struct.Struct("!QQHBBB")
# what may follow: process, terms, what hides the age, issued in microseconds of that process
_OFFER = struct.Struct("!8s16sIQ")
_KEYS_MAX: Final = 1 + SESSION_LIFETIME_SECONDS // _DAY_SECONDS


@dataclass(frozen=True, slots=True)
class Session:
    """What a ticket holds; `began` is when the full handshake was, in seconds since the epoch.

    `offer` is there where early data is allowed.
    """

    secret: bytes
    cipher_suite: int
    server_name: str
    protocol: str
    began: float
    offer: Offer | None = None


class Tickets:
    """Seals and opens; `lifetime_seconds` is how long a ticket is good for, 0: there are none."""

    def __init__(self, secrets: QuicSecrets, lifetime_seconds: int) -> None:
        self._secrets = secrets
        self.lifetime_seconds = min(lifetime_seconds, SESSION_LIFETIME_SECONDS)
        self._keys: dict[int, AESGCM] = {}

    def seal(self, session: Session, now: float) -> bytes:
        """Return the ticket of a session, issued now (seconds since the epoch)."""
        name, protocol = session.server_name.encode(), session.protocol.encode()
        head = _HEAD.pack(
            int(now * 1000),
            int(session.began * 1000),
            session.cipher_suite,
            len(session.secret),
            len(name),
            len(protocol),
        )
        day = int(now // _DAY_SECONDS)
        prefix = _DAY.pack(day) + os.urandom(_NONCE_BYTES)
        content = head + session.secret + name + protocol + _packed(session.offer)
        return prefix + self._key(day).encrypt(prefix[_DAY.size :], content, prefix[: _DAY.size])

    def open(self, ticket: bytes, *, server_name: str, protocol: str, now: float) -> Session | None:
        """Return the session of a ticket that is good for this name and protocol now."""
        start = _DAY.size + _NONCE_BYTES
        if len(ticket) < start:
            return None
        (day,) = _DAY.unpack_from(ticket)
        if not 0 <= now // _DAY_SECONDS - day < _KEYS_MAX:
            return None
        try:
            content = self._key(day).decrypt(
                ticket[_DAY.size : start], ticket[start:], ticket[: _DAY.size]
            )
        except InvalidTag:
            return None
        issued, session = _parsed(content)
        is_good = (
            session.server_name == server_name
            and session.protocol == protocol
            and issued <= now < issued + self.lifetime_seconds
            and now < session.began + SESSION_LIFETIME_SECONDS
        )
        return session if is_good else None

    def _key(self, day: int) -> AESGCM:
        """Return the key of a day; as many are kept as tickets of different days can be good."""
        key = self._keys.get(day)
        if key is None:
            if len(self._keys) >= _KEYS_MAX:
                del self._keys[min(self._keys)]
            key = self._keys[day] = AESGCM(self._secrets.derive(b"ticket %d" % day))
        return key


def identity_of(ticket: bytes) -> bytes:
    """Return what no other ticket of its day has in common with one of ours: its nonce."""
    return ticket[_DAY.size : _DAY.size + _NONCE_BYTES]


def _packed(offer: Offer | None) -> bytes:
    if offer is None:
        return b""
    return _OFFER.pack(offer.process, offer.terms, offer.age_add, int(offer.issued * 1_000_000))


def _parsed(content: bytes) -> tuple[float, Session]:
    """Return when a ticket was issued and what it holds; the seal has shown that it is ours."""
    issued, began, suite, secret_bytes, name_bytes, protocol_bytes = _HEAD.unpack_from(content)
    name_at = _HEAD.size + secret_bytes
    protocol_at = name_at + name_bytes
    end = protocol_at + protocol_bytes
    offer = None
    if end < len(content):
        process, terms, age_add, micros = _OFFER.unpack_from(content, end)
        offer = Offer(process, terms, age_add, micros / 1_000_000)
    session = Session(
        content[_HEAD.size : name_at],
        suite,
        content[name_at:protocol_at].decode(),
        content[protocol_at:end].decode(),
        began / 1000,
        offer,
    )
    return issued / 1000, session
