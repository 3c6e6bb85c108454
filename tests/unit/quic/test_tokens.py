"""Tests for edgeproxy/quic/tokens.py."""

import pytest

from edgeproxy.quic import tokens
from edgeproxy.quic.secrets import QuicSecrets
from edgeproxy.quic.tokens import Proof, RetryTokens

NOW = 1_700_000_000.0
ADDRESS = ("192.0.2.1", 4000)


@pytest.fixture
def retry():
    return RetryTokens(QuicSecrets())


def test_it_proves_an_address_once(retry):
    token = retry.seal(ADDRESS, b"original", b"retry id", NOW)
    assert retry.open(token, ADDRESS, b"retry id", NOW + 1) == Proof(b"original")
    assert retry.open(token, ADDRESS, b"retry id", NOW + 1) == "used"


def test_another_worker_takes_it():
    secrets = QuicSecrets()
    token = RetryTokens(secrets).seal(ADDRESS, b"original", b"retry id", NOW)
    assert RetryTokens(secrets).open(token, ADDRESS, b"retry id", NOW) == Proof(b"original")


@pytest.mark.parametrize(
    ("address", "destination"),
    [(("192.0.2.2", 4000), b"retry id"), (("192.0.2.1", 4001), b"retry id"), (ADDRESS, b"other")],
)
def test_it_is_bound_to_address_port_and_id(retry, address, destination):
    token = retry.seal(ADDRESS, b"original", b"retry id", NOW)
    assert retry.open(token, address, destination, NOW) is None


def test_it_expires(retry):
    token = retry.seal(ADDRESS, b"original", b"retry id", NOW)
    assert retry.open(token, ADDRESS, b"retry id", NOW + 10.1) == "used"
    assert retry.open(token, ADDRESS, b"retry id", NOW - 10) == "used"


@pytest.mark.parametrize("token", [b"", b"short", bytes(60)])
def test_what_is_not_ours_is_no_token(retry, token):
    assert retry.open(token, ADDRESS, b"retry id", NOW) is None


def test_few_are_remembered(retry, monkeypatch):
    monkeypatch.setattr(tokens, "_USED_MAX", 10)
    for number in range(100):
        token = retry.seal(ADDRESS, b"original", b"%d" % number, NOW)
        assert isinstance(retry.open(token, ADDRESS, b"%d" % number, NOW), Proof)
    assert len(retry._used) == 10
    token = retry.seal(ADDRESS, b"original", b"later", NOW + 60)
    retry.open(token, ADDRESS, b"later", NOW + 60)
    assert list(retry._used) == [b"later"]
