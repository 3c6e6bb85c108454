"""Tests for edgeproxy/runtime/serving.py; whole workers are in tests/protocol/test_workers.py."""

import asyncio
import gc
import json

import pytest

from edgeproxy.clock import SystemClock
from edgeproxy.config.certificates import load_certificates
from edgeproxy.config.load import load_text
from edgeproxy.runtime import serving
from edgeproxy.runtime.certificates import front_context
from edgeproxy.runtime.link import link_pair
from edgeproxy.runtime.serving import Post, _unstapled, work
from edgeproxy.runtime.sockets import bind_all, close_all, name_of
from edgeproxy.runtime.udp_sockets import bind_udp
from edgeproxy.runtime.worker import QuicShare
from edgeproxy.tls.identity import load_identity
from tests.support.ca import LocalCa
from tests.support.h3_client import PATIENCE_SECONDS, h3_client
from tests.support.pop import make_place


def test_what_must_be_stapled_and_is_not_is_named(tmp_path):
    ca = LocalCa(tmp_path)
    plain = load_identity([ca.issue("a.test").files])
    strict = load_identity([ca.issue("b.test", must_staple=True).files])
    assert _unstapled([plain, strict]) == ["b.test"]


class Main:
    """The other end of a worker's link."""

    def __init__(self, link):
        self.link = link

    async def told(self, word):
        """Wait until the worker has said that."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                data = await loop.sock_recv(self.link.sock, 4096)
                if json.loads(data)["is"] == word:
                    return


@pytest.fixture
def main():
    here, there = link_pair()
    yield Main(here), there
    here.close()
    there.close()
    gc.unfreeze()


async def test_a_worker_hears_what_it_is_given_and_ends_when_told_to(
    main, tmp_path, monkeypatch, caplog
):
    """Without a steward it serves what was loaded, and HTTP/3 on the socket that main sends."""
    monkeypatch.setattr(serving, "IDENTITIES_SECONDS", 0.0)
    main, link = main
    place = make_place(tmp_path)
    config = load_text(place.text("https://127.0.0.1:9", listen="http3 = true"), base=tmp_path)
    front = front_context(config, load_certificates(config), SystemClock())
    [sock] = bind_all([("127.0.0.1", 0)])
    [[udp]] = bind_udp([name_of(sock)], 1)
    post = Post(config, front, [sock], [], print, 0, 1.0, quic=QuicShare())
    async with asyncio.TaskGroup() as group:
        working = group.create_task(work(post, link))
        await main.told("prepared")
        assert "no identities came within 0 s; those of the start are used" in caplog.text
        main.link.send({"do": "udp"}, udp.fileno())
        main.link.send({"do": "something else"}, udp.fileno())
        main.link.send({"do": "udp"})  # without one
        main.link.send({"do": "serve"})
        await main.told("ready")
        assert "a worker is told 'something else'" in caplog.text
        assert "a worker is told 'udp'" in caplog.text
        async with h3_client(name_of(sock)[1]) as client:
            assert (await client.get("/healthy")).status == 502  # nobody is at the origin
            main.link.send({"do": "hurry"})
            async with asyncio.timeout(PATIENCE_SECONDS):
                await client.terminated
    assert working.result() == 0
    assert "told to hurry with 1 connections open" in caplog.text
    close_all([sock, udp])
