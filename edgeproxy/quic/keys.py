"""Packet protection keys of 1-RTT packets and their updates (RFC 9001 section 6).

aioquic derives the next keys anew for every packet with the other key phase, which anybody can
forge who has seen a connection ID, and forgets the last ones at once. Here they are derived once
for each update, and the last ones stay for three probe timeouts, for packets that were overtaken.

Not for other packet types: their keys do not change.
"""

from typing import Final

from aioquic._crypto import CryptoError
from aioquic.quic.crypto import (
    CryptoContext,
    CryptoPair,
    KeyUnavailableError,
    apply_key_phase,
    next_key_phase,
)
from aioquic.quic.packet import decode_packet_number
from cryptography.exceptions import InvalidTag

# Who updates for the sake of it makes us derive keys with every packet. Who does by volume needs
# one or two in the life of a connection; the figure is that of TLS over TCP (`tls/engine`).
KEY_UPDATES_MAX: Final = 32
# Section 6.6: 2^23 packets for AES-GCM, the smaller of both kinds; half of it leaves time to do it.
PACKETS_PER_KEY_MAX: Final = 1 << 22
FORGERIES_MAX: Final = 1 << 36

_KEY_PHASE: Final = 0x04


class OneRttKeys(CryptoPair):
    """Both directions of a connection; `updates` counts what the peer asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.updates = 0
        self.forgeries = 0
        self.derivations = 0
        self._next: CryptoContext | None = None
        self._previous: CryptoContext | None = None
        self._previous_until: float | None = None
        self._first_number: int | None = None  # the lowest seen of the current phase

    @property
    def is_update_requested(self) -> bool:
        """Whether the next packet is to begin a new phase."""
        return self._update_key_requested

    def decrypt_packet(
        self, packet: bytes, encrypted_offset: int, expected_packet_number: int
    ) -> tuple[bytes, bytes, int]:
        """Return header, payload and number of a packet.

        Raises:
            CryptoError: it is not the peer's, or of keys that are gone.
        """
        recv = self.recv
        if recv.aead is None or recv.hp is None:
            raise KeyUnavailableError("no keys yet")
        header, truncated = recv.hp.remove(packet, encrypted_offset)
        bits = 8 * ((header[0] & 0x03) + 1)
        number = decode_packet_number(truncated, bits, expected_packet_number)
        phase = (header[0] & _KEY_PHASE) >> 2
        keys = recv if phase == recv.key_phase else self._of_other_phase(number)
        if keys.aead is None:
            raise KeyUnavailableError("no keys of that phase")
        try:
            payload = keys.aead.decrypt(packet[len(header) :], header, number)
        except CryptoError:
            self.forgeries += 1
            raise
        if keys is self._next:
            self.updates += 1
            self._update_key("remote_update")
        if keys is not self._previous and self._first_number is None:
            self._first_number = number
        return header, payload, number

    def open(self, ciphertext: bytes, header: bytes, number: int) -> bytes | None:
        """Return the payload of a packet of the current phase, None if it is not the peer's."""
        aead = self.recv.aead
        if aead is None:
            return None
        try:
            payload = aead._aead.decrypt(
                (aead._iv ^ number).to_bytes(12, "big"), ciphertext, header
            )
        except InvalidTag:
            self.forgeries += 1
            return None
        if self._first_number is None:
            self._first_number = number
        return payload

    def tidy(self, now: float, probe_timeout: float) -> None:
        """Forget the last keys when nothing can come that was sent with them (section 6.5).

        Time runs from the first packet with the new ones: a peer that has not heard of our update
        goes on with the last.
        """
        if self._previous is None or self._first_number is None:
            return
        if self._previous_until is None:
            self._previous_until = now + 3 * probe_timeout
        elif now > self._previous_until:
            self._previous = None

    def _of_other_phase(self, number: int) -> CryptoContext:
        if self._previous is not None and (
            self._first_number is None or number < self._first_number
        ):
            return self._previous
        if self._next is None:
            self.derivations += 1
            self._next = next_key_phase(self.recv)
        return self._next

    def _update_key(self, trigger: str) -> None:
        """Go on to the next keys, in both directions."""
        recv = self.recv
        last = CryptoContext(key_phase=recv.key_phase)
        last.aead, last.hp, last.secret = recv.aead, recv.hp, recv.secret
        self._previous, self._previous_until = last, None
        self._first_number = None
        following = self._next or next_key_phase(recv)
        self._next = None
        apply_key_phase(recv, following, trigger=trigger)
        apply_key_phase(self.send, next_key_phase(self.send), trigger=trigger)
        self._update_key_requested = False
