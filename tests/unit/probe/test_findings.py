"""Tests for edgeproxy/probe/findings.py."""

import time

import pytest

from edgeproxy.probe.findings import Expectations, findings, short_version
from edgeproxy.probe.handshake import Stage
from edgeproxy.probe.staples import StapleState
from tests.support.ca import LocalCa
from tests.support.probed import failed, inspection, shown

GOOD = StapleState("good")


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return LocalCa(tmp_path_factory.mktemp("findings"))


@pytest.fixture(scope="module")
def leaf(ca):
    return ca.issue("a.test")


def said(*inspections, **expected):
    return [str(each) for each in findings(inspections, Expectations(**expected), time.time())]


def test_nothing_is_wrong(leaf):
    assert said(inspection("10.0.0.1", shown(leaf)), inspection("10.0.0.2", shown(leaf))) == []


def test_failures(leaf):
    assert said(
        inspection("10.0.0.1", failed(stage=Stage.CONNECT), resumes=None),
        inspection("10.0.0.2", shown(leaf), failed("rsa")),
        inspection("10.0.0.3", shown(leaf), failed("rsa", is_absent=True), sni="b.test"),
    ) == [
        "10.0.0.1:443 a.test: failed: a reason",
        "10.0.0.2:443 a.test rsa: failed: a reason",
        "10.0.0.3:443 b.test ecdsa: the certificate is not for b.test but for a.test",
    ]


def test_most_addresses_are_right(ca, leaf):
    newer = ca.issue("a.test", starts_in_days=-0.1)
    [found] = said(
        inspection("10.0.0.1", shown(leaf)),
        inspection("10.0.0.2", shown(newer)),
        inspection("10.0.0.3", shown(leaf)),
    )
    assert found.startswith("10.0.0.2:443 a.test ecdsa: has another certificate (")


def test_of_equally_many_the_newest_is_right(ca, leaf):
    older = ca.issue("a.test", starts_in_days=-3)
    [found] = said(inspection("10.0.0.1", shown(older)), inspection("10.0.0.2", shown(leaf)))
    assert found.startswith("10.0.0.1:443 a.test ecdsa: has an older certificate (")
    assert "than another address (" in found


def test_names_are_not_compared_with_each_other(ca, leaf):
    other = ca.issue("b.test")
    assert (
        said(
            inspection("10.0.0.1", shown(leaf)),
            inspection("10.0.0.1", shown(other), sni="b.test"),
        )
        == []
    )


def test_a_chain_of_the_same_length_that_is_another(tmp_path, ca):
    first, second = ca.intermediate("one"), ca.intermediate("two")
    leaf = first.issue("a.test")
    other = shown(leaf, chain=(leaf.certificate, second.certificate))
    found = said(
        inspection("10.0.0.1", shown(leaf)),
        inspection("10.0.0.2", shown(leaf)),
        inspection("10.0.0.3", other),
    )
    assert found[-1] == ("10.0.0.3:443 a.test ecdsa: sends another chain than 2 other addresses")


def test_resumption_and_staples_that_only_some_have(leaf):
    assert said(
        inspection("10.0.0.1", shown(leaf, staple=GOOD)),
        inspection("10.0.0.2", shown(leaf), resumes=False),
    ) == [
        "10.0.0.2:443 a.test ecdsa: sends no staple, unlike another address",
        "10.0.0.2:443 a.test: does not resume sessions, unlike another address",
    ]
    assert said(inspection("10.0.0.1", shown(leaf), resumes=False)) == []


def test_expected_fingerprints_stand_in_for_a_comparison(ca, leaf):
    other = ca.issue("a.test")
    fingerprints = frozenset(
        each.certificate.fingerprint(each.certificate.signature_hash_algorithm).hex()
        for each in (leaf, other)
    )
    both = inspection("10.0.0.1", shown(leaf)), inspection("10.0.0.2", shown(other))
    assert said(*both, fingerprints=fingerprints) == []
    assert len(said(*both)) == 1


def test_old_versions(leaf):
    assert said(inspection("10.0.0.1", shown(leaf), accepts=("TLSv1",), unknown=("TLSv1.1",))) == [
        "10.0.0.1:443 a.test: accepts TLS 1.0"
    ]
    assert short_version("TLSv1.2") == "1.2"
