"""Tests for edgeproxy/listeners/connection.py: every handshake is observed, once."""

import pytest

from edgeproxy.tls.contexts import FrontContext
from edgeproxy.tls.handshakes import Handshake
from edgeproxy.tls.identity import load_identity
from tests.support.ca import LocalCa
from tests.support.connections import Tls

COMPLETED = Handshake("completed", "full", "X25519MLKEM768", "ecdsa")


@pytest.fixture
def told():
    return []


@pytest.fixture
def tls(tmp_path, told):
    leaf = LocalCa(tmp_path).issue("localhost")
    made = Tls(FrontContext([load_identity([leaf.files])], observe=told.append))
    yield made
    made.transport.free()


def test_a_handshake_that_completes(tls: Tls, told):
    tls.shake_hands()
    assert told == [COMPLETED]
    tls.connection.connection_lost(None)
    assert told == [COMPLETED]


def test_what_breaks_behind_a_handshake_is_another_matter(tls: Tls, told):
    tls.shake_hands()
    tls.feed(b"\x17\x03\x03\x00\x20" + bytes(32))
    tls.connection.connection_lost(None)
    assert tls.registry.refusals == {"tls": 1}
    assert told == [COMPLETED]


def test_a_handshake_that_breaks_off(tls: Tls, told):
    tls.feed(b"GET / HTTP/1.1\r\n\r\n")
    tls.connection.connection_lost(None)
    assert told == [Handshake("not_tls")]


def test_a_client_that_never_begins(tls: Tls, told):
    limits = tls.registry.limits
    tls.pass_time(limits.tls_handshake_seconds + 5)
    tls.connection.connection_lost(None)
    assert told == [Handshake("timeout")]


def test_a_client_that_leaves(tls: Tls, told):
    tls.connection.connection_lost(None)
    assert told == [Handshake("closed")]


def test_a_connection_without_a_place_had_no_handshake(tls: Tls, told):
    tls.registry.is_full = True
    refused = Tls(tls.front, registry=tls.registry)
    refused.connection.connection_lost(None)
    refused.transport.free()
    assert told == []
