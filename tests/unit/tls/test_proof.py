"""Tests for edgeproxy/tls/proof.py."""

import pytest
from OpenSSL import SSL

from edgeproxy.errors import CertificateError
from edgeproxy.tls.credential import Credential
from edgeproxy.tls.proof import SIGNATURE_ALGORITHMS, prove, shake_hands
from tests.support.ca import LocalCa, new_key
from tests.support.handshake import client_context


@pytest.fixture
def ca(tmp_path):
    return LocalCa(tmp_path)


def credential(leaf):
    return Credential(leaf.chain, leaf.key)


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_a_good_pair_completes_a_handshake(ca, kind):
    prove([credential(ca.intermediate().issue("a.test", key=kind))])


def test_both_kinds_complete_one_each(ca):
    leaves = [ca.intermediate(kind).issue("a.test", key=kind) for kind in ("ecdsa", "rsa")]
    prove([credential(leaf) for leaf in leaves])


def test_a_bad_pair_is_refused(ca):
    with pytest.raises(CertificateError, match="refuses certificate and key"):
        prove([Credential(ca.issue("a.test").chain, new_key())])


def test_a_pair_that_no_client_can_use(ca):
    leaf = ca.issue("a.test", key="secp256k1")
    with pytest.raises(CertificateError, match="a handshake with this certificate and key fails"):
        prove([credential(leaf)])


def test_what_clients_are_shown_must_be_what_was_meant(ca):
    # Two of a kind: OpenSSL keeps the last, and says nothing.
    leaves = [ca.issue("a.test"), ca.issue("a.test")]
    with pytest.raises(CertificateError, match="shows another chain"):
        prove([credential(leaf) for leaf in leaves])


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_the_algorithms_are_known_to_this_openssl(kind):
    assert SIGNATURE_ALGORITHMS[kind]
    client_context(signs=kind)


def test_two_clients_never_finish():
    ends = [SSL.Connection(SSL.Context(SSL.TLS_METHOD), None) for _ in range(2)]
    for end in ends:
        end.set_connect_state()
    with pytest.raises(SSL.Error):
        shake_hands(*ends)


def test_silence_is_not_waited_for_forever():
    class Mute:
        def do_handshake(self):
            raise SSL.WantReadError

        def bio_read(self, _size):
            raise SSL.WantReadError

        def bio_write(self, data):
            raise AssertionError(data)

    with pytest.raises(SSL.Error, match="does not end"):
        shake_hands(Mute(), Mute())
