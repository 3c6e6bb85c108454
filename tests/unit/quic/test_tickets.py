"""Tests for edgeproxy/quic/tickets.py."""

import dataclasses

import pytest

from edgeproxy.quic.early import EarlyData
from edgeproxy.quic.secrets import QuicSecrets
from edgeproxy.quic.tickets import SESSION_LIFETIME_SECONDS, Session, Tickets, identity_of

NOW = 1_700_000_000.0
DAY = 24 * 3600
SESSION = Session(b"s" * 48, 0x1302, "www.test", "h3", NOW)


def opened(tickets, ticket, now=NOW, server_name="www.test", protocol="h3"):
    return tickets.open(ticket, server_name=server_name, protocol=protocol, now=now)


def test_what_one_worker_seals_another_opens():
    secrets = QuicSecrets()
    ticket = Tickets(secrets, DAY).seal(SESSION, NOW)
    assert opened(Tickets(secrets, DAY), ticket) == SESSION
    assert ticket != Tickets(secrets, DAY).seal(SESSION, NOW)


def test_it_is_good_for_its_name_its_protocol_and_its_time():
    tickets = Tickets(QuicSecrets(), DAY)
    ticket = tickets.seal(SESSION, NOW)
    assert opened(tickets, ticket, NOW + DAY - 1)
    assert opened(tickets, ticket, NOW + DAY) is None
    assert opened(tickets, ticket, NOW - 1) is None
    assert opened(tickets, ticket, server_name="other.test") is None
    assert opened(tickets, ticket, protocol="hq") is None


def test_no_session_goes_on_for_longer_than_a_week():
    tickets = Tickets(QuicSecrets(), DAY)
    began = NOW - SESSION_LIFETIME_SECONDS + 100
    ticket = tickets.seal(dataclasses.replace(SESSION, began=began), NOW)
    assert opened(tickets, ticket, NOW + 99)
    assert opened(tickets, ticket, NOW + 100) is None


@pytest.mark.parametrize("at", [0, 3, 4, 15, 16, 60, -1])
def test_what_was_changed_is_no_ticket(at):
    tickets = Tickets(QuicSecrets(), DAY)
    ticket = bytearray(tickets.seal(SESSION, NOW))
    ticket[at] ^= 1
    assert opened(tickets, bytes(ticket)) is None


def test_what_is_too_short_is_no_ticket():
    tickets = Tickets(QuicSecrets(), DAY)
    assert opened(tickets, b"") is None
    assert opened(tickets, tickets.seal(SESSION, NOW)[:20]) is None


def test_keys_change_every_day_and_few_are_kept():
    tickets = Tickets(QuicSecrets(), 7 * DAY)
    for day in range(30):
        ticket = tickets.seal(dataclasses.replace(SESSION, began=NOW + day * DAY), NOW + day * DAY)
        assert opened(tickets, ticket, NOW + (day + 3) * DAY)
    assert len(tickets._keys) == 8
    assert opened(tickets, ticket, NOW - 100 * DAY) is None


def test_an_offer_of_early_data_is_sealed_with_the_rest():
    secrets = QuicSecrets()
    offer = EarlyData(is_on=True).offer(b"t" * 16, 2**32 - 1, 1234.5)
    session = dataclasses.replace(SESSION, offer=offer)
    ticket = Tickets(secrets, DAY).seal(session, NOW)
    assert opened(Tickets(secrets, DAY), ticket) == session
    assert session.offer.process not in ticket


def test_no_two_tickets_have_their_identity_in_common():
    tickets = Tickets(QuicSecrets(), DAY)
    assert len({identity_of(tickets.seal(SESSION, NOW)) for _ in range(100)}) == 100
