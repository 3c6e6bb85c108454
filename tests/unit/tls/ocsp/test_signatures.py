from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding
from cryptography.x509.oid import SignatureAlgorithmOID as Oid

from edgeproxy.tls.ocsp.refusal import Refusal
from edgeproxy.tls.ocsp.signatures import check_signature
from tests.support.ca import LocalCa, new_key

RSA = new_key("rsa")
EC = new_key()
ED25519 = ed25519.Ed25519PrivateKey.generate()
ED448 = ed448.Ed448PrivateKey.generate()


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return LocalCa(tmp_path_factory.mktemp("ca"))


def signed(oid, signature):
    """What `check_signature` reads of a response."""
    return SimpleNamespace(
        signature_algorithm_oid=oid, signature=signature, tbs_response_bytes=b"said"
    )


def pss(hash_algorithm):
    scheme = padding.PSS(padding.MGF1(hash_algorithm), padding.PSS.DIGEST_LENGTH)
    return RSA.sign(b"said", scheme, hash_algorithm)


@pytest.mark.parametrize(
    ("key", "oid", "signature"),
    [
        (RSA, Oid.RSA_WITH_SHA256, RSA.sign(b"said", padding.PKCS1v15(), hashes.SHA256())),
        (RSA, Oid.RSA_WITH_SHA384, RSA.sign(b"said", padding.PKCS1v15(), hashes.SHA384())),
        (RSA, Oid.RSA_WITH_SHA512, RSA.sign(b"said", padding.PKCS1v15(), hashes.SHA512())),
        (RSA, Oid.RSASSA_PSS, pss(hashes.SHA256())),
        (RSA, Oid.RSASSA_PSS, pss(hashes.SHA384())),
        (RSA, Oid.RSASSA_PSS, pss(hashes.SHA512())),
        (EC, Oid.ECDSA_WITH_SHA256, EC.sign(b"said", ec.ECDSA(hashes.SHA256()))),
        (EC, Oid.ECDSA_WITH_SHA384, EC.sign(b"said", ec.ECDSA(hashes.SHA384()))),
        (EC, Oid.ECDSA_WITH_SHA512, EC.sign(b"said", ec.ECDSA(hashes.SHA512()))),
        (ED25519, Oid.ED25519, ED25519.sign(b"said")),
        (ED448, Oid.ED448, ED448.sign(b"said")),
    ],
    # a signature is another one in each process, and several have to agree on what tests there are
    ids=lambda value: "signed" if isinstance(value, bytes) else None,
)
def test_a_signature_holds_for_what_was_signed_and_nothing_else(ca, key, oid, signature):
    signer = ca.ocsp_signer(key=key)[0]
    assert check_signature(signed(oid, signature), signer) is None
    other = signed(oid, signature)
    other.tbs_response_bytes = b"forged"
    assert check_signature(other, signer).reason is Refusal.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("oid", "signature"),
    [
        (Oid.RSA_WITH_SHA1, b""),
        (Oid.RSA_WITH_MD5, b""),
        (Oid.RSA_WITH_SHA224, b""),
        (Oid.ECDSA_WITH_SHA1, b""),
        (Oid.DSA_WITH_SHA256, b""),
    ],
)
def test_broken_and_forgotten_algorithms_are_refused(ca, oid, signature):
    refused = check_signature(signed(oid, signature), ca.certificate)
    assert refused.reason is Refusal.WEAK_SIGNATURE
    assert oid.dotted_string in refused.detail


def test_pss_with_a_broken_hash_is_refused(ca):
    signer = ca.ocsp_signer(key=RSA)[0]
    refused = check_signature(signed(Oid.RSASSA_PSS, pss(hashes.SHA1())), signer)
    assert refused.reason is Refusal.BAD_SIGNATURE


@pytest.mark.parametrize("key", [RSA, EC, ED25519])
@pytest.mark.parametrize("oid", [Oid.RSA_WITH_SHA256, Oid.ECDSA_WITH_SHA256, Oid.ED25519])
def test_a_key_of_another_kind_has_not_signed(ca, key, oid):
    refused = check_signature(signed(oid, b"x" * 64), ca.ocsp_signer(key=key)[0])
    assert refused.reason is Refusal.BAD_SIGNATURE
