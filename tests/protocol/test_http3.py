"""HTTP/3 under `edgeproxy serve` with two workers: requests, moves, reloads, ends, take-overs."""

import asyncio
import hashlib
import os
import socket
from contextlib import AsyncExitStack

import pytest

from tests.protocol.test_take_over import TAKE_OVER, stage_of
from tests.protocol.test_workers import rotate, two_workers
from tests.support.barrier import Barrier
from tests.support.h1_client import h1_client
from tests.support.h2_client import h2_client
from tests.support.h3_client import PATIENCE_SECONDS, h3_client
from tests.support.pop import make_place
from tests.support.served import run, served

HTTP3 = "http3 = true"
# The origin waits for the test in the middle of its content, and hundreds of clients in one process
# are slow when other processes want the CPU: neither is a fault here.
PATIENT = {
    "origin": f'between_bytes_timeout = "{PATIENCE_SECONDS}s"',
    "limits": f'minimum_rate_after = "{PATIENCE_SECONDS}s"',
}
DOWNLOADS = int(os.environ.get("EDGEPROXY_H3_DOWNLOADS", "20"))
PIECES = [bytes([number]) * 2**12 for number in range(32)]
WHOLE = hashlib.sha256(b"".join(PIECES)).digest()


def digest(reply) -> bytes:
    return hashlib.sha256(reply.body).digest()


async def until_both(enter, stack) -> dict[int, object]:
    """Connect until both workers have a client; return one of each."""
    found = {}
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < 2:
            client = await enter(stack)
            found.setdefault(client.worker, client)
    return found


def begun_in_the_middle(stage) -> Barrier:
    """Let /large stop in its middle until the barrier opens."""
    reply = stage.origin.on("GET", "/large").reply(200, PIECES, cache_control="max-age=600")
    reply.pause(16, middle := Barrier())
    return middle


async def halves(clients):
    replies = [client.ask("/large") for client in clients]
    async with asyncio.timeout(PATIENCE_SECONDS):
        for reply in replies:
            await reply.first.wait()
    return replies


async def test_requests_of_every_kind_and_their_numbers(tmp_path):
    async with two_workers(tmp_path, listen=HTTP3) as stage:
        assert "(h3, h2, http/1.1)" in stage.edge.said
        async with h3_client(stage.edge.port) as client:
            first = await client.get("/a", (b"accept-encoding", b"identity"))
            assert (first.status, bytes(first.body)) == (200, b"hello")
            assert first.fields[b"alt-svc"] == b'h3=":%d"; ma=86400' % stage.edge.port
            head = await client.get("/a", method=b"HEAD")
            assert (head.status, bytes(head.body)) == (200, b"")
            part = await client.get("/a", (b"range", b"bytes=1-2"))
            assert (part.status, bytes(part.body)) == (206, b"el")
            known = (b"if-none-match", first.fields.get(b"etag", b"*"))
            same = await client.get("/a", known)
            assert (same.status, bytes(same.body)) == (304, b"")
            code, out, _ = await run("status", "-c", tmp_path / "edge.toml")
            assert (code, f"answers at UDP 127.0.0.1:{stage.edge.port}" in out) == (0, True)
            shown = await stage.metrics()
            assert shown['edge_connections{listener="http3"}'] == 1
            requests = [name for name in shown if name.startswith("edge_requests_total")]
            assert all('proto="HTTP/3"' in name for name in requests), requests
            replies = [name for name in shown if name.startswith("edge_quic_replies_total")]
            assert replies == ['edge_quic_replies_total{kind="version_negotiation"}']
            assert shown["edge_quic_datagrams_lost_total"] == 0
        stage.edge.terminate()
        assert await stage.edge.ended() == 0


async def alt_svc_over_tcp(stage):
    """Ask over HTTP/1.1: who is drained answers, and h2's client reads nothing behind a GOAWAY."""
    async with h1_client(stage.edge.port, stage.place.ca.path) as client:
        return dict((await client.get("/a")).fields).get("alt-svc")


@pytest.mark.parametrize(
    ("listen", "said"),
    [
        ('http3 = true\nalt_svc_max_age = "60s"', 'h3=":PORT"; ma=60'),
        ("http3 = true\nalt_svc_port = 443", 'h3=":443"; ma=86400'),
        ('http3 = true\nalt_svc = "none"', None),
        ('http3 = false\nalt_svc = "clear"', "clear"),
        ("http3 = false", None),
    ],
)
async def test_whom_alt_svc_calls(tmp_path, listen, said):
    async with two_workers(tmp_path, listen=listen) as stage:
        expected = said and said.replace("PORT", str(stage.edge.port))
        assert await alt_svc_over_tcp(stage) == expected
        async with h2_client(stage.edge.port, stage.place.ca.path) as client:
            assert dict((await client.get("/a")).fields).get("alt-svc") == expected


async def test_a_session_is_resumed_by_whichever_worker(tmp_path):
    async with two_workers(tmp_path, listen=HTTP3) as stage:
        met, ticket = set(), None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(met) < 2:
                async with h3_client(stage.edge.port, session_ticket=ticket) as client:
                    assert (await client.get("/a")).status == 200
                    assert client.resumed is (ticket is not None)
                    met |= {client.worker} if ticket else set()
                    ticket = client.quic.tickets[-1]


async def test_downloads_survive_moves_reload_and_rotation(tmp_path):
    """All stop in their middle, move, see a reload and a new certificate, and move again."""
    async with (
        two_workers(tmp_path, listen=HTTP3, **PATIENT) as stage,
        AsyncExitStack() as stack,
    ):
        middle = begun_in_the_middle(stage)
        clients = [
            await stack.enter_async_context(h3_client(stage.edge.port)) for _ in range(DOWNLOADS)
        ]
        assert {client.worker for client in clients} == {0, 1}
        replies = await halves(clients)
        for client in clients:
            await client.moved()
        path = tmp_path / "edge.toml"
        path.write_text(path.read_text().replace(HTTP3, f'{HTTP3}\nalt_svc_max_age = "60s"'))
        await rotate(stage)
        for client in clients:
            await client.moved()
        middle.open()
        for client, reply in zip(clients, replies, strict=True):
            assert digest(await client.whole(reply)) == WHOLE
            assert (await client.get("/a")).fields[b"alt-svc"].endswith(b"; ma=60")
        served_by = await stage.served_by()
        of_each = [sum(client.worker == n for client in clients) for n in (0, 1)]
        assert [served_by[n] for n in (0, 1)] == of_each
        print(
            f"{DOWNLOADS} downloads over {of_each} connections of two workers, each moved twice, "
            f"across a reload and a new certificate: all whole"
        )


async def test_an_end_in_order_is_said_and_finishes_what_has_begun(tmp_path):
    async with (
        two_workers(tmp_path, listen=HTTP3, **PATIENT) as stage,
        AsyncExitStack() as stack,
    ):
        middle = begun_in_the_middle(stage)
        found = await until_both(
            lambda stack: stack.enter_async_context(h3_client(stage.edge.port)), stack
        )
        replies = await halves(found.values())
        stage.edge.terminate()
        async with asyncio.timeout(PATIENCE_SECONDS):
            for client in found.values():
                await client.went_away.wait()
        middle.open()
        for client, reply in zip(found.values(), replies, strict=True):
            assert digest(await client.whole(reply)) == WHOLE
        assert await stage.edge.ended() == 0


async def test_a_worker_that_is_killed_resets_its_own_connections_only(tmp_path):
    async with two_workers(tmp_path, listen=HTTP3) as stage, AsyncExitStack() as stack:

        async def enter(stack):
            return await stack.enter_async_context(h3_client(stage.edge.port))

        found = await until_both(enter, stack)
        for client in found.values():
            assert (await client.get("/a")).status == 200
        await stage.reborn("worker 0", stage.pids["worker 0"])
        with pytest.raises(ConnectionError, match="stateless reset"):
            await found[0].get("/a")
        assert (await found[1].get("/a")).status == 200
        again = await until_both(enter, stack)
        assert (await again[0].get("/a")).status == 200


async def test_a_take_over_ends_nothing_and_goes_on_with_http3(tmp_path):
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(stage_of(tmp_path, listen=HTTP3))
        middle = begun_in_the_middle(stage)
        port = stage.edge.port
        client = await stack.enter_async_context(h3_client(port))
        [reply] = await halves([client])
        new = await stack.enter_async_context(served(stage.path, arguments=TAKE_OVER))
        assert new.port == port
        await stage.edge.has_said(f"process {new.pid} has taken over")
        async with asyncio.timeout(PATIENCE_SECONDS):  # TCP never fails, and calls nobody away
            while await alt_svc_over_tcp(stage) is not None:  # one that the old one had accepted
                pass
        await client.went_away.wait()
        middle.open()
        assert digest(await client.whole(reply)) == WHOLE
        assert await stage.edge.ended() == 0
        await new.has_said("HTTP/3 has been taken over, too")
        async with h3_client(port) as later:
            assert (await later.get("/a")).status == 200
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await alt_svc_over_tcp(stage) is None:  # until its worker has heard
                pass
        new.terminate()
        assert await new.ended() == 0


async def test_a_udp_port_that_is_taken_is_said(tmp_path):
    place = make_place(tmp_path)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        text = place.text("https://127.0.0.1:9", port=port, listen=f"workers = 2\n{HTTP3}")
        (tmp_path / "edge.toml").write_text(text)
        code, _, said = await run("serve", "-c", tmp_path / "edge.toml")
    assert code == 69
    assert f"cannot listen on 127.0.0.1:{port} (UDP): the port is taken by another program" in said
