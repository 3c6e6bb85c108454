"""The signature over a response, by the algorithms that clients of TLS 1.3 accept.

Does not ask whose key it is: `verification` has decided that. PSS parameters are not exposed by
`cryptography`, so each hash is tried; all of them are strong. RFC 6960 section 4.2.1, RFC 8017,
RFC 5758, RFC 8410.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.x509 import ocsp
from cryptography.x509.oid import SignatureAlgorithmOID

from edgeproxy.tls.ocsp.refusal import Refusal, Refused

_STRONG: Final[tuple[HashAlgorithm, ...]] = (SHA256(), SHA384(), SHA512())
_RSA: Final = {
    SignatureAlgorithmOID.RSA_WITH_SHA256: SHA256(),
    SignatureAlgorithmOID.RSA_WITH_SHA384: SHA384(),
    SignatureAlgorithmOID.RSA_WITH_SHA512: SHA512(),
}
_ECDSA: Final = {
    SignatureAlgorithmOID.ECDSA_WITH_SHA256: SHA256(),
    SignatureAlgorithmOID.ECDSA_WITH_SHA384: SHA384(),
    SignatureAlgorithmOID.ECDSA_WITH_SHA512: SHA512(),
}
_EDDSA: Final = frozenset({SignatureAlgorithmOID.ED25519, SignatureAlgorithmOID.ED448})
_PSS: Final = SignatureAlgorithmOID.RSASSA_PSS
_KNOWN: Final = frozenset({*_RSA, *_ECDSA, *_EDDSA, _PSS})


def check_signature(response: ocsp.OCSPResponse, signer: x509.Certificate) -> Refused | None:
    """Return why the signer's key has not signed the response, or None if it has."""
    algorithm = response.signature_algorithm_oid
    if algorithm not in _KNOWN:
        return Refused(Refusal.WEAK_SIGNATURE, f"signature algorithm {algorithm.dotted_string}")
    for check in _checks(algorithm, signer.public_key()):
        try:
            check(response.signature, response.tbs_response_bytes)
        except InvalidSignature:
            continue
        return None
    return Refused(Refusal.BAD_SIGNATURE, f"not that of {signer.subject.rfc4514_string()}")


def _checks(
    algorithm: x509.ObjectIdentifier, key: object
) -> Iterator[Callable[[bytes, bytes], None]]:
    """Yield the ways to verify with that key; none if the algorithm is one for other keys."""
    if isinstance(key, rsa.RSAPublicKey):
        if algorithm in _RSA:
            yield partial(key.verify, padding=padding.PKCS1v15(), algorithm=_RSA[algorithm])
        elif algorithm == _PSS:
            for strong in _STRONG:
                pss = padding.PSS(padding.MGF1(strong), padding.PSS.AUTO)
                yield partial(key.verify, padding=pss, algorithm=strong)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if algorithm in _ECDSA:
            yield partial(key.verify, signature_algorithm=ec.ECDSA(_ECDSA[algorithm]))
    elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey) and algorithm in _EDDSA:
        yield key.verify
