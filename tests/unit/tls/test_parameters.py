"""Tests for edgeproxy/tls/parameters.py."""

import os
import re

import pytest
from OpenSSL import SSL

from edgeproxy.errors import CertificateError
from edgeproxy.tls.credential import Credential
from edgeproxy.tls.hooks import set_groups
from edgeproxy.tls.parameters import (
    DEFAULT_GROUPS,
    GROUPS,
    TICKET_LIFETIME_MAX,
    TlsParameters,
    hardened_context,
    use_credentials,
)
from tests.support import clients
from tests.support.ca import LocalCa, new_key
from tests.support.handshake import client_context, connected, read_tickets


@pytest.fixture
def leaf(tmp_path):
    return LocalCa(tmp_path).issue("a.test")


def server(leaf, parameters=None):
    context = hardened_context(parameters or TlsParameters())
    use_credentials(context, [Credential(leaf.chain, leaf.key)])
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
    TlsParameters(ticket_lifetime_seconds=0)
    for seconds in (-1, TICKET_LIFETIME_MAX + 1):
        with pytest.raises(ValueError, match="ticket_lifetime_seconds"):
            TlsParameters(ticket_lifetime_seconds=seconds)
    for protocols in ((), (b"",), (b"x" * 256,)):
        with pytest.raises(ValueError, match="ALPN"):
            TlsParameters(protocols=protocols)


def test_a_mismatched_pair_is_refused(leaf):
    with pytest.raises(CertificateError, match="refuses certificate and key"):
        use_credentials(hardened_context(TlsParameters()), [Credential(leaf.chain, new_key())])


def no_memory(_name):
    raise OSError("not on this system")


@pytest.mark.parametrize("has_memory", [True, False])
def test_every_certificate_has_a_chain_of_its_own(tmp_path, monkeypatch, has_memory):
    if not has_memory:
        monkeypatch.setattr(os, "memfd_create", no_memory)
    ca = LocalCa(tmp_path)
    leaves = {kind: ca.intermediate(kind).issue("a.test", key=kind) for kind in ("ecdsa", "rsa")}
    context = hardened_context(TlsParameters())
    use_credentials(context, [Credential(each.chain, each.key) for each in leaves.values()])
    for kind, leaf in leaves.items():
        connection = SSL.Connection(context, None)
        connection.set_accept_state()
        client = connected(connection, context=client_context(signs=kind))
        assert tuple(client.get_peer_cert_chain(as_cryptography=True)) == leaf.chain


@pytest.mark.parametrize("group", GROUPS)
def test_the_groups_that_may_be_offered(leaf, group):
    context = client_context()
    set_groups(context, [group])
    here = server(leaf, TlsParameters(groups=(group,)))
    connected(here, context=context)
    assert here.get_group_name() == GROUPS[group]


def test_the_default_groups_may_be_offered():
    assert set(DEFAULT_GROUPS) <= set(GROUPS)


def lifetime_of(here):
    """Return what a client is told of a ticket's lifetime, in seconds."""
    client = connected(here)
    read_tickets(client, here)
    der = i2d(client.get_session())
    text = clients.run("openssl", "sess_id", "-inform", "DER", "-noout", "-text", data=der).stdout
    [seconds] = re.findall(rb"ticket lifetime hint: (\d+) ", text)
    return int(seconds)


def i2d(session):
    lib, ffi = SSL._lib, SSL._ffi
    size = lib.i2d_SSL_SESSION(session._session, ffi.NULL)
    buffer = ffi.new("unsigned char[]", size)
    lib.i2d_SSL_SESSION(session._session, ffi.new("unsigned char **", buffer))
    return bytes(ffi.buffer(buffer))


@pytest.mark.parametrize(("configured", "told"), [(300, 300), (0, 1)])
def test_clients_are_told_how_long_a_ticket_lives(leaf, configured, told):
    assert lifetime_of(server(leaf, TlsParameters(ticket_lifetime_seconds=configured))) == told
