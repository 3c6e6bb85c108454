"""Tests for edgeproxy/tls/identity.py."""

import hashlib

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from edgeproxy.errors import CertificateError
from edgeproxy.tls.identity import load_identity, uncovered
from tests.support.ca import LocalCa, now


@pytest.fixture
def ca(tmp_path):
    return LocalCa(tmp_path / "ca")


def loaded(leaf, **chosen):
    return load_identity(leaf.chain_path, leaf.key_path, **chosen)


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_an_identity_is_one_value(ca, kind):
    leaf = ca.intermediate().issue("a.test", "*.b.test", key=kind)
    identity = loaded(leaf, name="first")
    assert identity.name == "first"
    assert identity.names == ("a.test", "*.b.test")
    assert identity.chain == leaf.chain
    assert identity.leaf == leaf.certificate
    assert identity.staple is None
    der = leaf.certificate.public_bytes(Encoding.DER)
    assert identity.fingerprint == hashlib.sha256(der).hexdigest()
    assert identity.not_before < now() < identity.not_after


def test_it_is_called_like_its_directory(ca, tmp_path):
    assert loaded(ca.issue("a.test", directory=tmp_path / "widgets")).name == "widgets"


@pytest.mark.parametrize(
    ("host", "is_covered"),
    [
        ("a.test", True),
        ("b.test", False),
        ("x.b.test", True),
        ("x.y.b.test", False),
        (".b.test", False),
        ("*.b.test", True),
        ("xb.test", False),
        ("a.test.evil", False),
        ("127.0.0.1", True),
        ("127.0.0.2", False),
        ("::1", True),
        ("[::1]", True),
        ("0:0::1", True),
        ("::2", False),
        ("a:b", False),
        ("", False),
    ],
)
def test_which_hosts_it_covers(ca, host, is_covered):
    identity = loaded(ca.issue("a.test", "*.b.test", "127.0.0.1", "::1"))
    assert identity.covers(host) is is_covered


def test_hosts_that_nobody_covers(ca):
    identities = [loaded(ca.issue("a.test")), loaded(ca.issue("*.b.test"))]
    assert uncovered(["a.test", "c.test", "x.b.test", "d.test"], identities) == ["c.test", "d.test"]


def test_a_key_of_another_certificate(ca):
    one, other = ca.issue("a.test"), ca.issue("a.test")
    with pytest.raises(CertificateError, match=r"key\.pem: the key does not belong to .*fullchain"):
        load_identity(one.chain_path, other.key_path)
    rsa = ca.issue("a.test", key="rsa")
    with pytest.raises(CertificateError, match="does not belong"):
        load_identity(one.chain_path, rsa.key_path)


def test_an_expired_certificate(ca):
    with pytest.raises(CertificateError, match="expired on"):
        loaded(ca.issue("a.test", days=-1))
    leaf = ca.issue("a.test", days=30)
    loaded(leaf, now=now().timestamp())
    with pytest.raises(CertificateError, match="expired on"):
        loaded(leaf, now=now().timestamp() + 40 * 86400)


def test_a_certificate_without_names(ca):
    with pytest.raises(CertificateError, match="names no host"):
        loaded(ca.issue())


def test_a_chain_in_the_wrong_order(ca):
    leaf = ca.intermediate().issue("a.test")
    blocks = leaf.chain_path.read_text().split("-----BEGIN")
    leaf.chain_path.write_text("".join(f"-----BEGIN{block}" for block in blocks[:0:-1]))
    with pytest.raises(CertificateError, match="wrong order"):
        loaded(leaf)


def test_a_missing_file_is_named(ca, tmp_path):
    leaf = ca.issue("a.test")
    with pytest.raises(CertificateError, match=r"absent: no such file"):
        load_identity(leaf.chain_path, tmp_path / "absent")


def test_what_the_handshake_refuses_is_named_too(ca):
    with pytest.raises(CertificateError, match=r"fullchain\.pem: a handshake .* fails"):
        loaded(ca.issue("a.test", key="secp256k1"))
