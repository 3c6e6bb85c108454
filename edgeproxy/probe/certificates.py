"""Certificates as a report shows them, and what can be wrong with a chain by itself.

Pure. Trust is judged in the handshake (`offers`), by the same code that clients run.
"""

import itertools
from datetime import UTC, datetime
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from edgeproxy.tls.material import subject_names


def fingerprint(certificate: x509.Certificate) -> str:
    """Return SHA-256 in lower-case hexadecimal."""
    return certificate.fingerprint(SHA256()).hex()


def key_type(certificate: x509.Certificate) -> str:
    """Return `ecdsa`, `rsa`, or `other` for kinds that browsers do not know."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "other"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "ecdsa"
    return "rsa" if isinstance(key, rsa.RSAPublicKey) else "other"


def covers(certificate: x509.Certificate, host: str) -> bool:
    """Tell whether it names that host; a wildcard stands for one label (RFC 6125 section 6.4.3)."""
    names = _names(certificate)
    try:
        return str(ip_address(host)) in names
    except ValueError:
        _, dot, parent = host.partition(".")
        return host in names or (bool(dot) and f"*.{parent}" in names)


def days_left(certificate: x509.Certificate, now: float) -> float:
    """Return the days until it expires, negative after."""
    ends = certificate.not_valid_after_utc
    return (ends - datetime.fromtimestamp(now, UTC)).total_seconds() / 86400


def complaints(
    chain: tuple[x509.Certificate, ...], host: str, now: float, days_min: float
) -> list[str]:
    """Say what is wrong with a chain that was sent for that host, a sentence each."""
    leaf, found = chain[0], []
    if not covers(leaf, host):
        names = ", ".join(_names(leaf)) or "nobody"
        found.append(f"the certificate is not for {host} but for {names}")
    for certificate in chain:
        found += _about_dates(certificate, now)
    left = days_left(leaf, now)
    if 0 <= left < days_min:
        found.append(f"the certificate expires in {left:.1f} days, wanted are {days_min:g}")
    for certificate, issuer in itertools.pairwise(chain):
        if not is_issued_by(certificate, issuer):
            found.append(f"the chain is out of order after {_subject(certificate)}")
    return found


def as_json(certificate: x509.Certificate, now: float) -> dict[str, object]:
    """Return what there is to know of one certificate."""
    return {
        "subject": _subject(certificate),
        "issuer": certificate.issuer.rfc4514_string(),
        "names": list(_names(certificate)),
        "key_type": key_type(certificate),
        "sha256": fingerprint(certificate),
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "days_left": round(days_left(certificate, now), 2),
    }


def _about_dates(certificate: x509.Certificate, now: float) -> list[str]:
    moment = datetime.fromtimestamp(now, UTC)
    if moment > certificate.not_valid_after_utc:
        return [f"{_subject(certificate)} expired on {certificate.not_valid_after_utc:%Y-%m-%d}"]
    if moment < certificate.not_valid_before_utc:
        begins = certificate.not_valid_before_utc
        return [f"{_subject(certificate)} is not valid before {begins:%Y-%m-%d}"]
    return []


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's name and signature are on it."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        return subject_names(certificate)
    except ValueError:  # an extension that does not parse
        return ()


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()
