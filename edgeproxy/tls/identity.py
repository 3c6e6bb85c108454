"""An identity: certificate, chain, key and staple as one frozen value (RFC 5280, RFC 6125).

Loading checks everything at once and finishes a handshake in memory with the result, because
OpenSSL loads a mismatched pair half-way without complaint. Nothing here watches files, fetches
staples or touches a context in use.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from edgeproxy.clock import SystemClock
from edgeproxy.errors import CertificateError
from edgeproxy.tls.material import (
    PrivateKey,
    check_chain,
    check_validity,
    read_chain,
    read_key,
    subject_names,
)
from edgeproxy.tls.proof import prove


@dataclass(frozen=True, eq=False)
class Identity:
    """Who we are on a connection.

    `name` is for people and logs. `names` are the DNS names and IP addresses of the leaf, lower
    case, wildcards as `*.example.com`. `staple` is a DER OCSP response to hand out, None for none.
    Compare identities by `fingerprint`.
    """

    name: str
    chain: tuple[x509.Certificate, ...]
    key: PrivateKey
    staple: bytes | None = None

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate of our own."""
        return self.chain[0]

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """What the leaf is valid for, in its order."""
        return subject_names(self.leaf)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the leaf, lower-case hexadecimal."""
        return self.leaf.fingerprint(SHA256()).hex()

    @property
    def not_before(self) -> datetime:
        """Start of the leaf's validity, in UTC."""
        return self.leaf.not_valid_before_utc

    @property
    def not_after(self) -> datetime:
        """End of the leaf's validity, in UTC."""
        return self.leaf.not_valid_after_utc

    @functools.cached_property
    def _covered(self) -> frozenset[str]:
        return frozenset(self.names)

    def covers(self, host: str) -> bool:
        """Tell whether the leaf names that (lower-case) host or IP address.

        A wildcard stands for exactly one label, the leftmost (RFC 6125 section 6.4.3). Two set
        look-ups: it needs no memory of hosts, which clients could fill.
        """
        if host in self._covered:
            return True
        _, dot, parent = host.partition(".")
        if dot and f"*.{parent}" in self._covered:
            return not host.startswith(("*", ".")) and not parent.isdigit()
        return ":" in host and _normal_address(host) in self._covered


def load_identity(
    chain_path: Path, key_path: Path, *, name: str = "", now: float | None = None
) -> Identity:
    """Read, check and try out one identity; `now` is seconds since the epoch, default the clock.

    Raises:
        CertificateError: with a sentence that begins with the file at fault.
    """
    moment = datetime.fromtimestamp(SystemClock().now() if now is None else now, UTC)
    chain = read_chain(chain_path)
    key = read_key(key_path)
    check_validity(chain, moment, chain_path)
    check_chain(chain, chain_path)
    if not subject_names(chain[0]):
        raise CertificateError(f"{chain_path}: the certificate names no host (subjectAltName)")
    if key.public_key() != chain[0].public_key():
        raise CertificateError(f"{key_path}: the key does not belong to {chain_path}")
    identity = Identity(name or chain_path.parent.name, chain, key)
    try:
        prove(chain, key)
    except CertificateError as error:
        raise CertificateError(f"{chain_path}: {error}") from error
    return identity


def uncovered(hosts: Iterable[str], identities: Iterable[Identity]) -> list[str]:
    """Return the hosts that none of the identities covers, in order: a configuration check."""
    known = list(identities)
    return [host for host in hosts if not any(identity.covers(host) for identity in known)]


def _normal_address(host: str) -> str:
    try:
        return str(ip_address(host.strip("[]")))
    except ValueError:
        return ""
