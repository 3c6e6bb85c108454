"""Tests for edgeproxy/probe/quic.py."""

import asyncio
import socket

from edgeproxy.probe.addresses import Address
from edgeproxy.probe.quic import answers_quic
from edgeproxy.tls.contexts import FrontContext
from tests.support.quic import any_identity, settings_of
from tests.support.quic_endpoint import serving


async def test_who_speaks_quic_answers():
    async with serving(settings_of(FrontContext([any_identity()]))) as listener:
        port = listener.address[1]
        for host in ("127.0.0.1", "0.0.0.0"):
            assert await asyncio.to_thread(answers_quic, Address(host, port))
        assert listener.replies["version_negotiation"] == 2


def test_nobody_and_silence_and_another_family_do_not():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        silent = Address("127.0.0.1", mute.getsockname()[1])
        assert not answers_quic(silent, timeout_seconds=0.02)
    assert not answers_quic(silent, timeout_seconds=0.02)
    assert not answers_quic(Address("not-a-host.invalid", 1), timeout_seconds=0.02)
