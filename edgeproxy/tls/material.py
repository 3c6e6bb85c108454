"""Judging certificates and keys: one question, one sentence each.

Pure but for `read_chain` and `read_key`. Every complaint is a `CertificateError` that begins with
the file, says what is wrong with it and never quotes its content. RFC 5280 sections 4.1.2.5 and
6.1; key sizes are the CA/Browser Forum's minima.
"""

import itertools
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import MD5, SHA1, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from edgeproxy.errors import CertificateError
from edgeproxy.tls.files import read

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

Extension = TypeVar("Extension", bound=x509.ExtensionType)

_RSA_BITS_MIN: Final = 2048
_EC_BITS_MIN: Final = 256
_SERVER_PURPOSES: Final = {
    ExtendedKeyUsageOID.SERVER_AUTH,
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
}
_WRITABLE_BY_OTHERS: Final = 0o022
_READABLE_BY_OTHERS: Final = 0o004


def read_chain(path: Path) -> tuple[x509.Certificate, ...]:
    """Read the certificates of a PEM file, leaf first."""
    return parse_chain(read(path).data, path)


def read_key(path: Path) -> PrivateKey:
    """Read an unencrypted private key in PEM form, of a kind and size that browsers accept."""
    return parse_key(read(path).data, path)


def parse_chain(data: bytes, path: Path) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a PEM text, leaf first; one that was cut short is none."""
    try:
        chain = tuple(x509.load_pem_x509_certificates(data))
    except ValueError:
        chain = ()
    if not chain or len(chain) != data.count(b"-----BEGIN CERTIFICATE-----"):
        raise CertificateError(f"{path}: holds no valid certificate in PEM form")
    return chain


def parse_key(data: bytes, path: Path) -> PrivateKey:
    """Return the private key of a PEM text, of a kind and size that browsers accept."""
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError:
        raise CertificateError(
            f"{path}: the key is encrypted; store it without a password"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError(f"{path}: holds no valid private key in PEM form") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise CertificateError(f"{path}: the key is neither ECDSA nor RSA")
    if weakness := _weakness(key.public_key()):
        raise CertificateError(f"{path}: a weak key, {weakness}")
    return key


def check_permissions(mode: int, path: Path) -> str:
    """Refuse a key that others may write; return advice about one that others may read, or "".

    Reading is no fault: container platforms mount secrets that way, for one process alone.
    """
    if mode & _WRITABLE_BY_OTHERS:
        raise CertificateError(
            f"{path}: others than its owner may write it (mode {mode:04o}); chmod go-w"
        )
    if mode & _READABLE_BY_OTHERS:
        return f"{path}: everybody on this machine may read it (mode {mode:04o}); chmod o-r"
    return ""


def check_validity(chain: tuple[x509.Certificate, ...], now: datetime, path: Path) -> None:
    """Refuse certificates that are expired or not valid yet, whichever of the chain."""
    for certificate in chain:
        who = _called(certificate)
        if now > certificate.not_valid_after_utc:
            raise CertificateError(
                f"{path}: {who} expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
            )
        if now < certificate.not_valid_before_utc:
            raise CertificateError(
                f"{path}: {who} is not valid before "
                f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
            )


def check_chain(chain: tuple[x509.Certificate, ...], path: Path) -> None:
    """Require each certificate to be issued by the next, leaf first (RFC 8446 section 4.4.2).

    TLS 1.3 lets clients put up with any order; not all of them do.
    """
    for certificate, issuer in itertools.pairwise(chain):
        if not is_issued_by(certificate, issuer):
            raise CertificateError(
                f"{path}: wrong order: {_called(certificate)} is not issued by the next one, "
                f"{_called(issuer)}"
            )


def check_strength(chain: tuple[x509.Certificate, ...], path: Path) -> None:
    """Refuse weak keys and broken hashes anywhere in the chain, as clients do.

    Nobody looks at the signature of a root, which is its own.
    """
    for certificate in chain:
        is_root = certificate is not chain[0] and certificate.subject == certificate.issuer
        if not is_root and isinstance(_hash(certificate), SHA1 | MD5):
            raise CertificateError(f"{path}: {_called(certificate)} is signed with a broken hash")
        if weakness := _weakness(certificate.public_key()):
            raise CertificateError(f"{path}: {_called(certificate)} has a weak key, {weakness}")


def check_purpose(leaf: x509.Certificate, path: Path) -> None:
    """Refuse a leaf that says that it is for something else than a TLS 1.3 server.

    RFC 5280 sections 4.2.1.3 and 4.2.1.12; one that says nothing is for everything.
    """
    extended = _extension(leaf, x509.ExtendedKeyUsage)
    if extended is not None and not _SERVER_PURPOSES & set(extended):
        raise CertificateError(f"{path}: {_called(leaf)} is not for servers (extendedKeyUsage)")
    usage = _extension(leaf, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        raise CertificateError(f"{path}: {_called(leaf)} is not for signatures (keyUsage)")


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether `issuer` really signed it: names alone can be the same by chance."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def subject_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return DNS names (lower case) and IP addresses of the subjectAltName."""
    extension = _extension(certificate, x509.SubjectAlternativeName)
    if extension is None:
        return ()
    names = [name.lower() for name in extension.get_values_for_type(x509.DNSName)]
    addresses = [str(each) for each in extension.get_values_for_type(x509.IPAddress)]
    return (*names, *addresses)


def _extension(certificate: x509.Certificate, kind: type[Extension]) -> Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _hash(certificate: x509.Certificate) -> HashAlgorithm | None:
    try:
        return certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None


def _weakness(key: object) -> str:
    """Say what makes a public key weak, "" for nothing."""
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _RSA_BITS_MIN:
        return f"RSA with {key.key_size} bits; at least {_RSA_BITS_MIN}"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size < _EC_BITS_MIN:
        return f"on the curve {key.curve.name}"
    return ""


def _called(certificate: x509.Certificate) -> str:
    return f"certificate {certificate.subject.rfc4514_string()!r}"
