"""Tests for edgeproxy/tls/parameters.py."""

import pytest
from OpenSSL import SSL

from edgeproxy.errors import CertificateError
from edgeproxy.tls.parameters import (
    TICKET_LIFETIME_MAX,
    TlsParameters,
    hardened_context,
    use_material,
)
from tests.support.ca import LocalCa, new_key
from tests.support.handshake import client_context, connected, read_tickets


@pytest.fixture
def leaf(tmp_path):
    return LocalCa(tmp_path).issue("a.test")


def server(leaf, parameters=None):
    context = hardened_context(parameters or TlsParameters())
    use_material(context, leaf.chain, leaf.key)
    connection = SSL.Connection(context, None)
    connection.set_accept_state()
    return connection


def test_tls_1_3_with_a_hybrid_group(leaf):
    client = connected(server(leaf))
    assert client.get_protocol_version_name() == "TLSv1.3"
    assert client.get_group_name() == "X25519MLKEM768"


def test_groups_can_be_chosen(leaf):
    client = connected(server(leaf, TlsParameters(groups=("P-256",))))
    assert client.get_group_name() == "secp256r1"


@pytest.mark.parametrize("version", [SSL.TLS1_1_VERSION, SSL.TLS1_2_VERSION])
def test_older_versions_are_refused(leaf, version):
    context = client_context()
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    context.set_max_proto_version(version)
    with pytest.raises(SSL.Error, match="protocol version"):
        connected(server(leaf), context=context)


@pytest.mark.parametrize(
    "suite",
    ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"],
)
def test_the_clients_choice_of_suite_counts(leaf, suite):
    context = client_context()
    context.set_tls13_ciphersuites(suite.encode())
    assert connected(server(leaf), context=context).get_cipher_name() == suite


def test_no_early_data_is_offered(leaf):
    here = server(leaf)
    client = connected(here)
    read_tickets(client, here)
    lib = SSL._lib
    assert lib.SSL_SESSION_get_max_early_data(client.get_session()._session) == 0


def test_limits_of_what_may_be_chosen():
    TlsParameters(ticket_lifetime_seconds=TICKET_LIFETIME_MAX)
    for seconds in (0, TICKET_LIFETIME_MAX + 1):
        with pytest.raises(ValueError, match="ticket_lifetime_seconds"):
            TlsParameters(ticket_lifetime_seconds=seconds)
    for protocols in ((), (b"",), (b"x" * 256,)):
        with pytest.raises(ValueError, match="ALPN"):
            TlsParameters(protocols=protocols)


def test_a_mismatched_pair_is_refused(leaf):
    with pytest.raises(CertificateError, match="refuses certificate and key"):
        use_material(hardened_context(TlsParameters()), leaf.chain, new_key())
