"""Tests for edgeproxy/quic/early.py."""

import dataclasses

import pytest

from edgeproxy.quic.early import (
    AGE_SECONDS,
    LIFETIME_SECONDS,
    REMEMBERED_SECONDS,
    EarlyData,
)

NOW = 1000.0
TERMS = b"t" * 16
ADD = 0xFFFFFF00  # so that ages wrap around


def told(seconds: float, add: int = ADD) -> int:
    """Return an age as a ClientHello says it (RFC 8446 section 4.2.11.1)."""
    return (int(seconds * 1000) + add) % 2**32


@pytest.fixture
def early():
    return EarlyData(is_on=True)


@pytest.fixture
def offer(early):
    return early.offer(TERMS, ADD, NOW)


def test_it_is_off_unless_it_is_switched_on(offer):
    off = EarlyData()
    assert off.offer(TERMS, ADD, NOW) is None
    assert not off.accepts(offer, b"a", told(0), terms=TERMS, now=NOW)
    assert off.outcomes == {"off": 1}


def test_a_ticket_is_good_for_it_once(early, offer):
    assert early.accepts(offer, b"a", told(60), terms=TERMS, now=NOW + 60)
    assert not early.accepts(offer, b"a", told(60), terms=TERMS, now=NOW + 60)
    assert not early.accepts(offer, b"a", told(3600), terms=TERMS, now=NOW + 3600)
    assert early.accepts(offer, b"b", told(60), terms=TERMS, now=NOW + 60)
    assert early.outcomes == {"accepted": 2, "replayed": 2}


def test_only_who_gave_the_ticket_out_takes_it(offer):
    other = EarlyData(is_on=True)
    assert not other.accepts(offer, b"a", told(0), terms=TERMS, now=NOW)
    assert other.outcomes == {"other_process": 1}


def test_what_the_client_remembers_has_to_be_true(early, offer):
    assert not early.accepts(offer, b"a", told(0), terms=b"u" * 16, now=NOW)
    assert not early.accepts(None, b"a", told(0), terms=TERMS, now=NOW)
    assert early.outcomes == {"changed": 1, "not_offered": 1}


@pytest.mark.parametrize(
    ("theirs", "ours", "is_good"),
    [
        (100, 100 + AGE_SECONDS - 0.1, True),
        (100, 100 + AGE_SECONDS + 0.1, False),
        (100, 100 - AGE_SECONDS + 0.1, True),
        (100, 100 - AGE_SECONDS - 0.1, False),
        (LIFETIME_SECONDS - 1, LIFETIME_SECONDS - 1, True),
        (LIFETIME_SECONDS + 1, LIFETIME_SECONDS + 1, False),
    ],
)
def test_ages_have_to_agree_and_not_to_be_great(early, offer, theirs, ours, is_good):
    assert early.accepts(offer, b"a", told(theirs), terms=TERMS, now=NOW + ours) is is_good
    assert early.outcomes == {"accepted" if is_good else "age": 1}


def test_what_is_remembered_is_bounded_and_nothing_is_forgotten_too_soon():
    early = EarlyData(is_on=True, remembered_max=2)
    offer = early.offer(TERMS, ADD, NOW)

    def accepts(ticket, later):
        age = told(later)
        return early.accepts(offer, ticket, age, terms=TERMS, now=NOW + later)

    assert accepts(b"a", 0)
    assert accepts(b"b", 1)
    assert not accepts(b"c", REMEMBERED_SECONDS - 1)
    assert early.outcomes["full"] == 1
    assert accepts(b"c", REMEMBERED_SECONDS)
    assert not accepts(b"b", REMEMBERED_SECONDS), "which is still remembered"
    assert not accepts(b"d", REMEMBERED_SECONDS)
    assert early.outcomes == {"accepted": 3, "full": 2, "replayed": 1}


def test_a_recording_that_was_forgotten_is_too_old():
    early = EarlyData(is_on=True, remembered_max=1)
    offer = early.offer(TERMS, ADD, NOW)
    recorded = told(AGE_SECONDS)  # of a client whose clock is as wrong as may be
    assert early.accepts(offer, b"a", recorded, terms=TERMS, now=NOW)
    later = NOW + REMEMBERED_SECONDS
    assert early.accepts(offer, b"b", told(REMEMBERED_SECONDS), terms=TERMS, now=later)
    assert not early.accepts(offer, b"a", recorded, terms=TERMS, now=later)
    assert early.outcomes == {"accepted": 2, "age": 1}


def test_an_offer_is_as_it_was_made(early, offer):
    assert offer == early.offer(TERMS, ADD, NOW)
    assert dataclasses.replace(offer, process=b"") != offer


def test_what_came_without_a_session_is_counted(early):
    early.refused("not_resumed")
    assert early.outcomes == {"not_resumed": 1}
