"""A certificate authority for this machine only, for demos, tests and development.

Its root is name-constrained (RFC 5280 section 4.2.1.10) to `localhost`, names under it and
loopback addresses, critically: to trust it is not to trust it with the rest of the internet.
Leaves are ECDSA P-256, or RSA with 2048 bits where asked for. Files are replaced atomically, keys
readable by their owner only, and both are reused while they are good for another week. Never used
in production: nothing loads it unless asked by name.
"""

import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edgeproxy.clock import SystemClock
from edgeproxy.errors import CertificateError
from edgeproxy.tls.files import KeyPairFiles
from edgeproxy.tls.material import PrivateKey, read_chain, read_key, subject_names

KeyType = Literal["ecdsa", "rsa"]
LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")
_CA_DAYS: Final = 825
_LEAF_DAYS: Final = 90
_RSA_BITS: Final = 2048  # what browsers take at least, and the fastest of these
_RENEW_BEFORE: Final = timedelta(days=7)
_LOCAL_NAME: Final = re.compile(
    r"(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)*localhost", re.ASCII
)
_BACKDATED: Final = timedelta(hours=1)  # clocks of containers and their hosts differ


@dataclass(frozen=True)
class DevelopmentCa:
    """The root: its certificate, its key, and the file that clients are to trust."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    path: Path


@dataclass(frozen=True)
class DevelopmentLeaf:
    """The files of an identity, as `load_identity` reads them."""

    chain_path: Path
    key_path: Path

    @property
    def files(self) -> KeyPairFiles:
        """Both of them."""
        return KeyPairFiles(self.chain_path, self.key_path)


def make_ca(directory: Path, *, now: float | None = None) -> DevelopmentCa:
    """Return the authority kept in `directory` (`ca.pem`, `ca-key.pem`), made anew if need be."""
    moment = _moment(now)
    path, key_path = directory / "ca.pem", directory / "ca-key.pem"
    try:
        (certificate, *_), key = read_chain(path), read_key(key_path)
        if isinstance(key, ec.EllipticCurvePrivateKey) and _is_good(certificate, key, moment):
            return DevelopmentCa(certificate, key, path)
    except CertificateError:
        pass  # absent or damaged: ours to make again
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _ca_certificate(key, moment)
    _write(key_path, _key_pem(key), mode=0o600)
    _write(path, _pem(certificate), mode=0o644)
    return DevelopmentCa(certificate, key, path)


def issue_leaf(
    ca: DevelopmentCa,
    directory: Path,
    names: Sequence[str] = LOOPBACK_NAMES,
    *,
    key_type: KeyType = "ecdsa",
    suffix: str = "",
    now: float | None = None,
) -> DevelopmentLeaf:
    """Return `fullchain.pem` and `key.pem` in `directory` for these names and addresses.

    `suffix` goes before `.pem`, for a second type of key beside the first.

    Issued anew if they are missing, damaged, from another authority, for other names, or good for
    less than a week. The authority's constraints are checked here, where the message can say so.

    Raises:
        CertificateError: a name outside of what the authority may issue for.
    """
    for name in names:
        check_name(name)
    moment = _moment(now)
    leaf = DevelopmentLeaf(directory / f"fullchain{suffix}.pem", directory / f"key{suffix}.pem")
    if not _is_reusable(leaf, ca, names, key_type, moment):
        key = _new_key(key_type)
        certificate = _leaf_certificate(ca, key, names, moment)
        _write(leaf.key_path, _key_pem(key), mode=0o600)
        _write(leaf.chain_path, _pem(certificate), mode=0o644)
    return leaf


def issue_both(
    ca: DevelopmentCa,
    directory: Path,
    names: Sequence[str] = LOOPBACK_NAMES,
    key_types: Sequence[KeyType] = ("ecdsa", "rsa"),
    *,
    now: float | None = None,
) -> tuple[DevelopmentLeaf, ...]:
    """Return one leaf per type of key, in the layout of `tls.certs_dir`.

    The first has no suffix, the other one its type's. A second one from earlier that is not asked
    for is removed, since it would be served. `issuer.pem` is who signed them, for OCSP: the root
    stays out of the chain.

    Raises:
        CertificateError: a name outside of what the authority may issue for.
    """
    suffixes = ["" if at == 0 else f"-{kind}" for at, kind in enumerate(key_types)]
    leaves = tuple(
        issue_leaf(ca, directory, names, key_type=kind, suffix=suffix, now=now)
        for kind, suffix in zip(key_types, suffixes, strict=True)
    )
    for suffix in {"-ecdsa", "-rsa"} - set(suffixes):
        for stem in ("fullchain", "key"):
            (directory / f"{stem}{suffix}.pem").unlink(missing_ok=True)
    _write(directory / "issuer.pem", _pem(ca.certificate), mode=0o644)
    return leaves


def check_name(name: str) -> None:
    """Require a name or address that the authority may issue for.

    Raises:
        CertificateError: it is another.
    """
    try:
        is_permitted = ip_address(name).is_loopback and "%" not in name  # a zone can be any text
    except ValueError:
        is_permitted = _LOCAL_NAME.fullmatch(name.lower()) is not None
    if not is_permitted:
        raise CertificateError(
            f"the development CA issues for localhost, .localhost and loopback only, not {name!r}"
        )


def _is_reusable(
    leaf: DevelopmentLeaf,
    ca: DevelopmentCa,
    names: Sequence[str],
    key_type: KeyType,
    now: datetime,
) -> bool:
    try:
        (certificate, *_), key = read_chain(leaf.chain_path), read_key(leaf.key_path)
        certificate.verify_directly_issued_by(ca.certificate)
    except Exception:  # noqa: BLE001 - whatever is wrong with the files, new ones are the answer
        return False
    return (
        isinstance(key, ec.EllipticCurvePrivateKey if key_type == "ecdsa" else rsa.RSAPrivateKey)
        and _is_good(certificate, key, now)
        and set(subject_names(certificate)) == {_normal(name) for name in names}
    )


def _new_key(key_type: KeyType) -> PrivateKey:
    if key_type == "ecdsa":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, _RSA_BITS)


def _is_good(certificate: x509.Certificate, key: PrivateKey, now: datetime) -> bool:
    return (
        certificate.public_key() == key.public_key()
        and certificate.not_valid_before_utc <= now
        and now + _RENEW_BEFORE < certificate.not_valid_after_utc
    )


def _ca_certificate(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "edgeproxy development"),
            x509.NameAttribute(NameOID.COMMON_NAME, "edgeproxy development CA, this machine only"),
        ]
    )
    constraints = x509.NameConstraints(
        permitted_subtrees=[
            x509.DNSName("localhost"),  # the name itself and everything under it
            x509.IPAddress(IPv4Network("127.0.0.0/8")),
            x509.IPAddress(IPv6Network("::1/128")),
        ],
        excluded_subtrees=None,
    )
    builder = _builder(subject, subject, key.public_key(), now, _CA_DAYS)
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(is_ca=True), critical=True)
        .add_extension(constraints, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _leaf_certificate(
    ca: DevelopmentCa, key: PrivateKey, names: Sequence[str], now: datetime
) -> x509.Certificate:
    issuer = ca.certificate.subject
    identifier = ca.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = _builder(_leaf_subject(names), issuer, key.public_key(), now, _LEAF_DAYS)
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(is_ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(ca.key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    now: datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
    )


def _key_usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _leaf_subject(names: Sequence[str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name.lower())


def _normal(name: str) -> str:
    try:
        return str(ip_address(name))
    except ValueError:
        return name.lower()


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, data: bytes, *, mode: int) -> None:
    """Replace a file in one step; the key is never on disk with wider permissions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb"
        ) as file:
            file.write(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _moment(now: float | None) -> datetime:
    return datetime.fromtimestamp(SystemClock().now() if now is None else now, UTC)
