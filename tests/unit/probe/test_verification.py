"""Tests for edgeproxy/probe/verification.py."""

import pytest

from edgeproxy.clock import SystemClock
from edgeproxy.probe.addresses import Address
from edgeproxy.probe.offers import Contexts
from edgeproxy.probe.verification import Question, verify
from tests.support.ca import LocalCa
from tests.support.tls_servers import closed_port, tls_server


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return LocalCa(tmp_path_factory.mktemp("verification"))


async def test_every_address_under_every_name_in_order(ca):
    heard = []
    down = closed_port()
    with tls_server(ca.issue("a.test", "b.test")) as port:
        question = Question(
            (Address("127.0.0.1", port), Address("nowhere.invalid", 1), Address("127.0.0.1", down)),
            names=("a.test", "b.test"),
            timeout_seconds=20,
        )
        report = await verify(
            question,
            Contexts(ca.path),
            SystemClock(),
            progress=lambda *counts: heard.append(counts),
        )
    assert [(str(one.target.address), one.target.sni) for one in report.inspections] == [
        (f"127.0.0.1:{port}", "a.test"),
        (f"127.0.0.1:{port}", "b.test"),
        ("nowhere.invalid:1", "nowhere.invalid"),
        (f"127.0.0.1:{down}", "a.test"),
        (f"127.0.0.1:{down}", "b.test"),
    ]
    assert heard[0] == (0, 5)
    assert heard[-1] == (5, 5)
    assert len(report.findings) == 3
    assert not report.is_fine


async def test_more_addresses_than_are_asked_at_one_time(ca):
    with tls_server(ca.issue("a.test")) as port:
        # every address of 127.0.0.0/8 is this machine, but only one has a listener
        places = tuple(Address(f"127.0.0.{last}", port) for last in range(1, 41))
        report = await verify(
            Question(places, names=("a.test",), timeout_seconds=20),
            Contexts(ca.path),
            SystemClock(),
        )
    assert len(report.inspections) == 40
    assert len(report.findings) == 39
