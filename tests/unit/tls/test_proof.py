"""Tests for edgeproxy/tls/proof.py."""

import pytest
from OpenSSL import SSL

from edgeproxy.errors import CertificateError
from edgeproxy.tls.proof import prove, shake_hands
from tests.support.ca import LocalCa, new_key


@pytest.fixture
def ca(tmp_path):
    return LocalCa(tmp_path)


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_a_good_pair_completes_a_handshake(ca, kind):
    leaf = ca.intermediate().issue("a.test", key=kind)
    prove(leaf.chain, leaf.key)


def test_a_bad_pair_is_refused(ca):
    leaf = ca.issue("a.test")
    with pytest.raises(CertificateError, match="refuses certificate and key"):
        prove(leaf.chain, new_key())


def test_a_pair_that_no_client_can_use(ca):
    leaf = ca.issue("a.test", key="secp256k1")
    with pytest.raises(CertificateError, match="a handshake with this certificate and key fails"):
        prove(leaf.chain, leaf.key)


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
