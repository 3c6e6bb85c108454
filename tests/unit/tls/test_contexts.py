"""Tests for edgeproxy/tls/contexts.py; credentials and staples: `test_contexts_credentials.py`."""

import asyncio
import dataclasses
import gc
import weakref

import pytest
from OpenSSL import SSL

from edgeproxy.errors import CertificateError
from edgeproxy.tls.contexts import SESSION_LIFETIME_SECONDS, FrontContext
from edgeproxy.tls.identity import Identity, load_identity
from edgeproxy.tls.parameters import TlsParameters
from tests.support.ca import LocalCa, new_key, now
from tests.support.clock import ManualClock
from tests.support.handshake import client_context, connected, is_resumed, read_tickets


@pytest.fixture
def ca(tmp_path):
    return LocalCa(tmp_path)


@pytest.fixture
def identity(ca):
    def make(*names, key="ecdsa"):
        leaf = ca.intermediate(f"intermediate {len(names)}").issue(*names, key=key)
        return load_identity([leaf.files], name=names[0])

    return make


def shown(front, name=None, **chosen):
    """Return the names of the certificate that a client is shown, and of the identity."""
    server = front.new_connection()
    client = connected(server, name=name, **chosen)
    became = front.identity_of(server)
    assert client.get_peer_certificate(as_cryptography=True) == became.credentials[0].leaf
    return became.name


def test_the_server_name_selects_the_identity(identity):
    front = FrontContext([identity("a.test"), identity("b.test", "*.b.test")])
    assert shown(front, "a.test") == "a.test"
    assert shown(front, "B.Test") == "b.test"
    assert shown(front, "x.b.test") == "b.test"
    assert shown(front, "x.b.test.") == "b.test"


def test_exact_names_come_before_wildcards(identity):
    front = FrontContext([identity("*.a.test"), identity("x.a.test")])
    assert shown(front, "x.a.test") == "x.a.test"
    assert shown(front, "y.a.test") == "*.a.test"


def test_the_first_identity_of_a_name_wins(identity):
    front = FrontContext([identity("a.test"), identity("b.test", "a.test")])
    assert shown(front, "a.test") == "a.test"


@pytest.mark.parametrize("name", ["c.test", "x.y.b.test", "b", None])
def test_an_unknown_name_gets_the_default(identity, name):
    front = FrontContext([identity("a.test"), identity("*.b.test")])
    assert shown(front, name) == "a.test"


@pytest.mark.parametrize(
    ("name", "alert"), [("c.test", "unrecognized name"), (None, "missing extension")]
)
def test_an_unknown_name_can_be_refused(identity, name, alert, capfd):
    front = FrontContext([identity("a.test")], unknown_name="reject")
    assert shown(front, "a.test") == "a.test"
    with pytest.raises(SSL.Error, match=alert):
        connected(front.new_connection(), name=name)
    assert shown(front, "a.test") == "a.test"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("unknown", "nameless", "alert"),
    [("default", "reject", "missing extension"), ("reject", "default", "unrecognized name")],
)
def test_no_name_has_a_policy_of_its_own(identity, unknown, nameless, alert):
    front = FrontContext([identity("a.test")], unknown_name=unknown, no_name=nameless)
    refused, served = ("c.test", None) if unknown == "reject" else (None, "c.test")
    assert shown(front, served) == "a.test"
    with pytest.raises(SSL.Error, match=alert):
        connected(front.new_connection(), name=refused)


def refused(front, name):
    with pytest.raises(SSL.Error, match="unrecognized name" if name else "missing extension"):
        connected(front.new_connection(), name=name)


def test_other_policies_hold_for_the_next_client(identity):
    front = FrontContext([identity("a.test")])
    assert shown(front, "c.test") == "a.test"
    front.adopt(TlsParameters(), unknown_name="reject", no_name="default")
    refused(front, "c.test")
    assert shown(front, None) == "a.test"


def test_a_withheld_name_is_refused_and_nobody_stands_in(identity):
    front = FrontContext([identity("a.test"), identity("*.b.test")], withheld=["x.b.test"])
    assert shown(front, "a.test") == "a.test"
    assert shown(front, "y.b.test") == "*.b.test"
    refused(front, "x.b.test")
    front.replace(front.identities, withheld=["*.b.test"])
    refused(front, "y.b.test")
    front.replace(front.identities)
    assert shown(front, "x.b.test") == "*.b.test"


def test_a_withheld_wildcard_leaves_exact_names_of_others(identity):
    front = FrontContext([identity("x.b.test")], withheld=["*.b.test"])
    assert shown(front, "x.b.test") == "x.b.test"
    refused(front, "y.b.test")


def test_the_default_is_the_first_identity_that_is_not_withheld(identity):
    first, second = identity("a.test", "c.test"), identity("b.test")
    front = FrontContext([first, second], withheld=["a.test"])
    assert shown(front, None) == "b.test"
    assert shown(front, "unknown.test") == "b.test"
    refused(front, "a.test")


def test_without_any_default_everybody_is_refused(identity):
    front = FrontContext([], withheld=["a.test"])
    for name in ("a.test", "unknown.test", None):
        refused(front, name)
    front.replace([identity("a.test")])
    assert shown(front, None) == "a.test"


def test_the_chain_is_sent_and_verifies(ca, identity):
    front = FrontContext([identity("a.test")])
    assert shown(front, "a.test", context=client_context(ca.path)) == "a.test"


@pytest.mark.parametrize("key", ["ecdsa", "rsa"])
def test_both_kinds_of_key(identity, key):
    assert shown(FrontContext([identity("a.test", key=key)]), "a.test") == "a.test"


def test_protocols_are_negotiated_in_our_order(identity):
    front = FrontContext([identity("a.test")])
    server = front.new_connection()
    connected(server, name="a.test", protocols=[b"http/1.1", b"h2"])
    assert server.get_alpn_proto_negotiated() == b"h2"
    with pytest.raises(SSL.Error, match="no application protocol"):
        connected(front.new_connection(), name="a.test", protocols=[b"spdy/3"])
    alone = FrontContext([identity("a.test")], parameters=TlsParameters(protocols=(b"http/1.1",)))
    with pytest.raises(SSL.Error, match="no application protocol"):
        connected(alone.new_connection(), protocols=[b"h2"])


def test_a_replaced_identity_is_shown_to_new_connections_only(identity):
    old, new = identity("a.test"), identity("a.test", "b.test")
    front = FrontContext([old])
    running = front.new_connection()
    client = connected(running, name="a.test")
    front.replace([new])
    assert front.identities == (new,)
    server = front.new_connection()
    connected(server, name="a.test")
    assert front.identity_of(server) is new
    assert front.identity_of(running) is old
    read_tickets(client, running)


def test_a_connection_in_the_middle_of_its_handshake_survives_a_replacement(identity):
    front = FrontContext([identity("a.test")])
    server = front.new_connection()
    front.replace([identity("a.test", "b.test")])
    connected(server, name="a.test")


def test_a_bad_replacement_changes_nothing(identity):
    good = identity("a.test")
    front = FrontContext([good])
    bad = Identity("a.test", (dataclasses.replace(good.credentials[0], key=new_key()),))
    with pytest.raises(CertificateError, match=r"identity 'a\.test': OpenSSL refuses"):
        front.replace([bad])
    with pytest.raises(CertificateError, match="at least one"):
        front.replace([])
    assert front.identities == (good,)
    assert shown(front, "a.test") == "a.test"


def test_identity_of_a_connection_that_has_not_begun(identity):
    front = FrontContext([identity("a.test")])
    with pytest.raises(LookupError):
        front.identity_of(front.new_connection())


def test_sessions_are_resumed_and_also_over_a_rotation(identity):
    front = FrontContext([identity("a.test")])
    context = client_context()

    def again(session=None):
        server = front.new_connection()
        client = connected(server, name="a.test", context=context, session=session)
        read_tickets(client, server)
        return client

    first = again()
    assert not is_resumed(first)
    second = again(first.get_session())
    assert is_resumed(second)
    front.replace([identity("a.test", "b.test")])
    assert is_resumed(again(second.get_session()))


def test_an_identity_that_stays_keeps_its_context(identity):
    stays, goes = identity("a.test"), identity("b.test")
    front = FrontContext([stays, goes])

    def contexts():
        servers = [front.new_connection() for _ in range(2)]
        for server, name in zip(servers, ("a.test", "b.test"), strict=True):
            connected(server, name=name)
        return [server.get_context() for server in servers]

    before = contexts()
    front.replace([goes.with_staples({}), stays])
    after = contexts()
    assert before[0] is after[0]
    assert before[1] is not after[1]


def test_an_identity_that_goes_is_forgotten(identity):
    front = FrontContext([identity("a.test")])
    connected(front.new_connection(), name="a.test")
    gone = weakref.ref(front.identities[0])
    gc.disable()  # what start-up made is frozen, and never looked at by the collector
    try:
        front.replace([identity("a.test", "b.test")])
        assert gone() is None
    finally:
        gc.enable()


def test_a_replaced_identity_lives_as_long_as_its_last_connection(identity):
    front = FrontContext([identity("a.test")])
    server = front.new_connection()
    client = connected(server, name="a.test")
    old = weakref.ref(front.identities[0])
    front.replace([identity("a.test", "b.test")])
    gc.collect()
    assert front.identity_of(server) is old()
    read_tickets(client, server)


class Visitor:
    """A client that keeps its tickets, and its connections: OpenSSL forgets what was cut off."""

    def __init__(self, front):
        self.front = front
        self.context = client_context()
        self.session = None
        self.clients = []

    def visit(self, name="a.test"):
        """Return the server's end; `is_resumed` tells how it came about."""
        server = self.front.new_connection()
        client = connected(server, name=name, context=self.context, session=self.session)
        read_tickets(client, server)
        self.session = client.get_session()
        self.clients.append(client)
        return server


def test_a_session_resumed_under_another_name_becomes_that_name_only(identity):
    # RFC 8446 section 4.6.1: whether to do that is the client's to decide. OpenSSL resumes.
    front = FrontContext([identity("a.test"), identity("b.test")])
    visitor = Visitor(front)
    visitor.visit("a.test")
    server = visitor.visit("b.test")
    assert is_resumed(server)
    became = front.identity_of(server)
    assert became.name == "b.test"
    assert not became.covers("a.test")


def test_a_session_opens_no_name_that_is_refused(identity):
    front = FrontContext([identity("a.test"), identity("b.test")], unknown_name="reject")
    visitor = Visitor(front)
    visitor.visit("a.test")
    front.replace(front.identities, withheld=["b.test"])
    for name in ("b.test", "c.test"):
        with pytest.raises(SSL.Error, match="unrecognized name"):
            visitor.visit(name)


def test_sessions_end_with_the_week_however_often_they_were_resumed(identity):
    clock = ManualClock(now().timestamp())
    front = FrontContext([identity("a.test")], clock=clock)
    visitor = Visitor(front)
    assert [is_resumed(visitor.visit()) for _ in range(3)] == [False, True, True]
    clock.advance(SESSION_LIFETIME_SECONDS - 1)
    assert is_resumed(visitor.visit())
    clock.advance(1)
    assert [is_resumed(visitor.visit()) for _ in range(3)] == [False, True, True]


def test_no_session_is_resumed_when_tickets_are_off(identity):
    front = FrontContext([identity("a.test")], parameters=TlsParameters(ticket_lifetime_seconds=0))
    visitor = Visitor(front)
    assert [is_resumed(visitor.visit()) for _ in range(3)] == [False, False, False]


def test_a_session_of_another_front_is_not_resumed(identity):
    mine = identity("a.test")
    one, other = FrontContext([mine]), FrontContext([mine])
    context = client_context()
    server = one.new_connection()
    client = connected(server, context=context)
    read_tickets(client, server)
    assert not is_resumed(
        connected(other.new_connection(), context=context, session=client.get_session())
    )


async def test_over_a_real_socket_with_the_standard_library(ca, identity):
    """The front's connection driven by hand against `ssl` as an independent client."""
    front = FrontContext([identity("a.test")])

    async def serve(reader, writer):
        connection = front.new_connection()
        while True:
            try:
                connection.do_handshake()
                break
            except SSL.WantReadError:
                _flush(connection, writer)
                connection.bio_write(await reader.read(65536))
        connection.send(b"hello")
        _flush(connection, writer)
        await writer.drain()
        writer.close()

    context = ca.client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="a.test"
        )
        assert await reader.readexactly(5) == b"hello"
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        writer.close()


def _flush(connection, writer):
    try:
        while True:
            writer.write(connection.bio_read(65536))
    except SSL.WantReadError:
        pass
