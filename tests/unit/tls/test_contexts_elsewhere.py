"""Tests for edgeproxy/tls/contexts.py: what handshakes ask of it that OpenSSL does not do."""

import pytest

from edgeproxy.tls.contexts import FrontContext
from edgeproxy.tls.handshakes import Handshake
from edgeproxy.tls.identity import load_identity
from edgeproxy.tls.parameters import TlsParameters
from tests.support.ca import LocalCa


@pytest.fixture
def identities(tmp_path):
    ca = LocalCa(tmp_path)
    return [load_identity([ca.issue(name).files], name=name) for name in ("a.test", "*.b.test")]


def test_the_identity_of_a_name_follows_the_policy(identities):
    front = FrontContext(identities)
    first, second = identities
    assert front.identity_for(b"a.test") is first
    assert front.identity_for(b"X.b.test") is second
    assert front.identity_for(b"other.test") is first
    assert front.identity_for(None) is first
    front.adopt(TlsParameters(), unknown_name="reject", no_name="default")
    assert front.identity_for(b"other.test") is None
    assert front.identity_for(None) is first
    front.replace(identities, withheld=["a.test"])
    assert front.identity_for(b"a.test") is None


def test_handshakes_of_others_are_passed_on(identities):
    seen = []
    front = FrontContext(identities)
    front.note(Handshake("completed"))
    front.tell(seen.append)
    front.note(Handshake("timeout"))
    assert seen == [Handshake("timeout")]


def test_parameters_are_those_of_now(identities):
    front = FrontContext(identities)
    later = TlsParameters(groups=("X25519",))
    front.adopt(later, unknown_name="default", no_name=None)
    assert front.parameters is later
