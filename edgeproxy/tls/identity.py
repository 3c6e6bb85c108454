"""An identity: who we are for a set of names, as one frozen value (RFC 5280, RFC 6125).

It has an ECDSA credential, an RSA one, or both: OpenSSL chooses by the client's signature
algorithms (RFC 8446 section 4.2.3). Loading checks everything as a whole and finishes handshakes in
memory with the result, because OpenSSL loads a mismatched pair half-way without complaint. Nothing
here watches files, fetches staples or touches a context in use.
"""

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from edgeproxy.clock import SystemClock
from edgeproxy.errors import CertificateError
from edgeproxy.tls.credential import Credential, KeyKind
from edgeproxy.tls.files import FileContent, KeyPairFiles, pairs_in, read_pairs
from edgeproxy.tls.material import (
    PrivateKey,
    check_chain,
    check_permissions,
    check_purpose,
    check_strength,
    check_validity,
    is_issued_by,
    parse_chain,
    parse_key,
)
from edgeproxy.tls.ocsp.staple import Staple
from edgeproxy.tls.proof import prove

__all__ = [
    "Credential",
    "Identity",
    "IdentitySource",
    "KeyKind",
    "KeyPairFiles",
    "check_covers",
    "load_identity",
    "uncovered",
]


@dataclass(frozen=True, eq=False)
class Identity:
    """Who we are on a connection.

    `name` is for people and logs. `credentials` are at most one of each kind, ECDSA first, all for
    the same names. `advice` is what is unwise about the files it was read from, a sentence each.
    Compare identities by `fingerprints`.
    """

    name: str
    credentials: tuple[Credential, ...]
    advice: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """DNS names and IP addresses, lower case, wildcards as `*.example.com`."""
        return self.credentials[0].names

    @functools.cached_property
    def fingerprints(self) -> tuple[str, ...]:
        """Those of the credentials, in their order."""
        return tuple(each.fingerprint for each in self.credentials)

    @property
    def not_before(self) -> datetime:
        """When all of it is valid from, in UTC."""
        return max(each.not_before for each in self.credentials)

    @property
    def not_after(self) -> datetime:
        """When the first of it expires, in UTC."""
        return min(each.not_after for each in self.credentials)

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

    def with_staples(self, staples: Mapping[str, Staple | None]) -> "Identity":
        """Return the same identity with other staples, by fingerprint; the rest keep theirs."""
        credentials = tuple(
            each.with_staple(staples.get(each.fingerprint, each.staple))
            for each in self.credentials
        )
        return dataclasses.replace(self, credentials=credentials)


@dataclass(frozen=True, slots=True)
class IdentitySource:
    """Which files make the identity of which hosts.

    `hosts` are all names of the sites that it is for. With a `folder` the files are what is in it:
    `pairs` is what was there when this value was made.
    """

    name: str
    pairs: tuple[KeyPairFiles, ...]
    hosts: tuple[str, ...]
    folder: Path | None = None

    def pairs_now(self) -> tuple[KeyPairFiles, ...]:
        """Return the pairs as they are on disk at this moment."""
        return self.pairs if self.folder is None else pairs_in(self.folder)


def load_identity(
    pairs: Sequence[KeyPairFiles],
    *,
    name: str = "",
    now: float | None = None,
    contents: Mapping[Path, FileContent] | None = None,
) -> Identity:
    """Read, check and try out one identity; `now` is seconds since the epoch, default the clock.

    `contents` is what the pairs' files held (`read_pairs`), if somebody has read them already.

    Raises:
        CertificateError: with a sentence that begins with the file at fault.
    """
    if not pairs:
        raise CertificateError(f"identity {name!r}: no files are named")
    moment = datetime.fromtimestamp(SystemClock().now() if now is None else now, UTC)
    held = read_pairs(pairs) if contents is None else contents
    loaded = [(_credential(pair, held, moment), pair) for pair in pairs]
    loaded.sort(key=lambda each: each[0].kind)  # ECDSA first: it is what most clients get
    _check_together(loaded)
    advice = [check_permissions(held[pair.key].mode, pair.key) for pair in pairs]
    called = name or pairs[0].chain.parent.name
    return Identity(
        called, tuple(credential for credential, _ in loaded), tuple(filter(None, advice))
    )


def uncovered(hosts: Iterable[str], identities: Iterable[Identity]) -> list[str]:
    """Return the hosts that none of the identities covers, in order: a configuration check."""
    known = list(identities)
    return [host for host in hosts if not any(identity.covers(host) for identity in known)]


def check_covers(identity: Identity, hosts: Iterable[str]) -> None:
    """Refuse an identity that does not cover all of these hosts.

    When one takes another's place, ask for what the earlier one covered of its source's hosts: an
    alias may be another identity's to cover.

    Raises:
        CertificateError: with the hosts that it does not cover.
    """
    if missing := uncovered(hosts, [identity]):
        raise CertificateError(f"identity {identity.name!r}: does not cover {', '.join(missing)}")


def _credential(
    pair: KeyPairFiles, contents: Mapping[Path, FileContent], now: datetime
) -> Credential:
    check_permissions(contents[pair.key].mode, pair.key)
    chain = parse_chain(contents[pair.chain].data, pair.chain)
    key = parse_key(contents[pair.key].data, pair.key)
    try:
        return _checked(pair, chain, key, contents, now)
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        # `cryptography` reads many parts of a certificate only when they are asked for.
        raise CertificateError(f"{pair.chain}: cannot be understood: {error}") from error


def _checked(
    pair: KeyPairFiles,
    chain: tuple[x509.Certificate, ...],
    key: PrivateKey,
    contents: Mapping[Path, FileContent],
    now: datetime,
) -> Credential:
    check_validity(chain, now, pair.chain)
    check_chain(chain, pair.chain)
    check_strength(chain, pair.chain)
    check_purpose(chain[0], pair.chain)
    credential = Credential(chain, key, issuer=_issuer(pair, chain, contents))
    if not credential.names:
        raise CertificateError(f"{pair.chain}: the certificate names no host (subjectAltName)")
    if key.public_key() != chain[0].public_key():
        raise CertificateError(f"{pair.key}: the key does not belong to {pair.chain}")
    try:
        prove([credential])
    except CertificateError as error:
        raise CertificateError(f"{pair.chain}: {error}") from error
    return credential


def _issuer(
    pair: KeyPairFiles,
    chain: tuple[x509.Certificate, ...],
    contents: Mapping[Path, FileContent],
) -> x509.Certificate | None:
    """Return the chain's second certificate, or the one of the issuer file that issued the leaf."""
    if len(chain) > 1:
        return chain[1]
    if pair.issuer is None:
        return None
    for certificate in parse_chain(contents[pair.issuer].data, pair.issuer):
        if is_issued_by(chain[0], certificate):
            return certificate
    raise CertificateError(f"{pair.issuer}: holds no certificate that issued {pair.chain}")


def _check_together(loaded: Sequence[tuple[Credential, KeyPairFiles]]) -> None:
    """Require different kinds, the same names, and that OpenSSL tells them apart."""
    (first, first_files), *others = loaded
    kinds: dict[KeyKind, Path] = {first.kind: first_files.chain}
    for credential, files in others:
        if credential.kind in kinds:
            raise CertificateError(
                f"{files.chain}: a second {credential.kind.upper()} certificate beside "
                f"{kinds[credential.kind]}; an identity has one of each kind"
            )
        kinds[credential.kind] = files.chain
        if differing := sorted(set(first.names) ^ set(credential.names)):
            raise CertificateError(
                f"{files.chain}: names other hosts than {first_files.chain}: "
                f"only one of them has {', '.join(differing)}"
            )
    if others:
        try:
            prove([credential for credential, _ in loaded])
        except CertificateError as error:
            raise CertificateError(f"{others[-1][1].chain}: {error}") from error


def _normal_address(host: str) -> str:
    try:
        return str(ip_address(host.strip("[]")))
    except ValueError:
        return ""
