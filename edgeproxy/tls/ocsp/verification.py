"""Judges a response by hand, since `cryptography` parses OCSP but verifies nothing.

A staple comes out only for a response that clients would take too: successful, about our leaf and
our issuer, signed by that issuer or by a responder that it has appointed, in time, and GOOD.
Nothing is believed before the signature holds, so nobody on the path can make us believe in a
revocation. Total: octets from the network never raise. RFC 6960 sections 3.2 and 4.2.2.

Stricter than the RFC: no signatures with MD5, SHA-1 or SHA-224 (the CA/Browser Forum forbade SHA-1
in 2022 and clients' libraries refuse it), and no critical extensions, of which we know none. Not
done: asking whether a responder's own certificate is revoked (id-pkix-ocsp-nocheck is the rule).
"""

from collections.abc import Iterator
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA224
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from edgeproxy.tls.ocsp.certificate import certificate_id
from edgeproxy.tls.ocsp.refusal import Refusal, Refused
from edgeproxy.tls.ocsp.signatures import check_signature
from edgeproxy.tls.ocsp.staple import Staple

# Ours: real responses have 300 B to 5 KB, and each handshake carries one.
RESPONSE_BYTES_MAX: Final = 64 * 1024
# How far a responder's clock may be ahead of ours; what most clients allow.
_SKEW_SECONDS: Final = 300.0
# Ours: how long "newer information is always available" (RFC 6960 section 4.2.2.1) is good for.
_UNBOUNDED_SECONDS: Final = 86_400.0
# Ours: clients whose clocks are ahead refuse a staple early. A quarter of the validity where five
# minutes are more than that, so that responses valid for minutes can be stapled at all.
_MARGIN_SECONDS: Final = 300.0
_MARGIN_SHARE: Final = 0.25

_STATUSES: Final = {
    ocsp.OCSPResponseStatus.MALFORMED_REQUEST: Refusal.MALFORMED_REQUEST,
    ocsp.OCSPResponseStatus.INTERNAL_ERROR: Refusal.INTERNAL_ERROR,
    ocsp.OCSPResponseStatus.TRY_LATER: Refusal.TRY_LATER,
    ocsp.OCSPResponseStatus.SIG_REQUIRED: Refusal.SIG_REQUIRED,
    ocsp.OCSPResponseStatus.UNAUTHORIZED: Refusal.UNAUTHORIZED,
}


def verify(
    der: bytes, leaf: x509.Certificate, issuer: x509.Certificate, now: float
) -> Staple | Refused:
    """Return the response as a staple, or why it must not be handed out at `now`."""
    if len(der) > RESPONSE_BYTES_MAX:
        return Refused(Refusal.TOO_LARGE, f"{len(der)} octets")
    try:
        return _judge(der, leaf, issuer, now)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        return Refused(Refusal.GARBAGE, str(error))
    except BaseException as error:
        # The parser is Rust: a panic in it is a BaseException of a class that cannot be imported.
        if type(error).__name__ != "PanicException":
            raise
        return Refused(Refusal.GARBAGE, "the parser gave up")


def _judge(
    der: bytes, leaf: x509.Certificate, issuer: x509.Certificate, now: float
) -> Staple | Refused:
    response = ocsp.load_der_ocsp_response(der)
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        return Refused(_STATUSES[response.response_status])
    if any(extension.critical for extension in response.extensions):
        return Refused(Refusal.GARBAGE, "a critical extension")
    ours = _about(response, leaf, issuer)
    if isinstance(ours, Refused):
        return ours
    signer = _signer(response, issuer, now)
    if isinstance(signer, Refused):
        return signer
    # Clients look at the first that fits them: all have to be good, and the shortest counts.
    staples = []
    for single in ours:
        judged = _judge_single(der, single, signer, now)
        if isinstance(judged, Refused):
            return judged
        staples.append(judged)
    return min(staples, key=lambda staple: staple.usable_until)


def _about(
    response: ocsp.OCSPResponse, leaf: x509.Certificate, issuer: x509.Certificate
) -> list[ocsp.OCSPSingleResponse] | Refused:
    """Return the single responses about our leaf, at least one."""
    same_serial = [each for each in response.responses if each.serial_number == leaf.serial_number]
    if not same_serial:
        return Refused(Refusal.WRONG_SERIAL, f"says nothing of serial {leaf.serial_number:x}")
    ours = [each for each in same_serial if _is_from(each, leaf, issuer)]
    return ours or Refused(Refusal.WRONG_ISSUER, "the serial is ours, its issuer is not")


def _is_from(
    single: ocsp.OCSPSingleResponse, leaf: x509.Certificate, issuer: x509.Certificate
) -> bool:
    expected = certificate_id(leaf, issuer, single.hash_algorithm)
    return (single.issuer_name_hash, single.issuer_key_hash) == expected[:2]


def _signer(
    response: ocsp.OCSPResponse, issuer: x509.Certificate, now: float
) -> x509.Certificate | Refused:
    """Return whose signature holds and who may sign (RFC 6960 section 4.2.2.2)."""
    refused = Refused(Refusal.WRONG_SIGNER, "neither the issuer nor a certificate in the response")
    for candidate in _candidates(response, issuer):
        # A stranger's key is not even tried: whether we trust it comes first.
        refusal = None if candidate is issuer else _unauthorized(candidate, issuer, now)
        refusal = refusal or check_signature(response, candidate)
        if refusal is None:
            return candidate
        refused = refusal
    return refused


def _candidates(
    response: ocsp.OCSPResponse, issuer: x509.Certificate
) -> Iterator[x509.Certificate]:
    """Yield the certificates that the ResponderID fits, the issuer first."""
    for certificate in (issuer, *response.certificates):
        if response.responder_name is not None:
            if certificate.subject == response.responder_name:
                yield certificate
        elif _key_hash(certificate) == response.responder_key_hash:
            yield certificate


def _key_hash(certificate: x509.Certificate) -> bytes:
    return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest


def _unauthorized(
    certificate: x509.Certificate, issuer: x509.Certificate, now: float
) -> Refused | None:
    """Return why a certificate of the response may not sign for this issuer."""
    who = certificate.subject.rfc4514_string()
    if isinstance(certificate.signature_hash_algorithm, MD5 | SHA1 | SHA224):
        return Refused(Refusal.WEAK_SIGNATURE, f"on the certificate of {who}")
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return Refused(Refusal.WRONG_SIGNER, f"{who} is not appointed by our issuer")
    if not _is_for_ocsp(certificate):
        return Refused(Refusal.WRONG_SIGNER, f"{who} is not for signing OCSP responses")
    if not _starts(certificate) <= now + _SKEW_SECONDS or now >= _ends(certificate):
        return Refused(Refusal.SIGNER_EXPIRED, f"{who} is not valid now")
    return None


def _is_for_ocsp(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.OCSP_SIGNING in usage.value


def _judge_single(
    der: bytes, single: ocsp.OCSPSingleResponse, signer: x509.Certificate, now: float
) -> Staple | Refused:
    this_update = single.this_update_utc.timestamp()
    named = single.next_update_utc
    next_update = this_update + _UNBOUNDED_SECONDS if named is None else named.timestamp()
    if this_update > now + _SKEW_SECONDS:
        return Refused(Refusal.NOT_YET_VALID, f"thisUpdate is {single.this_update_utc:%F %T} UTC")
    ends = min(next_update, _ends(signer))
    staple = Staple(der, this_update, next_update, ends - _margin(ends - this_update))
    if single.certificate_status is ocsp.OCSPCertStatus.REVOKED and now < ends:
        return Refused(Refusal.REVOKED, f"since {single.revocation_time_utc:%F %T} UTC")
    if not staple.is_usable(now):
        return Refused(Refusal.EXPIRED, f"thisUpdate was {single.this_update_utc:%F %T} UTC")
    if single.certificate_status is not ocsp.OCSPCertStatus.GOOD:
        return Refused(Refusal.UNKNOWN, "the responder does not know the certificate")
    return staple


def _margin(validity_seconds: float) -> float:
    return min(_MARGIN_SECONDS, max(0.0, validity_seconds) * _MARGIN_SHARE)


def _starts(certificate: x509.Certificate) -> float:
    return certificate.not_valid_before_utc.timestamp()


def _ends(certificate: x509.Certificate) -> float:
    return certificate.not_valid_after_utc.timestamp()
