"""Tests for edgeproxy/quic/secrets.py."""

import pytest

from edgeproxy.quic.secrets import QuicSecrets


def test_each_purpose_has_a_key_of_its_own_and_all_workers_the_same():
    one, same, other = QuicSecrets(bytes(32)), QuicSecrets(bytes(32)), QuicSecrets()
    assert one.derive(b"a") == same.derive(b"a")
    assert len({each.derive(p) for each in (one, other) for p in (b"a", b"b")}) == 4


def test_reset_tokens_are_of_their_connection_id():
    secrets = QuicSecrets()
    assert secrets.reset_token(b"x") == secrets.reset_token(b"x")
    assert secrets.reset_token(b"x") != secrets.reset_token(b"y")
    assert len(secrets.reset_token(b"x")) == 16


def test_a_short_master_is_refused():
    with pytest.raises(ValueError, match="32"):
        QuicSecrets(b"short")
