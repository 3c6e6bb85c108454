"""Tests for edgeproxy/probe/inspection.py, with real servers on loopback."""

import ssl
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from edgeproxy.clock import SystemClock
from edgeproxy.probe.addresses import Address
from edgeproxy.probe.handshake import Handshakes, Stage
from edgeproxy.probe.inspection import OLD_VERSIONS, Old, Target, inspect
from edgeproxy.probe.offers import Contexts
from tests.support.ca import Leaf, LocalCa, _builder, _name
from tests.support.tls_servers import closed_port, old_server, tls_server


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return LocalCa(tmp_path_factory.mktemp("inspection"))


async def inspected(ca, port, *wanted, is_trusting=False):
    address = Address("127.0.0.1", port)
    handshakes = Handshakes(
        Contexts(ca.path, is_trusting=is_trusting), SystemClock(), timeout_seconds=20
    )
    target = Target(address, address, "a.test")
    return await inspect(target, handshakes, wanted=wanted, now=time.time())


async def test_both_types_of_key(ca):
    with tls_server(ca.issue("a.test"), ca.issue("a.test", key="rsa")) as port:
        one = await inspected(ca, port)
    assert [(each.key_type, each.is_there) for each in one.credentials] == [
        ("ecdsa", True),
        ("rsa", True),
    ]
    assert one.resumes is True
    assert one.old_versions == tuple((version, Old.REFUSED) for version in OLD_VERSIONS)
    assert not one.credentials[0].has_sent_issuer
    assert one.credentials[0].issuer == ca.certificate


async def test_a_type_that_nobody_insists_on_is_absent(ca):
    with tls_server(ca.issue("a.test", key="rsa")) as port:
        one = await inspected(ca, port)
    assert [(each.key_type, each.is_absent) for each in one.credentials] == [
        ("ecdsa", True),
        ("rsa", False),
    ]


async def test_a_type_that_is_wanted_is_not_absent_but_failed(ca):
    with tls_server(ca.issue("a.test", key="rsa")) as port:
        [only] = (await inspected(ca, port, "ecdsa")).credentials
    assert (only.is_there, only.is_absent, only.seen.stage) == (False, False, Stage.HANDSHAKE)


async def test_an_old_server_that_sends_what_was_not_asked_for(ca):
    version = ssl.TLSVersion.TLSv1_2
    with old_server(ca.issue("a.test", key="rsa"), version, version) as port:
        first, second = (await inspected(ca, port)).credentials
    assert first.is_absent
    assert first.seen.failure == "sends a certificate of type rsa"
    assert second.is_there


async def test_a_type_of_key_that_is_neither(ca):
    key = ed25519.Ed25519PrivateKey.generate()
    certificate = _builder(_name("a.test"), _name("a.test"), key, -1, 30).sign(key, None)
    leaf = Leaf((certificate,), key, ca.path, ca.path)
    with tls_server(leaf) as port:
        one = await inspected(ca, port, is_trusting=True)
    assert [each.key_type for each in one.credentials] == ["other"]
    assert one.resumes is True


async def test_an_address_that_is_down_is_asked_once(ca):
    one = await inspected(ca, closed_port())
    [only] = one.credentials
    assert (only.key_type, only.seen.stage) == ("any", Stage.CONNECT)
    assert (one.old_versions, one.resumes) == ((), None)


def test_a_target_for_people():
    given, address = Address("a.test", 443), Address("127.0.0.1", 443)
    assert Target(given, address, "b.test").where == "127.0.0.1:443 (a.test)"
    assert Target(given, address, "b.test").host == "b.test"
    assert Target(address, address, None).where == "127.0.0.1:443"
    assert Target(address, address, None).host == "127.0.0.1"
