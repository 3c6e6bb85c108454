"""Tests for edgeproxy/probe/offers.py: also the contract with pyOpenSSL's internals."""

import OpenSSL
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL

from edgeproxy.errors import CertificateError
from edgeproxy.probe.offers import (
    Contexts,
    Offer,
    _lib,
    is_resumed,
    session_mark,
    set_signature_algorithms,
)
from edgeproxy.tls.proof import shake_hands
from tests.support.ca import LocalCa
from tests.support.handshake import read_tickets
from tests.support.tls_servers import server_context


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return LocalCa(tmp_path_factory.mktemp("offers"))


@pytest.fixture(scope="module")
def leaves(ca):
    return ca.issue("a.test"), ca.issue("a.test", key="rsa")


def shaken(contexts, server, offer=Offer(), session=None):  # noqa: B008 - frozen
    client, notes = contexts.connection(offer, "a.test")
    if session is not None:
        client.set_session(session)
    end = SSL.Connection(server, None)
    end.set_accept_state()
    shake_hands(client, end)
    return client, notes, end


def test_contract_with_the_pinned_pyopenssl():
    assert OpenSSL.__version__ == "26.4.0"
    for name in (
        "SSL_CTX_set1_sigalgs_list",
        "SSL_session_reused",
        "SSL_get_session",
        "X509_verify_cert_error_string",
    ):
        assert hasattr(_lib, name)


@pytest.mark.parametrize(
    ("key_type", "key"),
    [("ecdsa", ec.EllipticCurvePublicKey), ("rsa", rsa.RSAPublicKey)],
)
def test_signature_algorithms_choose_the_certificate(ca, leaves, key_type, key):
    client, notes, _ = shaken(Contexts(ca.path), server_context(*leaves), Offer(key_type))
    leaf = client.get_peer_certificate(as_cryptography=True)
    assert isinstance(leaf.public_key(), key)
    assert notes.distrust == []


@pytest.mark.parametrize(("key_type", "only"), [("ecdsa", 1), ("rsa", 0)])
def test_a_type_that_the_server_does_not_have(ca, leaves, key_type, only):
    with pytest.raises(SSL.Error):
        shaken(Contexts(ca.path), server_context(leaves[only]), Offer(key_type))


def test_an_ecdsa_leaf_below_an_rsa_authority(tmp_path):
    root = LocalCa(tmp_path, key="rsa")
    client, notes, _ = shaken(
        Contexts(root.path), server_context(root.issue("a.test")), Offer("ecdsa")
    )
    assert client.get_protocol_version_name() == "TLSv1.3"
    assert notes.distrust == []


def test_signature_algorithms_that_do_not_exist():
    with pytest.raises(CertificateError, match="unknown signature algorithm among rsa_none"):
        set_signature_algorithms(SSL.Context(SSL.TLS_METHOD), ("rsa_none",))


def test_distrust_is_noted_and_the_handshake_goes_on(ca, leaves, tmp_path):
    other = LocalCa(tmp_path, "other root")
    _, notes, _ = shaken(Contexts(other.path), server_context(leaves[0]))
    assert notes.distrust[0].text == "unable to get local issuer certificate"
    assert not notes.distrust[0].is_of_dates


def test_distrust_for_dates(ca):
    _, notes, _ = shaken(Contexts(ca.path), server_context(ca.issue("a.test", days=-2)))
    assert [(each.depth, each.is_of_dates) for each in notes.distrust] == [(0, True)]


def test_whoever_trusts_everybody_notes_nothing(leaves):
    _, notes, _ = shaken(Contexts(is_trusting=True), server_context(leaves[0]))
    assert notes.distrust == []


def test_a_file_without_authorities(tmp_path):
    (tmp_path / "ca.pem").write_text("junk")
    with pytest.raises(CertificateError, match="no certificates to trust"):
        Contexts(tmp_path / "ca.pem")


def test_the_systems_authorities_do_not_know_ours(leaves):
    _, notes, _ = shaken(Contexts(), server_context(leaves[0]))
    assert notes.distrust


def test_a_ticket_makes_another_session_which_resumes(ca, leaves):
    contexts, server = Contexts(ca.path), server_context(leaves[0])
    client, _, end = shaken(contexts, server)
    kept, before = client.get_session(), session_mark(client)
    assert not is_resumed(client)
    read_tickets(client, end)
    assert session_mark(client) != before
    assert is_resumed(shaken(contexts, server, session=client.get_session())[0])
    assert not is_resumed(shaken(contexts, server, session=kept)[0])
