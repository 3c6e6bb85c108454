"""Tests for edgeproxy/probe/certificates.py."""

import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519

from edgeproxy.probe.certificates import (
    as_json,
    complaints,
    covers,
    days_left,
    fingerprint,
    key_type,
)
from tests.support.ca import LocalCa, _builder, _name


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return LocalCa(tmp_path_factory.mktemp("certificates"))


def test_types_of_key(ca):
    assert key_type(ca.issue("a.test").certificate) == "ecdsa"
    assert key_type(ca.issue("a.test", key="rsa").certificate) == "rsa"
    key = ed25519.Ed25519PrivateKey.generate()
    other = _builder(_name("x"), _name("x"), key, -1, 1).sign(key, None)
    assert key_type(other) == "other"


@pytest.mark.parametrize(
    ("host", "is_covered"),
    [
        ("a.test", True),
        ("x.b.test", True),
        ("b.test", False),
        ("y.x.b.test", False),
        ("127.0.0.1", True),
        ("::1", True),
        ("127.0.0.2", False),
        ("test", False),
    ],
)
def test_names(ca, host, is_covered):
    certificate = ca.issue("A.test", "*.b.test", "127.0.0.1", "::1").certificate
    assert covers(certificate, host) is is_covered


def test_nothing_to_complain_about(ca):
    leaf = ca.intermediate().issue("a.test")
    assert complaints(leaf.chain, "a.test", time.time(), 0) == []


def said(leaf, host="a.test", days_min=0.0, chain=None):
    return complaints(chain or leaf.chain, host, time.time(), days_min)


def test_every_complaint(ca):
    assert said(ca.issue("b.test", "c.test")) == [
        "the certificate is not for a.test but for b.test, c.test"
    ]
    assert said(ca.issue()) == ["the certificate is not for a.test but for nobody"]
    [expired] = said(ca.issue("a.test", days=-2))
    assert expired.startswith("CN=a.test expired on 20")
    [early] = said(ca.issue("a.test", starts_in_days=2))
    assert early.startswith("CN=a.test is not valid before 20")
    assert said(ca.issue("a.test", days=30), days_min=31) == [
        "the certificate expires in 30.0 days, wanted are 31"
    ]
    leaf, other = ca.issue("a.test"), ca.issue("b.test").certificate
    assert said(leaf, chain=(leaf.certificate, other)) == [
        "the chain is out of order after CN=a.test"
    ]


def test_an_expired_intermediate_is_said(ca):
    intermediate = ca.intermediate()
    leaf = intermediate.issue("a.test")
    later = time.time() + 400 * 86400
    found = complaints(leaf.chain, "a.test", later, 0)
    assert [each.split(" expired")[0] for each in found] == ["CN=a.test", "CN=test intermediate"]


def test_for_machines(ca):
    certificate = ca.issue("a.test").certificate
    now = certificate.not_valid_after_utc.timestamp() - 2.5 * 86400
    assert days_left(certificate, now) == 2.5
    assert as_json(certificate, now) == {
        "subject": "CN=a.test",
        "issuer": "CN=test root",
        "names": ["a.test"],
        "key_type": "ecdsa",
        "sha256": fingerprint(certificate),
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "days_left": 2.5,
    }


def test_an_extension_that_does_not_parse_names_nobody(ca):
    key = ca.key
    broken = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"junk")
    builder = _builder(_name("x"), _name("x"), key, -1, 1).add_extension(broken, critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    assert not covers(certificate, "a.test")
