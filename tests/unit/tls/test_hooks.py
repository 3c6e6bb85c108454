"""Tests for edgeproxy/tls/hooks.py: also the contract with pyOpenSSL's internals."""

import OpenSSL
import pytest
from OpenSSL import SSL

from edgeproxy.errors import CertificateError
from edgeproxy.tls.credential import Credential
from edgeproxy.tls.hooks import (
    MISSING_EXTENSION,
    UNRECOGNIZED_NAME,
    _lib,
    certificate_address,
    is_resumed,
    on_protocols,
    on_server_name,
    on_status_request,
    set_groups,
    set_session_id_context,
    set_signature_algorithms,
)
from edgeproxy.tls.parameters import TlsParameters, hardened_context, use_credentials
from tests.support.ca import LocalCa
from tests.support.handshake import client_context, connected, read_tickets


@pytest.fixture
def context(tmp_path):
    leaf = LocalCa(tmp_path).issue("a.test")
    made = hardened_context(TlsParameters())
    use_credentials(made, [Credential(leaf.chain, leaf.key)])
    return made


def server(context):
    connection = SSL.Connection(context, None)
    connection.set_accept_state()
    return connection


def test_contract_with_the_pinned_pyopenssl():
    assert OpenSSL.__version__ == "26.4.0"
    for name in (
        "SSL_CTX_set1_curves_list",
        "SSL_CTX_set_tlsext_servername_callback",
        "SSL_CTX_set_alpn_select_cb",
        "SSL_TLSEXT_ERR_ALERT_FATAL",
        "SSL_TLSEXT_ERR_NOACK",
        "SSL_CTX_set1_sigalgs_list",
        "SSL_CTX_set_session_id_context",
        "SSL_CTX_set_tlsext_status_cb",
        "SSL_set_tlsext_status_ocsp_resp",
        "SSL_get_certificate",
        "SSL_session_reused",
        "OPENSSL_malloc",
    ):
        assert hasattr(_lib, name)
    assert hasattr(SSL.Connection, "_reverse_mapping")


def test_groups_that_do_not_exist(context):
    with pytest.raises(CertificateError, match="unknown key exchange group among X25519, P-1"):
        set_groups(context, ["X25519", "P-1"])


def test_signature_algorithms_that_do_not_exist(context):
    with pytest.raises(CertificateError, match="unknown signature algorithm among rsa_md2"):
        set_signature_algorithms(context, ["rsa_md2"])


def test_signature_algorithms_decide_what_can_be_signed(context):
    set_signature_algorithms(context, ["rsa_pss_rsae_sha256"])
    with pytest.raises(SSL.Error):
        connected(server(context))


def test_certificates_lie_still(context):
    addresses = set()
    for _ in range(3):
        here = server(context)
        connected(here)
        addresses.add(certificate_address(here))
    assert len(addresses) == 1


def resumes(context, client):
    """Tell whether a new connection resumes the client's session."""
    here = server(context)
    again = connected(here, context=client.get_context(), session=client.get_session())
    assert is_resumed(here) is is_resumed(again)
    return is_resumed(here)


def test_a_new_session_id_context_ends_old_sessions(context):
    here, of_client = server(context), client_context()
    client = connected(here, context=of_client)
    read_tickets(client, here)
    assert not is_resumed(here)
    assert resumes(context, client)
    set_session_id_context(context, b"another")
    assert not resumes(context, client)


def test_a_staple_is_asked_for_on_behalf_of_clients_that_want_one(context):
    asked = []
    keep = on_status_request(context, asked.append)
    one, other = server(context), server(context)
    connected(one, wants_staple=True, context=with_callback())
    connected(other)
    assert asked == [one]
    del keep


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_staple_that_fails_is_none(context):
    def fails(_connection):
        raise RuntimeError("a defect")

    keep = on_status_request(context, fails)
    connected(server(context), wants_staple=True, context=with_callback())
    connected(server(context))
    del keep


def with_callback():
    context = client_context()
    context.set_ocsp_client_callback(lambda _connection, _der, _data: True)
    return context


def test_the_chooser_hears_the_name_once_per_handshake(context):
    heard = []

    def choose(connection, name):
        heard.append((connection, name))
        return 0

    keep = on_server_name(context, choose)
    one, other = server(context), server(context)
    connected(one, name="a.test")
    connected(other)
    assert heard == [(one, b"a.test"), (other, None)]
    del keep


@pytest.mark.parametrize(
    ("answer", "alert"),
    [(UNRECOGNIZED_NAME, "unrecognized name"), (MISSING_EXTENSION, "missing extension")],
)
def test_the_chooser_refuses_by_alert(context, answer, alert, capfd):
    keep = on_server_name(context, lambda _connection, _name: answer)
    with pytest.raises(SSL.Error, match=alert):
        connected(server(context), name="a.test")
    assert capfd.readouterr().err == ""
    del keep


def test_our_first_protocol_that_the_client_offers(context):
    keep = on_protocols(context, [b"h2", b"http/1.1"])
    for offer, chosen in (
        ([b"http/1.1", b"h2"], b"h2"),
        ([b"http/1.1"], b"http/1.1"),
        ([b"x", b"http/1.1", b"y"], b"http/1.1"),
        ([], b""),
    ):
        here = server(context)
        client = connected(here, protocols=offer)
        assert here.get_alpn_proto_negotiated() == chosen
        assert client.get_alpn_proto_negotiated() == chosen
    del keep


@pytest.mark.parametrize("offer", [[b"spdy/3"], [b"h2c"], [b"h"], [b"H2"]])
def test_nothing_in_common_ends_the_handshake(context, offer):
    keep = on_protocols(context, [b"h2"])
    with pytest.raises(SSL.Error, match="no application protocol"):
        connected(server(context), protocols=offer)
    del keep
