"""Reading and judging certificates and keys: one question, one sentence each.

Pure but for reading the two files. Every complaint is a `CertificateError` that begins with the
file, says what is wrong with it and never quotes its content. RFC 5280 sections 4.1.2.5 and 6.1;
key sizes are the CA/Browser Forum's minima.
"""

import itertools
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import MD5, SHA1
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edgeproxy.errors import CertificateError

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

# A chain of three with RSA-4096 keys is some 8 KB; this only keeps us from reading a disk image.
_FILE_BYTES_MAX: Final = 256 * 1024
_RSA_BITS_MIN: Final = 2048
_EC_BITS_MIN: Final = 256


def read_chain(path: Path) -> tuple[x509.Certificate, ...]:
    """Read the certificates of a PEM file, leaf first."""
    data = _read(path)
    try:
        return tuple(x509.load_pem_x509_certificates(data))
    except ValueError:
        raise CertificateError(f"{path}: holds no valid certificate in PEM form") from None


def read_key(path: Path) -> PrivateKey:
    """Read an unencrypted private key in PEM form, of a kind and size that browsers accept."""
    data = _read(path)
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError:
        raise CertificateError(
            f"{path}: the key is encrypted; store it without a password"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError(f"{path}: holds no valid private key in PEM form") from None
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < _RSA_BITS_MIN:
            raise CertificateError(
                f"{path}: a weak key, RSA with {key.key_size} bits; at least {_RSA_BITS_MIN}"
            )
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if key.curve.key_size < _EC_BITS_MIN:
            raise CertificateError(f"{path}: a weak key, on the curve {key.curve.name}")
        return key
    raise CertificateError(f"{path}: the key is neither ECDSA nor RSA")


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
    if isinstance(chain[0].signature_hash_algorithm, SHA1 | MD5):
        raise CertificateError(f"{path}: {_called(chain[0])} is signed with a broken hash")
    for certificate, issuer in itertools.pairwise(chain):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError):
            raise CertificateError(
                f"{path}: wrong order: {_called(certificate)} is not issued by the next one, "
                f"{_called(issuer)}"
            ) from None


def subject_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return DNS names (lower case) and IP addresses of the subjectAltName."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    names = [name.lower() for name in extension.value.get_values_for_type(x509.DNSName)]
    addresses = [str(each) for each in extension.value.get_values_for_type(x509.IPAddress)]
    return (*names, *addresses)


def _called(certificate: x509.Certificate) -> str:
    return f"certificate {certificate.subject.rfc4514_string()!r}"


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise CertificateError(f"{path}: no such file") from None
    except PermissionError:
        raise CertificateError(f"{path}: not readable by this user") from None
    except IsADirectoryError:
        raise CertificateError(f"{path}: a directory, not a file") from None
    except OSError as error:
        raise CertificateError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > _FILE_BYTES_MAX:
        raise CertificateError(f"{path}: larger than any certificate or key")
    return data
