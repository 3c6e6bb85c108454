"""Tests for edgeproxy/probe/handshake.py, with real servers on loopback."""

import ssl
import threading

import pytest
from OpenSSL import SSL

from edgeproxy.clock import SystemClock
from edgeproxy.probe.addresses import Address
from edgeproxy.probe.handshake import Handshakes, Stage
from edgeproxy.probe.offers import Contexts, Offer
from tests.support.ca import LocalCa
from tests.support.ocsp_answers import OcspAnswers
from tests.support.tls_servers import (
    closed_port,
    listening,
    old_server,
    server_context,
    tls_server,
)

PATIENCE_SECONDS = 20.0


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return LocalCa(tmp_path_factory.mktemp("handshake"))


@pytest.fixture(scope="module")
def leaf(ca):
    return ca.issue("a.test")


@pytest.fixture(scope="module")
def contexts(ca):
    return Contexts(ca.path)


async def observe(contexts, port, offer=None, *, timeout_seconds=PATIENCE_SECONDS, **options):
    handshakes = Handshakes(contexts, SystemClock(), timeout_seconds=timeout_seconds)
    return await handshakes.observe(
        Address("127.0.0.1", port), "a.test", offer or Offer(), **options
    )


async def test_what_a_handshake_shows(contexts, ca, leaf):
    with tls_server(leaf) as port:
        seen = await observe(contexts, port, wants_session=True)
    assert seen.stage is Stage.DONE
    assert seen.is_complete
    assert seen.chain == (leaf.certificate,)
    assert seen.verified == (leaf.certificate, ca.certificate)
    assert (seen.version, seen.group) == ("TLSv1.3", "X25519MLKEM768")
    assert seen.cipher.startswith("TLS_")
    assert (seen.staple, seen.distrust, seen.failure) == (b"", (), "")
    assert not seen.is_resumed
    assert seen.session is not None
    assert seen.duration_seconds > 0


async def test_a_session_is_resumed(contexts, ca, leaf):
    with tls_server(leaf) as port:
        first = await observe(contexts, port, wants_session=True)
        assert (await observe(contexts, port, session=first.session)).is_resumed


async def test_a_session_of_tls_1_2_is_resumed(contexts, ca, leaf):
    version = ssl.TLSVersion.TLSv1_2
    with old_server(leaf, version, version) as port:
        first = await observe(contexts, port, wants_session=True)
        again = await observe(contexts, port, session=first.session)
    assert (again.version, again.is_resumed) == ("TLSv1.2", True)


async def test_a_server_without_tickets(contexts, ca, leaf):
    context = server_context(leaf)
    context.set_options(SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    raw = SSL._lib.SSL_CTX_set_options  # stateful tickets are left, which need a cache
    raw(context._context, SSL.OP_NO_TICKET)
    with tls_server(context=context) as port:
        seen = await observe(contexts, port, wants_session=True)
        assert seen.is_complete
        again = await observe(contexts, port, session=seen.session)
    assert not again.is_resumed


async def test_a_server_that_keeps_the_connection_open_after_the_goodbye(contexts, ca, leaf):
    context, gone = leaf.server_context(), threading.Event()
    context.num_tickets = 0

    def speak(client):
        with context.wrap_socket(client, server_side=True, suppress_ragged_eofs=True):
            gone.wait(PATIENCE_SECONDS)

    with listening(speak) as port:
        seen = await observe(contexts, port, wants_session=True)
        gone.set()
    assert seen.is_complete
    assert seen.session is None


async def test_a_staple_is_seen_only_when_it_is_asked_for(contexts, ca, leaf):
    staple = OcspAnswers(ca).about(leaf.certificate)
    with tls_server(leaf, staple=staple) as port:
        assert (await observe(contexts, port)).staple == staple
        assert (await observe(contexts, port, Offer(wants_staple=False))).staple == b""


async def test_an_alert_is_named(contexts, ca, leaf):
    with tls_server(leaf) as port:
        seen = await observe(contexts, port, Offer(oldest="TLSv1.2", newest="TLSv1.2"))
    assert seen.stage is Stage.HANDSHAKE
    assert seen.failure == "alert: protocol version"


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.1", "TLSv1"])
async def test_old_versions_are_really_tried(contexts, ca, leaf, version):
    with old_server(leaf, ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_3) as port:
        seen = await observe(contexts, port, Offer(oldest=version, newest=version))
    assert seen.version == version


async def test_nobody_listens(contexts, ca):
    seen = await observe(contexts, closed_port())
    assert (seen.stage, seen.failure) == (Stage.CONNECT, "connection refused")


async def test_a_server_that_hangs_up(contexts, ca):
    with listening(lambda client: client.recv(1)) as port:
        seen = await observe(contexts, port)
    assert seen.stage is Stage.HANDSHAKE
    assert "connection" in seen.failure


async def test_a_server_that_speaks_something_else(contexts, ca):
    with listening(lambda client: client.sendall(b"SSH-2.0-x\r\n" * 99)) as port:
        seen = await observe(contexts, port)
    assert seen.stage is Stage.HANDSHAKE


async def test_a_server_that_says_nothing(contexts, ca):
    gone = threading.Event()
    with listening(lambda _client: gone.wait(PATIENCE_SECONDS)) as port:
        seen = await observe(contexts, port, timeout_seconds=0.05)
        gone.set()
    assert (seen.stage, seen.failure) == (Stage.TIMEOUT, "no answer within 0.05 s")


async def test_a_server_that_sends_without_end(contexts, ca):
    # records of a warning alert, which OpenSSL takes some of
    def speak(client):
        while True:
            client.sendall(b"\x15\x03\x03\x00\x02\x01\x5a" * 1000)

    with listening(speak) as port:
        seen = await observe(contexts, port)
    assert seen.stage is Stage.HANDSHAKE
