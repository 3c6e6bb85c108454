"""Tests for edgeproxy/quic/handshake.py."""

import dataclasses
import time

import pytest
from aioquic.quic import events
from aioquic.quic.packet import QuicErrorCode
from aioquic.tls import CipherSuite

from edgeproxy.quic.early import AGE_SECONDS, EarlyData
from edgeproxy.quic.secrets import QuicSecrets
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.tls.handshakes import Handshake
from edgeproxy.tls.parameters import TlsParameters
from edgeproxy.wire.limits import Limits
from tests.support.clock import ManualClock
from tests.support.quic import LIFETIME, Client, Pair, ca_in, identity_of, settings_of
from tests.support.staples import staple_for

CRYPTO = int(QuicErrorCode.CRYPTO_ERROR)


@pytest.fixture
def ca(tmp_path):
    return ca_in(tmp_path)


@pytest.fixture
def two(ca):
    return [identity_of(ca, "a.test"), identity_of(ca, "b.test", "*.b.test", key="rsa")]


def shake_hands(settings, **client):
    return Pair(settings, **client).run()


def stapled(identity, ca):
    (credential,) = identity.credentials
    staple = staple_for(credential.leaf, ca)
    return identity.with_staples({credential.fingerprint: staple}), staple.der


def clock_of_now():
    return ManualClock(time.time())


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a.test", "a.test"), ("b.test", "b.test"), ("x.B.test", "b.test"), ("other.test", "a.test")],
)
def test_the_server_name_selects_the_certificate(two, name, shown):
    pair = shake_hands(settings_of(FrontContext(two)), server_name=name)
    assert pair.of(events.HandshakeCompleted)
    assert pair.client.common_name == shown
    assert pair.server.handshake.identity.covers(shown)
    assert pair.server.handshake.server_name == name.lower()


def test_unknown_names_are_refused_where_the_policy_says_so(two):
    front = FrontContext(two, unknown_name="reject")
    assert shake_hands(settings_of(front), server_name="c.test").closed.error_code == CRYPTO + 112
    assert shake_hands(settings_of(front)).closed.error_code == CRYPTO + 109


def test_withheld_names_are_refused(two):
    front = FrontContext(two)
    front.replace(two, withheld=["a.test"])
    pair = shake_hands(settings_of(front), server_name="a.test")
    assert pair.closed.error_code == CRYPTO + 112


def test_a_replaced_identity_is_shown_from_then_on(ca, two):
    front = FrontContext(two)
    settings = settings_of(front)
    before = shake_hands(settings, server_name="a.test")
    front.replace([identity_of(ca, "a.test")])
    after = shake_hands(settings, server_name="a.test")
    assert before.client.tls.shown[0] != after.client.tls.shown[0]


def test_the_staple_is_seen_on_the_first_handshake(ca, two):
    identity, der = stapled(two[1], ca)
    settings = settings_of(FrontContext([two[0], identity]), clock=clock_of_now())
    assert shake_hands(settings, server_name="b.test").client.staple == der
    assert shake_hands(settings, server_name="a.test").client.staple == b""


def test_no_staple_unasked_nor_after_its_time(ca, two):
    identity, _ = stapled(two[0], ca)
    clock = clock_of_now()
    settings = settings_of(FrontContext([identity]), clock=clock)
    assert shake_hands(settings, asks_staple=False, server_name="a.test").client.staple == b""
    clock.advance(8 * 24 * 3600)
    assert shake_hands(settings, server_name="a.test").client.staple == b""


def test_the_credential_follows_the_clients_signature_algorithms(ca):
    ecdsa, rsa = identity_of(ca, "a.test"), identity_of(ca, "a.test", key="rsa")
    both = dataclasses.replace(ecdsa, credentials=ecdsa.credentials + rsa.credentials)
    settings = settings_of(FrontContext([both]))
    kinds = []
    for algorithms in ([0x0403, 0x0804], [0x0804], [0x0503, 0x0805]):
        client = Client(server_name="a.test")
        initialize = client._initialize

        def choosy(cid, client=client, initialize=initialize, algorithms=algorithms):
            initialize(cid)
            client.tls._signature_algorithms = algorithms

        client._initialize = choosy
        pair = Pair(settings, client=client).run()
        assert pair.of(events.HandshakeCompleted)
        kinds.append(pair.server.handshake._credential.kind)
    assert kinds == ["ecdsa", "rsa", "rsa"]


def test_a_session_resumes_on_another_worker(two):
    secrets, clock = QuicSecrets(), ManualClock()
    seen: list[Handshake] = []
    fronts = [FrontContext(two), FrontContext(two, observe=seen.append)]
    one, other = (settings_of(front, secrets=secrets, clock=clock) for front in fronts)
    first = shake_hands(one, server_name="a.test")
    (ticket,) = first.client.tickets
    assert ticket.max_early_data_size is None
    second = shake_hands(other, server_name="a.test", session_ticket=ticket)
    assert second.of(events.HandshakeCompleted)[0].session_resumed
    second.server.handshake.note_completed()
    assert seen == [Handshake("completed", "resumed", "P-256")]
    assert len(second.client.tickets) == 1, "a resumed session gets another ticket"


@pytest.mark.parametrize("changed", ["name", "secret", "age", "none"])
def test_a_ticket_that_does_not_fit_costs_a_full_handshake(two, changed):
    secrets, clock = QuicSecrets(), ManualClock()
    front = FrontContext(two)
    first = shake_hands(settings_of(front, secrets=secrets, clock=clock), server_name="a.test")
    (ticket,) = first.client.tickets
    name = "a.test"
    lifetime = LIFETIME
    if changed == "name":
        name = ticket.server_name = "b.test"
    elif changed == "secret":
        secrets = QuicSecrets()
    elif changed == "none":
        lifetime = 0
    else:
        clock.advance(LIFETIME + 1)
    settings = settings_of(front, secrets=secrets, clock=clock, lifetime=lifetime)
    pair = shake_hands(settings, server_name=name, session_ticket=ticket)
    assert not pair.of(events.HandshakeCompleted)[0].session_resumed
    assert pair.client.common_name == name
    assert len(pair.client.tickets) == (0 if changed == "none" else 1)


def early(settings, ticket, *, name="a.test", **client):
    """Come back with a request in the first datagram; what the server has read until then."""
    pair = Pair(settings, server_name=name, session_ticket=ticket, **client)
    pair.client.send_stream_data(0, b"early", end_stream=True)
    pair.to_server()
    return pair, [event.data for event in pair.of(events.StreamDataReceived, server=True)]


def switched_on(two, **more):
    early_data = EarlyData(is_on=True)
    return settings_of(FrontContext(two), early=early_data, **more), early_data.outcomes


def refused(settings, ticket, **client):
    """Assert that early data is not read and the session goes on without it."""
    pair, read = early(settings, ticket, **client)
    assert not read
    pair.run()
    (completed,) = pair.of(events.HandshakeCompleted)
    assert completed.session_resumed
    assert not completed.early_data_accepted
    return pair


def test_early_data_is_never_taken_by_default(two):
    settings = settings_of(FrontContext(two))
    (ticket,) = shake_hands(settings, server_name="a.test").client.tickets
    ticket.max_early_data_size = 0xFFFFFFFF  # what a client might pretend
    refused(settings, ticket)
    assert settings.early.outcomes == {"off": 1}
    settings.early.is_on = True
    refused(settings, ticket)
    assert settings.early.outcomes == {"off": 1, "not_offered": 1}


def test_early_data_is_taken_where_it_is_switched_on(two):
    settings, outcomes = switched_on(two)
    (ticket,) = shake_hands(settings, server_name="a.test").client.tickets
    assert ticket.max_early_data_size == 0xFFFFFFFF
    pair, read = early(settings, ticket)
    assert read == [b"early"]
    assert not pair.server.is_handshake_complete
    pair.run()
    (completed,) = pair.of(events.HandshakeCompleted)
    assert completed.early_data_accepted
    assert outcomes == {"accepted": 1}
    (again,) = pair.client.tickets
    assert early(settings, again)[1] == [b"early"], "a resumed session gets such a ticket as well"


def test_a_ticket_that_was_used_is_good_for_a_handshake_only(two):
    settings, outcomes = switched_on(two)
    (ticket,) = shake_hands(settings, server_name="a.test").client.tickets
    assert early(settings, ticket)[1]
    refused(settings, ticket)
    assert outcomes == {"accepted": 1, "replayed": 1}


def test_a_recording_of_the_first_datagrams_is_read_once(two):
    settings, outcomes = switched_on(two)
    (ticket,) = shake_hands(settings, server_name="a.test").client.tickets
    recorded = early(settings, ticket)[0].sent_by_client
    replay = Pair(settings, server_name="a.test")
    for data in recorded:
        replay.feed(data)
    assert replay.server.handshake.session_resumed
    assert not replay.of(events.StreamDataReceived, server=True)
    assert outcomes == {"accepted": 1, "replayed": 1}


def test_another_worker_takes_none(two):
    secrets, clock = QuicSecrets(), ManualClock()
    one, _ = switched_on(two, secrets=secrets, clock=clock)
    other, outcomes = switched_on(two, secrets=secrets, clock=clock)
    (ticket,) = shake_hands(one, server_name="a.test").client.tickets
    refused(other, ticket)
    assert outcomes == {"other_process": 1}


def test_an_age_that_does_not_agree(two):
    clock = ManualClock()
    settings, outcomes = switched_on(two, clock=clock)
    (ticket,) = shake_hands(settings, server_name="a.test").client.tickets
    clock.advance(AGE_SECONDS + 1)  # which the client knows nothing of
    refused(settings, ticket)
    assert outcomes == {"age": 1}


def test_limits_that_are_others_by_now(two):
    settings, outcomes = switched_on(two)
    (ticket,) = shake_hands(settings, server_name="a.test").client.tickets
    less = Limits(concurrent_streams_max=settings.limits.concurrent_streams_max - 1)
    refused(dataclasses.replace(settings, limits=less), ticket)
    assert outcomes == {"changed": 1}


def test_an_identity_that_is_another_by_now(two):
    settings, outcomes = switched_on(two)
    (ticket,) = shake_hands(settings, server_name="a.test").client.tickets
    settings.front.replace([two[1]])
    refused(settings, ticket)
    assert outcomes == {"changed": 1}


def test_more_than_can_be_remembered(two):
    early_data = EarlyData(is_on=True, remembered_max=1)
    settings = settings_of(FrontContext(two), early=early_data)
    tickets = [shake_hands(settings, server_name="a.test").client.tickets[0] for _ in range(2)]
    assert early(settings, tickets[0])[1]
    refused(settings, tickets[1])
    assert early_data.outcomes == {"accepted": 1, "full": 1}


def test_early_data_without_a_session_is_not_read(two):
    settings, _ = switched_on(two)
    (ticket,) = shake_hands(settings, server_name="a.test").client.tickets
    elsewhere, outcomes = switched_on(two)  # with another secret
    pair, read = early(elsewhere, ticket)
    assert not read
    (completed,) = pair.run().of(events.HandshakeCompleted)
    assert not completed.session_resumed
    assert not completed.early_data_accepted
    assert outcomes == {"not_resumed": 1}


def test_who_does_not_own_the_session_spends_no_ticket(two):
    settings, outcomes = switched_on(two)
    (ticket,) = shake_hands(settings, server_name="a.test").client.tickets
    thief = dataclasses.replace(ticket, resumption_secret=bytes(len(ticket.resumption_secret)))
    pair, read = early(settings, thief)
    assert not read
    assert pair.run().closed.error_code == CRYPTO + 40
    assert not outcomes
    assert early(settings, ticket)[1]


def test_an_application_protocol_is_needed(two):
    settings = settings_of(FrontContext(two))
    for protocols in (["hq-interop"], None):
        pair = shake_hands(settings, server_name="a.test", alpn_protocols=protocols)
        assert pair.closed.error_code == 0x178


def test_groups_are_those_that_are_configured(two):
    front = FrontContext(two, parameters=TlsParameters(groups=("X25519",)))
    pair = shake_hands(settings_of(front), server_name="a.test")
    assert pair.of(events.HandshakeCompleted)
    assert pair.server.handshake._group == "X25519"
    front = FrontContext(two, parameters=TlsParameters(groups=("X25519MLKEM768",)))
    pair = shake_hands(settings_of(front), server_name="a.test")
    assert pair.closed.error_code == CRYPTO + 40


def test_the_client_chooses_the_cipher_suite(two):
    settings = settings_of(FrontContext(two))
    for suite in (CipherSuite.CHACHA20_POLY1305_SHA256, CipherSuite.AES_256_GCM_SHA384):
        order = [suite, CipherSuite.AES_128_GCM_SHA256]
        pair = shake_hands(settings, server_name="a.test", cipher_suites=order)
        assert pair.server.tls.key_schedule.cipher_suite == suite
