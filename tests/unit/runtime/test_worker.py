"""Tests for edgeproxy/runtime/worker.py: everything is joined, started, drained and released."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager

import pytest

from edgeproxy.clock import SystemClock
from edgeproxy.config.certificates import load_certificates
from edgeproxy.config.load import load_text
from edgeproxy.errors import ConfigError, UnavailableError
from edgeproxy.probe.addresses import Address
from edgeproxy.probe.quic import answers_quic
from edgeproxy.runtime.certificates import front_context
from edgeproxy.runtime.sockets import bind_all, close_all, name_of
from edgeproxy.runtime.udp_sockets import bind_udp
from edgeproxy.runtime.worker import Given, PointOfPresence, QuicShare
from tests.support.barrier import Barrier, settle
from tests.support.clock import ManualClock
from tests.support.early import EarlyClient
from tests.support.h1_client import h1_client
from tests.support.h2_client import h2_client
from tests.support.h3_client import h3_client
from tests.support.pop import ENTRY, clock_of_today, make_place, scripted_origin

NOWHERE = "https://127.0.0.1:9"


@pytest.fixture
def place(tmp_path):
    return make_place(tmp_path)


def config_of(place, url: str = NOWHERE, *, redirect: str = "", **tables):
    text = place.text(url, rules=ENTRY, **tables)
    if redirect:
        text = text.replace("[limits]", f"http_redirect = {redirect}\n[limits]")
    return load_text(text, base=place.folder)


@pytest.fixture
async def origin(place):
    async with scripted_origin(place.ca) as scripted:
        scripted.on("GET", "/a").reply(200, b"hello")
        yield scripted


async def test_listeners_edge_and_origins_are_joined(place, origin):
    lines: list[str] = []
    pop = PointOfPresence(
        config_of(place, origin.url, access_log=True), access_log_sink=lines.append
    )
    await pop.start()
    [(host, port)] = pop.https_addresses
    assert (host, pop.http_addresses, pop.connections) == ("127.0.0.1", [], 0)
    async with h2_client(port, place.ca.path) as h2, h1_client(port, place.ca.path) as h1:
        assert (await h2.get("/a")).body == b"hello"
        assert (await h1.get("/a"))["cache-status"].startswith("fra1; hit")
        assert pop.connections == 2
    await pop.aclose()
    assert pop.connections == 0
    assert (pop.store.objects, pop.counters.origin_requests) == (1, 1)
    assert pop.counters.requests_by("protocol") == {"HTTP/2": 1, "HTTP/1.1": 1}
    logged = [json.loads(line) for line in "".join(lines).splitlines()]
    assert [line["cache"] for line in logged] == ["miss", "hit"]


async def test_without_an_access_log_nothing_is_written(place, origin):
    pop = PointOfPresence(config_of(place, origin.url), access_log_sink=pytest.fail)
    await pop.start()
    async with h2_client(pop.https_addresses[0][1], place.ca.path) as client:
        assert (await client.get("/a")).status == 200
    await pop.aclose()
    assert pop.counters.requests_by("outcome") == {"miss": 1}


async def test_lines_go_to_standard_output_by_default(place, origin, capfd):
    pop = PointOfPresence(config_of(place, origin.url, access_log=True))
    await pop.start()
    async with h2_client(pop.https_addresses[0][1], place.ca.path) as client:
        await client.get("/a")
    await pop.aclose()
    assert json.loads(capfd.readouterr().out)["path"] == "/a"


async def test_plain_http_is_redirected_and_only_for_our_names(place):
    pop = PointOfPresence(config_of(place, redirect='"127.0.0.1:0"'))
    await pop.start()
    [(_, https)], [(_, http)] = pop.https_addresses, pop.http_addresses
    for host, status, location in (
        ("localhost", 301, f"location: https://localhost:{https}/x?y"),
        ("other.example", 421, ""),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", http)
        writer.write(f"GET /x?y HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        assert answer.startswith(f"HTTP/1.1 {status} ")
        assert location in answer
        writer.close()
        await writer.wait_closed()
    await pop.aclose()


async def test_an_address_that_is_taken_leaves_none_bound(place):
    [taken], [free] = bind_all([("127.0.0.1", 0)]), bind_all([("127.0.0.1", 0)])
    taken.listen()
    port = name_of(free)[1]
    close_all([free])
    redirect = f'"127.0.0.1:{name_of(taken)[1]}"'
    pop = PointOfPresence(config_of(place, port=port, redirect=redirect))
    try:
        with pytest.raises(UnavailableError):
            await pop.start()
    finally:
        await pop.aclose()
        close_all([taken])
    close_all(bind_all([("127.0.0.1", port)]))


async def test_certificates_are_judged_by_the_clock_it_is_given(place):
    late = ManualClock(clock_of_today().now() + 365 * 86_400)
    with pytest.raises(ConfigError, match="expired"):
        PointOfPresence(config_of(place), clock=late)


async def test_unknown_names_get_what_the_configuration_says(place, origin):
    text = place.text(origin.url, rules=ENTRY)
    strict = text.replace("[[host]]", '[tls]\nunknown_sni = "reject"\n[[host]]', 1)
    pop = PointOfPresence(load_text(strict, base=place.folder))
    await pop.start()
    with pytest.raises(OSError, match=r"(?i)unrecognized name"):
        async with h1_client(pop.https_addresses[0][1], place.ca.path, name="other.example"):
            pytest.fail("connected")
    await pop.aclose()


async def is_refused(port: int) -> bool:
    with socket.socket() as client:
        client.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
        except ConnectionRefusedError:
            return True
        return False


async def test_a_drain_lets_finish_and_accepts_nothing(place, origin):
    origin.on("GET", "/slow").reply(200, b"slow").hold(held := Barrier())
    pop = PointOfPresence(config_of(place, origin.url))
    await pop.start()
    port = pop.https_addresses[0][1]
    async with h1_client(port, place.ca.path) as client, asyncio.TaskGroup() as group:
        client.send("GET", "/slow")
        await held.reached()
        draining = group.create_task(pop.drain())
        await settle()
        assert await is_refused(port)
        assert not draining.done()
        held.open()
        assert (await (await client.reply()).whole()).body == b"slow"
        assert await client.closed() == b""
    assert draining.result() is True
    await pop.aclose()


@pytest.mark.parametrize("ends_by", ["time", "hurry"])
async def test_a_drain_that_cannot_finish_says_so(place, origin, ends_by):
    origin.on("GET", "/slow").reply(200, b"slow").hold(held := Barrier())
    text = place.text(origin.url, rules=ENTRY)
    if ends_by == "time":
        text = text.replace('"20s"', '"10ms"')
    pop = PointOfPresence(load_text(text, base=place.folder))
    await pop.start()
    hurry = asyncio.Event()
    async with h1_client(pop.https_addresses[0][1], place.ca.path) as client:
        client.send("GET", "/slow")
        await held.reached()
        if ends_by == "hurry":
            hurry.set()
        assert await pop.drain(hurry) is False
        assert pop.connections == 1
        await pop.aclose()
        assert await client.closed() == b""


async def test_one_of_several_serves_on_what_it_is_given(place, origin):
    config = config_of(place, origin.url, listen='metrics = "127.0.0.1:0"')
    front = front_context(config, load_certificates(config), SystemClock())
    [sock] = bind_all([("127.0.0.1", 0)])
    pop = PointOfPresence(config, given=Given(front, [sock.dup()], []))
    await pop.start()
    assert (pop.https_addresses, pop.metrics_addresses) == ([name_of(sock)], [])
    async with h2_client(name_of(sock)[1], place.ca.path) as client:
        assert (await client.get("/a")).body == b"hello"
        assert pop.facts().connections == {"https": 1}
        assert (pop.facts().certificates, pop.store.objects) == ((), 1)
    assert await pop.drain() is True
    await pop.aclose()
    close_all([sock])


# --- HTTP/3 ---------------------------------------------------------------------------------------

QUIC = "http3 = true"


async def alt_svc(port: int, place) -> str:
    async with h2_client(port, place.ca.path) as client:
        return (await client.get("/a"))["alt-svc"]


async def test_http3_is_one_more_way_in(place, origin):
    pop = PointOfPresence(config_of(place, origin.url, listen=QUIC))
    await pop.start()
    port = pop.https_addresses[0][1]
    async with h3_client(port) as client:
        reply = await client.get("/a")
        assert (reply.status, reply.fields[b"alt-svc"]) == (200, b'h3=":%d"; ma=86400' % port)
        assert pop.facts().connections == {"https": 0, "http3": 1}
        assert pop.connections == 1
        assert await asyncio.to_thread(answers_quic, Address("127.0.0.1", port))
        facts = pop.facts()
        assert (facts.quic_replies, facts.datagrams_lost) == ({"version_negotiation": 1}, 0)
        assert (await pop._status())["http3"] == [("127.0.0.1", port)]
        assert await pop.drain() is True
        await client.terminated
    await pop.aclose()
    close_all(sock for [sock] in bind_udp([("127.0.0.1", port)], 1))


@asynccontextmanager
async def one_of_several(place, origin, *, disk: str = ""):
    """Make one of several workers, and the UDP socket that it is to be given."""
    config = config_of(place, origin.url, listen=QUIC, limits=disk)
    front = front_context(config, load_certificates(config), SystemClock())
    [sock] = bind_all([("127.0.0.1", 0)])
    [[udp]] = bind_udp([name_of(sock)], 1)
    pop = PointOfPresence(config, given=Given(front, [sock], [], quic=QuicShare()))
    try:
        yield pop, udp
    finally:
        await pop.aclose()
        close_all([sock])
    assert udp.fileno() == -1  # it was the worker's


@pytest.mark.parametrize("when", ["before", "meanwhile", "after"])
async def test_whenever_a_socket_comes_clients_are_called_to_it(place, origin, when):
    disk = '\n[cache.disk]\npath = "disk"\nsize = "16MiB"\n' if when == "meanwhile" else ""
    async with one_of_several(place, origin, disk=disk) as (pop, udp):
        if when == "before":
            pop.hear_quic(udp)
        starting = asyncio.get_running_loop().create_task(pop.start())
        if when == "meanwhile":
            await asyncio.sleep(0)  # it opens its index now
            assert not starting.done()
            pop.hear_quic(udp)
        await starting
        port = pop.https_addresses[0][1]
        if when == "after":
            assert await alt_svc(port, place) == ""
            pop.hear_quic(udp)
        assert await alt_svc(port, place) == f'h3=":{port}"; ma=86400'
        async with h3_client(port) as client:
            assert (await client.get("/a")).status == 200


async def test_a_configuration_that_was_prepared_before_a_socket_came(place, origin):
    async with one_of_several(place, origin) as (pop, udp):
        await pop.start()
        later = config_of(place, origin.url, listen=f"{QUIC}\nalt_svc_port = 9")
        prepared = await pop.prepare(later)
        pop.hear_quic(udp)
        pop.apply(prepared)
        assert await alt_svc(pop.https_addresses[0][1], place) == 'h3=":9"; ma=86400'


async def test_early_data_is_switched_on_and_off_while_it_runs(place, origin):
    async def is_offered(port: int) -> bool:
        async with h3_client(port) as client:
            assert (await client.get("/a")).status == 200
        return client.quic.tickets[-1].max_early_data_size is not None

    pop = PointOfPresence(config_of(place, origin.url, listen=QUIC))
    await pop.start()
    port = pop.https_addresses[0][1]
    assert not await is_offered(port)
    pop.apply(await pop.prepare(config_of(place, origin.url, listen=f"{QUIC}\nearly_data = true")))
    assert await is_offered(port)
    pop.apply(await pop.prepare(config_of(place, origin.url, listen=QUIC)))
    assert not await is_offered(port)
    assert pop.facts().early_data == {}
    await pop.aclose()


async def test_early_data_that_is_on_from_the_start(place, origin):
    pop = PointOfPresence(config_of(place, origin.url, listen=f"{QUIC}\nearly_data = true"))
    await pop.start()
    port = pop.https_addresses[0][1]
    async with h3_client(port) as client:
        assert (await client.get("/a")).status == 200
    ticket = client.quic.tickets[-1]
    with EarlyClient(("127.0.0.1", port), ticket, server_name="localhost") as again:
        stream_id = again.ask("/a")
        again.go_on()
        assert await again.answer(stream_id) == (200, b"hello")
    assert pop.facts().early_data == {"accepted": 1}
    await pop.aclose()


async def test_certificates_are_looked_at_where_they_are_its_own(place):
    pop = PointOfPresence(config_of(place))
    await pop.start()
    await pop.reload()
    assert pop.counters.certificate_loads == {("localhost", "loaded"): 1}
    await pop.aclose()
