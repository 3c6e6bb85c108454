"""A credential: one certificate with its chain, its key and its staple, as one frozen value.

An identity has one or two of them (`identity`). Nothing here reads a file or judges a certificate.
"""

import dataclasses
import functools
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from edgeproxy.tls.material import PrivateKey, subject_names
from edgeproxy.tls.ocsp.staple import Staple

KeyKind = Literal["ecdsa", "rsa"]


@dataclass(frozen=True, eq=False)
class Credential:
    """What proves a name to clients that accept its kind of signature.

    `chain` has the leaf first. `issuer` is the certificate that issued the leaf, where it is known:
    OCSP needs it. Compare credentials by `fingerprint`.
    """

    chain: tuple[x509.Certificate, ...]
    key: PrivateKey
    staple: Staple | None = None
    issuer: x509.Certificate | None = None

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate of our own."""
        return self.chain[0]

    @property
    def kind(self) -> KeyKind:
        """What signatures it makes."""
        return "ecdsa" if isinstance(self.key, ec.EllipticCurvePrivateKey) else "rsa"

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the leaf, lower-case hexadecimal."""
        return self.leaf.fingerprint(SHA256()).hex()

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """What the leaf is valid for, in its order: DNS names and IP addresses."""
        return subject_names(self.leaf)

    @property
    def not_before(self) -> datetime:
        """Start of the leaf's validity, in UTC."""
        return self.leaf.not_valid_before_utc

    @property
    def not_after(self) -> datetime:
        """End of the leaf's validity, in UTC."""
        return self.leaf.not_valid_after_utc

    def with_staple(self, staple: Staple | None) -> "Credential":
        """Return the same credential with another staple."""
        return dataclasses.replace(self, staple=staple)
