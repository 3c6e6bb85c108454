"""Tests for edgeproxy/tls/hooks.py: also the contract with pyOpenSSL's internals."""

import OpenSSL
import pytest
from OpenSSL import SSL

from edgeproxy.errors import CertificateError
from edgeproxy.tls.hooks import (
    MISSING_EXTENSION,
    UNRECOGNIZED_NAME,
    _lib,
    on_protocols,
    on_server_name,
    set_groups,
)
from edgeproxy.tls.parameters import TlsParameters, hardened_context, use_material
from tests.support.ca import LocalCa
from tests.support.handshake import connected


@pytest.fixture
def context(tmp_path):
    leaf = LocalCa(tmp_path).issue("a.test")
    made = hardened_context(TlsParameters())
    use_material(made, leaf.chain, leaf.key)
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
    ):
        assert hasattr(_lib, name)
    assert hasattr(SSL.Connection, "_reverse_mapping")


def test_groups_that_do_not_exist(context):
    with pytest.raises(CertificateError, match="unknown key exchange group among X25519, P-1"):
        set_groups(context, ["X25519", "P-1"])


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
