"""Tests for edgeproxy/tls/contexts.py: which credential, which staple, what is observed."""

import dataclasses

import pytest
from OpenSSL import SSL

from edgeproxy.errors import EdgeError
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.tls.handshakes import Handshake
from edgeproxy.tls.hooks import set_groups
from edgeproxy.tls.identity import load_identity
from edgeproxy.tls.ocsp.staple import Staple
from tests.support.ca import LocalCa, now
from tests.support.clock import ManualClock
from tests.support.handshake import client_context, connected, read_tickets
from tests.support.staples import DAY, staple_for
from tests.support.tls_engine import EnginePair

KINDS = ("ecdsa", "rsa")


@pytest.fixture(scope="module")
def authorities(tmp_path_factory):
    root = LocalCa(tmp_path_factory.mktemp("ca"))
    return {kind: root.intermediate(f"intermediate {kind}") for kind in KINDS}


@pytest.fixture(scope="module")
def bare(authorities):
    """An identity with both kinds, each from an authority of its own, without staples."""
    pairs = [authorities[kind].issue("a.test", key=kind).files for kind in KINDS]
    return load_identity(pairs, name="both")


def with_staples(identity, authorities, **chosen):
    staples = {
        each.fingerprint: staple_for(each.leaf, authorities[each.kind], **chosen)
        for each in identity.credentials
    }
    return identity.with_staples(staples)


@pytest.fixture(scope="module")
def both(bare, authorities):
    return with_staples(bare, authorities)


def credential(identity, kind):
    return next(each for each in identity.credentials if each.kind == kind)


def handed(front, *, signs=None, wants_staple=True):
    """Return a client and what it was stapled, None where its callback was not called."""
    received = []
    context = client_context(signs=signs)
    context.set_ocsp_client_callback(lambda _connection, der, _data: not received.append(der))
    client = connected(
        front.new_connection(),
        name="a.test",
        context=context,
        wants_staple=wants_staple,
    )
    return client, received[0] if received else None


@pytest.mark.parametrize("kind", KINDS)
def test_each_client_gets_its_kind_with_its_own_chain_and_staple(both, kind):
    client, der = handed(FrontContext([both]), signs=kind)
    expected = credential(both, kind)
    assert tuple(client.get_peer_cert_chain(as_cryptography=True)) == expected.chain
    assert der == expected.staple.der


def test_who_takes_both_gets_ecdsa(both):
    client, der = handed(FrontContext([both]))
    expected = credential(both, "ecdsa")
    assert client.get_peer_certificate(as_cryptography=True) == expected.leaf
    assert der == expected.staple.der


def test_the_order_of_handshakes_changes_nothing(both):
    front = FrontContext([both])
    for kind in ("rsa", "ecdsa", "ecdsa", "rsa"):
        assert handed(front, signs=kind)[1] == credential(both, kind).staple.der


@pytest.mark.parametrize("kind", KINDS)
def test_without_being_asked_nothing_is_stapled(both, kind):
    assert not handed(FrontContext([both]), signs=kind, wants_staple=False)[1]


def test_without_a_staple_none_is_sent(bare):
    assert handed(FrontContext([bare]))[1] == b""


def test_one_credential_may_have_a_staple_and_the_other_none(both):
    rsa = credential(both, "rsa")
    front = FrontContext([both.with_staples({rsa.fingerprint: None})])
    assert handed(front, signs="rsa")[1] == b""
    assert handed(front, signs="ecdsa")[1] == credential(both, "ecdsa").staple.der


def test_a_staple_is_handed_out_only_while_it_is_usable(bare, authorities):
    clock = ManualClock(now().timestamp())
    front = FrontContext([with_staples(bare, authorities, usable_seconds=DAY)], clock=clock)
    clock.advance(DAY - 60)
    assert handed(front)[1]
    clock.advance(120)
    assert handed(front)[1] == b""


def test_what_openssl_takes_for_no_staple_does_not_break_the_handshake(both):
    # Since OpenSSL 3.6 a staple that does not parse is dropped silently.
    nonsense = Staple(b"not an OCSP response", 0.0, DAY, now().timestamp() + DAY)
    front = FrontContext([both.with_staples(dict.fromkeys(both.fingerprints, nonsense))])
    assert handed(front)[1] == b""


def test_a_replaced_staple_is_handed_out_at_once(bare, both):
    front = FrontContext([bare])
    assert handed(front)[1] == b""
    front.replace([both])
    assert handed(front)[1] == credential(both, "ecdsa").staple.der


# --- what is observed -----------------------------------------------------------------------------


class Observed:
    """A front, driven as a listener does, and what it told."""

    def __init__(self, *identities, **chosen):
        self.told = []
        self.front = FrontContext(identities, observe=self.told.append, **chosen)

    def completed(self, earlier=None, context=None):
        server = self.front.new_connection()
        session = None if earlier is None else earlier.get_session()
        client = connected(server, name="a.test", context=context, session=session)
        self.front.completed(server)
        read_tickets(client, server)
        return client

    def failed(self, *, context=None, name="a.test"):
        pair = EnginePair(self.front.new_connection(), context=context)
        if name:
            pair.client.set_tlsext_host_name(name.encode())
        return self.fails(pair, pair.shake_hands)

    def garbage(self, data):
        pair = EnginePair(self.front.new_connection())
        return self.fails(pair, lambda: pair.feed(data))

    def fails(self, pair, attempt):
        with pytest.raises(EdgeError) as fault:
            attempt()
        self.front.failed(pair.engine.connection, str(fault.value))
        return self.told[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_handshake_and_a_resumed_one(both, kind):
    seen = Observed(both)
    context = client_context(signs=kind)
    first = seen.completed(context=context)
    seen.completed(first, context)
    assert seen.told == [
        Handshake("completed", "full", "X25519MLKEM768", kind),
        Handshake("completed", "resumed", "X25519MLKEM768", ""),
    ]


@pytest.mark.parametrize("group", ["X25519", "P-256"])
def test_groups_are_called_as_in_the_configuration(both, group):
    seen = Observed(both)
    context = client_context()
    set_groups(context, [group])
    seen.completed(context=context)
    assert seen.told == [Handshake("completed", "full", group, "ecdsa")]


def limited(change):
    context = client_context()
    change(context)
    return context


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (lambda c: c.set_max_proto_version(SSL.TLS1_2_VERSION), "unsupported_version"),
        (lambda c: set_groups(c, ["P-521"]), "no_common_group"),
        (lambda c: c.set_tls13_ciphersuites(b"TLS_AES_128_CCM_SHA256"), "no_common_cipher"),
        (lambda c: c.set_alpn_protos([b"spdy/3"]), "no_application_protocol"),
    ],
)
def test_clients_that_have_nothing_in_common_with_us(both, change, outcome):
    assert Observed(both).failed(context=limited(change)) == Handshake(outcome)


def test_a_client_that_takes_no_signature_of_ours(both):
    only_rsa = dataclasses.replace(both, credentials=both.credentials[1:])
    context = client_context(signs="ecdsa")
    assert Observed(only_rsa).failed(context=context) == Handshake("no_common_signature")


def test_names_that_are_refused(both):
    seen = Observed(both, unknown_name="reject")
    assert seen.failed(name="b.test") == Handshake("unrecognized_name")
    assert seen.failed(name=None) == Handshake("missing_extension")


@pytest.mark.parametrize(
    ("data", "outcome"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "not_tls"),
        (bytes(100), "not_tls"),
        (b"\x16\x03\x01\xff\xff" + bytes(100), "bad_record"),
        (b"\x16\x03\x01\x00\x30\x01\x00\x00\x2c" + bytes(100), "bad_record"),
        (b"\x17\x03\x03\x00\x30" + bytes(100), "bad_record"),
    ],
)
def test_what_is_no_handshake(both, data, outcome):
    assert Observed(both).garbage(data) == Handshake(outcome)


def test_what_ends_without_a_word(both):
    seen = Observed(both)
    seen.front.abandoned("timeout")
    seen.front.abandoned("closed")
    assert seen.told == [Handshake("timeout"), Handshake("closed")]


def test_nobody_has_to_observe(both):
    front = FrontContext([both])
    server = front.new_connection()
    connected(server)
    front.completed(server)
    front.failed(server, "whatever")
    front.abandoned("closed")
