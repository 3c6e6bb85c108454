"""Tests for edgeproxy/origin/trust.py."""

import ssl

import pytest

from edgeproxy.errors import CertificateError
from edgeproxy.origin.trust import client_context
from tests.support.ca import LocalCa
from tests.support.privileges import without_privileges


def test_verification_is_on_whatever_is_trusted(tmp_path):
    for context in (client_context(None), client_context(LocalCa(tmp_path).path)):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_only_the_configured_authority_is_trusted(tmp_path):
    ca = LocalCa(tmp_path)
    assert len(client_context(ca.path).get_ca_certs()) == 1


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CertificateError, match=r"absent\.pem: no such file"):
        client_context(tmp_path / "absent.pem")


def test_a_file_without_certificate_is_named(tmp_path):
    path = tmp_path / "junk.pem"
    path.write_text("hello")
    with pytest.raises(CertificateError, match=r"junk\.pem: holds no certificate"):
        client_context(path)


def test_an_unreadable_file_is_named(tmp_path):
    path = LocalCa(tmp_path).path
    path.chmod(0)
    with without_privileges(), pytest.raises(CertificateError, match="not readable"):
        client_context(path)
