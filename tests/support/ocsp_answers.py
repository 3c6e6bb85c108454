"""What an OCSP responder says, the true and the false, as DER; no network.

answers = OcspAnswers(ca, ca.ocsp_signer())
der = answers.about(leaf.certificate, mode="revoked")
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Literal, get_args

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from tests.support.ca import LocalCa, PrivateKey

# Modes of which the answer is an OCSP response, or at least pretends to be one.
AnswerMode = Literal[
    "good",
    "revoked",
    "unknown",
    "try_later",
    "internal_error",
    "unauthorized",
    "unauthorized_then_sha256",
    "malformed_request",
    "sig_required",
    "garbage",
    "wrong_serial",
    "wrong_issuer",
    "wrong_signer",
    "signer_without_usage",
    "expired_signer",
    "bad_signature",
    "weak_signature",
    "expired",
    "future",
    "no_next_update",
]
ANSWER_MODES: tuple[AnswerMode, ...] = get_args(AnswerMode)
Signer = tuple[x509.Certificate, PrivateKey]

_STATUSES = {
    "try_later": ocsp.OCSPResponseStatus.TRY_LATER,
    "internal_error": ocsp.OCSPResponseStatus.INTERNAL_ERROR,
    "unauthorized": ocsp.OCSPResponseStatus.UNAUTHORIZED,
    "malformed_request": ocsp.OCSPResponseStatus.MALFORMED_REQUEST,
    "sig_required": ocsp.OCSPResponseStatus.SIG_REQUIRED,
}
_CERTIFICATE_STATUSES = {
    "revoked": ocsp.OCSPCertStatus.REVOKED,
    "unknown": ocsp.OCSPCertStatus.UNKNOWN,
}


@dataclass
class OcspAnswers:
    """Signs for one authority: by an appointed signer, or by the authority where there is none."""

    ca: LocalCa
    signer: Signer | None = None
    foreign: LocalCa | None = None  # whose signer "wrong_signer" takes; by default one made for it
    lifetime: timedelta = timedelta(days=4)
    age: timedelta = timedelta(hours=1)
    by_name: bool = True
    moment: datetime | None = None  # when it is, for the responder; by default now
    hash_algorithm: hashes.HashAlgorithm = field(default_factory=hashes.SHA256)

    def about(
        self,
        leaf: x509.Certificate,
        mode: AnswerMode = "good",
        algorithm: hashes.HashAlgorithm | None = None,
    ) -> bytes:
        """Answer a request for that leaf as if it had come with that kind of CertID."""
        builder = ocsp.OCSPRequestBuilder().add_certificate(
            leaf, self.ca.certificate, algorithm or hashes.SHA1()
        )
        return self.to(builder.build(), mode)

    def to(self, request: ocsp.OCSPRequest, mode: AnswerMode = "good") -> bytes:
        """Answer a request."""
        if mode == "garbage":
            return b"0\x82\x01\x00 this is not a response"
        if mode == "unauthorized_then_sha256" and isinstance(request.hash_algorithm, hashes.SHA1):
            mode = "unauthorized"
        if mode in _STATUSES:
            response = ocsp.OCSPResponseBuilder.build_unsuccessful(_STATUSES[mode])
            return response.public_bytes(Encoding.DER)
        response = self._signed(request, mode)
        der = response.public_bytes(Encoding.DER)
        return _with_broken_signature(der, response) if mode == "bad_signature" else der

    def _signed(self, request: ocsp.OCSPRequest, mode: AnswerMode) -> ocsp.OCSPResponse:
        certificate, key = self._signer(mode)
        this_update, next_update = self._times(mode)
        status = _CERTIFICATE_STATUSES.get(mode, ocsp.OCSPCertStatus.GOOD)
        name_hash = request.issuer_name_hash
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            name_hash[::-1] if mode == "wrong_issuer" else name_hash,
            request.issuer_key_hash,
            request.serial_number + (mode == "wrong_serial"),
            request.hash_algorithm,
            status,
            this_update,
            next_update,
            this_update if mode == "revoked" else None,
            x509.ReasonFlags.key_compromise if mode == "revoked" else None,
        )
        encoding = (
            ocsp.OCSPResponderEncoding.NAME if self.by_name else ocsp.OCSPResponderEncoding.HASH
        )
        builder = builder.responder_id(encoding, certificate)
        if certificate is not self.ca.certificate:
            builder = builder.certificates([certificate])
        return builder.sign(key, self._hash(key, mode))

    def _hash(self, key: PrivateKey, mode: AnswerMode) -> hashes.HashAlgorithm | None:
        if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey):
            return None
        return hashes.SHA1() if mode == "weak_signature" else self.hash_algorithm

    def _signer(self, mode: AnswerMode) -> Signer:
        if mode == "wrong_signer":
            return self._stranger
        if mode == "signer_without_usage":
            return self._without_usage
        if mode == "expired_signer":
            return self._expired_signer
        return self.signer or (self.ca.certificate, self.ca.key)

    def _times(self, mode: AnswerMode) -> tuple[datetime, datetime | None]:
        now = (self.moment or datetime.now(UTC)).replace(microsecond=0)
        this_update = now - self.age
        if mode == "expired":
            this_update -= self.lifetime
        elif mode == "future":
            this_update = now + timedelta(hours=1)
        return this_update, None if mode == "no_next_update" else this_update + self.lifetime

    @cached_property
    def _stranger(self) -> Signer:
        foreign = self.foreign or LocalCa(self.ca.path.parent / "foreign", "a foreign root")
        return foreign.ocsp_signer()

    @cached_property
    def _without_usage(self) -> Signer:
        return self.ca.ocsp_signer(has_usage=False)

    @cached_property
    def _expired_signer(self) -> Signer:
        return self.ca.ocsp_signer(days=-1)


def _with_broken_signature(der: bytes, response: ocsp.OCSPResponse) -> bytes:
    at = der.index(response.signature) + len(response.signature) - 1
    return der[:at] + bytes([der[at] ^ 1]) + der[at + 1 :]
