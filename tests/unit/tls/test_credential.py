"""Tests for edgeproxy/tls/credential.py."""

import hashlib

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from edgeproxy.tls.credential import Credential
from edgeproxy.tls.ocsp.staple import Staple
from tests.support.ca import LocalCa, now


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_what_it_tells_of_its_leaf(tmp_path, kind):
    leaf = LocalCa(tmp_path).intermediate().issue("a.test", "*.b.test", key=kind)
    credential = Credential(leaf.chain, leaf.key)
    assert credential.leaf == leaf.certificate
    assert credential.kind == kind
    assert credential.names == ("a.test", "*.b.test")
    der = leaf.certificate.public_bytes(Encoding.DER)
    assert credential.fingerprint == hashlib.sha256(der).hexdigest()
    assert credential.not_before < now() < credential.not_after


def test_another_staple_is_another_value(tmp_path):
    leaf = LocalCa(tmp_path).issue("a.test")
    bare = Credential(leaf.chain, leaf.key, issuer=leaf.certificate)
    staple = Staple(b"der", 0.0, 1.0, 1.0)
    stapled = bare.with_staple(staple)
    assert (bare.staple, stapled.staple) == (None, staple)
    assert stapled.issuer is bare.issuer
    assert stapled.fingerprint == bare.fingerprint
    assert stapled.with_staple(None).staple is None
