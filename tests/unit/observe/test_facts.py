from dataclasses import FrozenInstanceError

import pytest

from edgeproxy.observe.facts import CertificateFacts, Facts


def test_what_is_not_said_is_empty():
    facts = Facts()
    assert not facts.is_draining
    assert (facts.connections, facts.refusals, facts.tiers, facts.certificates) == ({}, {}, {}, ())


def test_facts_stay_what_they_were():
    facts = CertificateFacts("a", "ecdsa", 1.0, 2.0)
    assert facts.staple_this_update is None
    with pytest.raises(FrozenInstanceError):
        facts.is_withheld = True
