import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from edgeproxy.tls.ocsp.certificate import certificate_id, must_staple, responder_url
from tests.support.ca import LocalCa, new_key, now


@pytest.fixture
def ca(tmp_path):
    return LocalCa(tmp_path)


def leaf_with(ca, *descriptions):
    """Issue a leaf with an AIA of our choice."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")])
    key = new_key()
    return (
        x509.CertificateBuilder(ca.certificate.subject, name, key.public_key(), 1, now(), now())
        .add_extension(x509.AuthorityInformationAccess(descriptions), critical=False)
        .sign(ca.key, hashes.SHA256())
    )


def at(url, method=AuthorityInformationAccessOID.OCSP):
    return x509.AccessDescription(method, x509.UniformResourceIdentifier(url))


def test_the_responder_is_the_one_that_the_leaf_names(ca):
    leaf = ca.issue("a.test", ocsp_url="http://ocsp.test/x")
    assert responder_url(leaf.certificate) == "http://ocsp.test/x"


def test_a_leaf_without_a_responder_names_none(ca):
    assert responder_url(ca.issue("a.test").certificate) is None


def test_the_first_url_of_http_counts(ca):
    leaf = leaf_with(
        ca,
        at("http://ca.test/ca.crt", AuthorityInformationAccessOID.CA_ISSUERS),
        at("ldap://ocsp.test/"),
        x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.DNSName("ocsp.test")),
        at("https://first.test"),
        at("http://second.test"),
    )
    assert responder_url(leaf) == "https://first.test"


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///path",
        "http://user:secret@ocsp.test/",
        "http://ocsp.test/a b",
        "http://ocsp.test/\r\nHost: other",
        "file:///etc/passwd",
        "//ocsp.test",
    ],
)
def test_what_is_no_plain_url_is_no_responder(ca, url):
    assert responder_url(leaf_with(ca, at(url))) is None


def test_a_fragment_is_not_sent(ca):
    assert responder_url(leaf_with(ca, at("http://ocsp.test/x#y"))) == "http://ocsp.test/x"


def test_must_staple_is_a_feature_of_the_leaf(ca):
    assert must_staple(ca.issue("a.test", must_staple=True).certificate)
    assert not must_staple(ca.issue("a.test").certificate)


def test_an_extension_that_does_not_parse_says_nothing(ca):
    oid = x509.AuthorityInformationAccess.oid
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")])
    leaf = (
        x509.CertificateBuilder(name, name, new_key().public_key(), 1, now(), now())
        .add_extension(x509.UnrecognizedExtension(oid, b"\x30\x05junk"), critical=False)
        .sign(ca.key, hashes.SHA256())
    )
    assert responder_url(leaf) is None
    assert not must_staple(leaf)


@pytest.mark.parametrize(
    ("algorithm", "hashed"), [(hashes.SHA1(), hashlib.sha1), (hashes.SHA256(), hashlib.sha256)]
)
def test_a_certificate_is_named_by_its_issuer_and_serial(ca, algorithm, hashed):
    leaf = ca.issue("a.test").certificate
    key = ca.certificate.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert certificate_id(leaf, ca.certificate, algorithm) == (
        hashed(ca.certificate.subject.public_bytes()).digest(),
        hashed(key).digest(),
        leaf.serial_number,
    )


def test_there_is_no_name_with_a_hash_that_ocsp_does_not_have(ca):
    with pytest.raises(ValueError, match="SHA"):
        certificate_id(ca.issue("a.test").certificate, ca.certificate, hashes.MD5())
