"""Tests for edgeproxy/tls/material.py."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from edgeproxy.errors import CertificateError
from edgeproxy.tls.material import (
    check_chain,
    check_permissions,
    check_purpose,
    check_strength,
    check_validity,
    is_issued_by,
    read_chain,
    read_key,
    subject_names,
)
from tests.support.ca import LocalCa, certificate_pem, key_pem, new_key, now


@pytest.fixture
def ca(tmp_path):
    return LocalCa(tmp_path)


@pytest.fixture
def leaf(ca):
    return ca.issue("A.Test", "*.b.test", "127.0.0.1", "::1")


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_what_was_written_is_read(ca, kind):
    leaf = ca.intermediate().issue("a.test", key=kind)
    assert read_chain(leaf.chain_path) == leaf.chain
    assert len(leaf.chain) == 2
    assert read_key(leaf.key_path).public_key() == leaf.certificate.public_key()


@pytest.mark.parametrize("damage", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_files_that_are_no_pem(tmp_path, damage):
    path = tmp_path / "damaged.pem"
    path.write_bytes(damage)
    with pytest.raises(CertificateError, match=r"damaged\.pem: holds no valid certificate"):
        read_chain(path)
    with pytest.raises(CertificateError, match=r"damaged\.pem: holds no valid private key"):
        read_key(path)


def test_files_that_were_cut_short(leaf):
    for path, read in ((leaf.chain_path, read_chain), (leaf.key_path, read_key)):
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(CertificateError, match="holds no valid"):
            read(path)


def test_files_that_were_swapped(leaf):
    with pytest.raises(CertificateError, match="holds no valid certificate"):
        read_chain(leaf.key_path)
    with pytest.raises(CertificateError, match="holds no valid private key"):
        read_key(leaf.chain_path)


def written(tmp_path, data):
    path = tmp_path / "written.pem"
    path.write_bytes(data)
    return path


def test_an_encrypted_key(tmp_path):
    with pytest.raises(CertificateError, match="encrypted; store it without a password"):
        read_key(written(tmp_path, key_pem(new_key(), b"secret")))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (new_key("weak-rsa"), "a weak key, RSA with 1024 bits; at least 2048"),
        (ec.generate_private_key(ec.SECP224R1()), "a weak key, on the curve secp224r1"),
        (ed25519.Ed25519PrivateKey.generate(), "neither ECDSA nor RSA"),
    ],
)
def test_keys_that_browsers_refuse(tmp_path, key, message):
    with pytest.raises(CertificateError, match=message):
        read_key(written(tmp_path, key_pem(key)))


def test_dates(ca, leaf):
    check_validity(leaf.chain, now(), leaf.chain_path)
    with pytest.raises(CertificateError, match=r"fullchain\.pem: certificate 'CN=A.Test' expired"):
        check_validity(leaf.chain, now() + timedelta(days=31), leaf.chain_path)
    with pytest.raises(CertificateError, match="is not valid before"):
        check_validity(leaf.chain, now() - timedelta(days=2), leaf.chain_path)


def test_an_expired_intermediate_is_named(ca):
    leaf = ca.intermediate().issue("a.test", days=1000)
    with pytest.raises(CertificateError, match="'CN=test intermediate' expired"):
        check_validity(leaf.chain, now() + timedelta(days=400), leaf.chain_path)


def test_the_order_of_the_chain(ca):
    leaf = ca.intermediate().issue("a.test")
    check_chain((*leaf.chain, ca.certificate), leaf.chain_path)
    with pytest.raises(CertificateError, match=r"wrong order: .*'CN=a.test' is not issued by"):
        check_chain((leaf.chain[0], ca.certificate), leaf.chain_path)
    with pytest.raises(CertificateError, match="wrong order"):
        check_chain(leaf.chain[::-1], leaf.chain_path)


_SHA1 = hashes.SHA1()


class Stub:
    """What OpenSSL no longer lets a test create."""

    def __init__(self, subject="CN=leaf", issuer="CN=root", *, broken=_SHA1, key=None):
        self.subject = x509.Name.from_rfc4514_string(subject)
        self.issuer = x509.Name.from_rfc4514_string(issuer)
        self.signature_hash_algorithm = broken
        self._key = key or new_key()

    def public_key(self):
        return self._key.public_key()


@pytest.mark.parametrize("broken", [hashes.SHA1(), hashes.MD5()])
def test_a_broken_signature_hash_anywhere_below_the_root(tmp_path, leaf, broken):
    path = tmp_path / "a.pem"
    check_strength(leaf.chain, path)
    with pytest.raises(CertificateError, match=r"a\.pem: certificate 'CN=leaf' .*broken hash"):
        check_strength((Stub(broken=broken),), path)
    with pytest.raises(CertificateError, match="certificate 'CN=middle' is signed with a broken"):
        check_strength((leaf.certificate, Stub("CN=middle", broken=broken)), path)
    check_strength((leaf.certificate, Stub("CN=root", broken=broken)), path)
    with pytest.raises(CertificateError, match="broken hash"):
        check_strength((Stub("CN=root", broken=broken),), path)


def test_a_weak_key_anywhere_in_the_chain(tmp_path, leaf):
    weak = Stub("CN=middle", broken=hashes.SHA256(), key=new_key("weak-rsa"))
    with pytest.raises(CertificateError, match="'CN=middle' has a weak key, RSA with 1024 bits"):
        check_strength((leaf.certificate, weak), tmp_path / "a.pem")


def test_an_unknown_signature_is_not_ours_to_judge(tmp_path):
    class Unknown(Stub):
        @property
        def signature_hash_algorithm(self):
            raise UnsupportedAlgorithm("?")

        @signature_hash_algorithm.setter
        def signature_hash_algorithm(self, value):
            pass

    check_strength((Unknown(),), tmp_path / "a.pem")


def test_who_issued_a_certificate(ca, leaf, tmp_path):
    assert is_issued_by(leaf.certificate, ca.certificate)
    assert not is_issued_by(leaf.certificate, leaf.certificate)
    assert not is_issued_by(leaf.certificate, LocalCa(tmp_path / "x").certificate)


def leaf_with(ca, *extensions):
    key, subject = new_key(), x509.Name.from_rfc4514_string("CN=a.test")
    builder = (
        x509.CertificateBuilder(ca.certificate.subject, subject, key.public_key(), 1)
        .not_valid_before(now())
        .not_valid_after(now() + timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(ca.key, hashes.SHA256())


SERVER, CLIENT = x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CLIENT_AUTH
ANY = x509.ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE


def test_what_a_leaf_is_for(ca, leaf, tmp_path):
    check_purpose(leaf.certificate, tmp_path)
    check_purpose(leaf_with(ca), tmp_path)
    check_purpose(leaf_with(ca, x509.ExtendedKeyUsage([CLIENT, SERVER])), tmp_path)
    check_purpose(leaf_with(ca, x509.ExtendedKeyUsage([ANY])), tmp_path)
    with pytest.raises(CertificateError, match=r"'CN=a\.test' is not for servers"):
        check_purpose(leaf_with(ca, x509.ExtendedKeyUsage([CLIENT])), tmp_path)


def test_a_leaf_that_may_not_sign(ca, tmp_path):
    only = dict.fromkeys(
        ("content_commitment", "data_encipherment", "key_agreement", "encipher_only"), False
    ) | dict.fromkeys(("decipher_only", "key_cert_sign", "crl_sign", "digital_signature"), False)
    usage = x509.KeyUsage(key_encipherment=True, **only)
    with pytest.raises(CertificateError, match=r"'CN=a\.test' is not for signatures"):
        check_purpose(leaf_with(ca, usage), tmp_path)


def test_permissions_of_a_key(tmp_path):
    assert check_permissions(0o600, tmp_path) == ""
    assert check_permissions(0o440, tmp_path) == ""
    assert "everybody on this machine may read it (mode 0644)" in check_permissions(0o644, tmp_path)
    with pytest.raises(CertificateError, match=r"may write it \(mode 0660\)"):
        check_permissions(0o660, tmp_path)


def test_names_of_a_leaf(ca, leaf):
    assert subject_names(leaf.certificate) == ("a.test", "*.b.test", "127.0.0.1", "::1")
    assert subject_names(ca.issue().certificate) == ()


def test_several_certificates_in_one_file(tmp_path, ca, leaf):
    path = written(tmp_path, certificate_pem(leaf.certificate) + certificate_pem(ca.certificate))
    assert read_chain(path) == (leaf.certificate, ca.certificate)


def test_traditional_key_formats_are_read(tmp_path):
    key = new_key("rsa")
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    assert read_key(written(tmp_path, pem)).public_key() == key.public_key()
