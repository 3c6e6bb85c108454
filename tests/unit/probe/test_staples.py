"""Tests for edgeproxy/probe/staples.py."""

import time

import pytest

from edgeproxy.probe.staples import GOOD, NO_ISSUER, NONE, issuer_of, judge
from tests.support.ca import LocalCa
from tests.support.ocsp_answers import OcspAnswers


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return LocalCa(tmp_path_factory.mktemp("staples"))


@pytest.fixture(scope="module")
def leaf(ca):
    return ca.issue("a.test").certificate


def judged(ca, leaf, mode, **now):
    der = OcspAnswers(ca).about(leaf, mode)
    return judge(der, leaf, ca.certificate, now.get("now", time.time()))


def test_none(ca, leaf):
    state = judge(b"", leaf, ca.certificate, 0)
    assert (state.word, state.is_there, state.is_good) == (NONE, False, False)


def test_a_good_one_with_its_dates(ca, leaf):
    state = judged(ca, leaf, "good")
    assert (state.word, state.is_there, state.is_good) == (GOOD, True, True)
    assert state.this_update.timestamp() < time.time() < state.next_update.timestamp()


def test_a_good_one_without_an_end_is_believed_for_a_while(ca, leaf):
    state = judged(ca, leaf, "no_next_update")
    assert state.word == GOOD
    assert state.next_update.timestamp() > time.time()


@pytest.mark.parametrize("mode", ["revoked", "unknown", "expired", "wrong_serial"])
def test_why_it_is_refused_and_its_dates_all_the_same(ca, leaf, mode):
    state = judged(ca, leaf, mode)
    assert (state.word, state.is_good) == (mode, False)
    assert state.this_update is not None


@pytest.mark.parametrize("mode", ["garbage", "try_later"])
def test_what_has_no_dates(ca, leaf, mode):
    state = judged(ca, leaf, mode)
    assert (state.word, state.this_update, state.next_update) == (mode, None, None)


def test_without_the_issuer_nothing_can_be_said(ca, leaf):
    state = judge(OcspAnswers(ca).about(leaf), leaf, None, time.time())
    assert (state.word, state.is_good) == (NO_ISSUER, False)
    assert state.next_update is not None


def test_the_issuer_is_who_signed(ca, leaf, tmp_path):
    namesake = LocalCa(tmp_path).certificate
    assert issuer_of(leaf, (namesake, leaf, ca.certificate)) == ca.certificate
    assert issuer_of(leaf, (namesake,)) is None
