"""What operators see of a running PoP: numbers over HTTP, state and commands over its socket."""

import asyncio
import os
import socket

import aiohttp
import pytest

from edgeproxy import __version__
from edgeproxy.config.load import load_text
from edgeproxy.runtime.worker import PointOfPresence
from tests.support.barrier import Barrier
from tests.support.operators import curl, curl_json, scrape
from tests.support.pop import ENTRY, make_place, running_pop, scripted_origin, serving

METRICS = 'metrics = "127.0.0.1:0"'


@pytest.fixture
async def pop(tmp_path):
    async with running_pop(tmp_path, rules=ENTRY, listen=METRICS) as pop:
        pop.origin.on("GET", "/a").reply(200, b"hello")
        yield pop


def requests(cache: str, code: int, proto: str, host: str = "localhost", rule: str = "entry"):
    return f"edge_requests_total{{cache={cache},code={code},host={host},proto={proto},rule={rule}}}"


async def test_a_scrape_shows_what_happened(pop):
    async with pop.h2() as h2, pop.h1() as h1:
        await h2.get("/a")
        await h2.get("/a")
        await h1.get("/a")
        numbers = await scrape(pop.metrics_port)
    assert numbers[requests("miss", 200, "HTTP/2")] == 1
    assert numbers[requests("hit", 200, "HTTP/2")] == 1
    assert numbers[requests("hit", 200, "HTTP/1.1")] == 1
    assert numbers["edge_response_bytes_total{}"] == 15
    assert numbers["edge_origin_requests_total{}"] == 1
    assert numbers["edge_connections{listener=https}"] == 2
    assert numbers["edge_cache_objects{tier=memory}"] == 1
    assert 0 < numbers["edge_cache_bytes{tier=memory}"] == pop.store.bytes
    assert numbers["edge_cache_capacity_bytes{tier=memory}"] == 256 * 2**20
    begins = numbers["edge_certificate_not_before_timestamp_seconds{identity=localhost,key=ecdsa}"]
    ends = numbers["edge_certificate_not_after_timestamp_seconds{identity=localhost,key=ecdsa}"]
    assert begins < numbers["process_start_time_seconds{}"] < ends


async def test_names_that_clients_make_up_make_no_series(pop):
    before = await scrape(pop.metrics_port)
    for name in range(5):
        await pop.curl("/a", "-H", f"Host: made-up-{name}.example")
    after = await scrape(pop.metrics_port)
    assert not any("made-up" in series for series in after)
    made = {series.partition("{")[0] for series in after.keys() - before.keys()}
    assert made == {"edge_requests_total", "edge_refusals_total", "edge_tls_handshakes_total"}
    assert after["edge_refusals_total{limit=unknown-host,of=request}"] == 5


async def test_refused_connections_are_counted(tmp_path):
    tables = {"rules": ENTRY, "listen": METRICS, "limits": "max_connections = 1"}
    async with running_pop(tmp_path, **tables) as pop, pop.h2():
        assert (await pop.curl_exit("/a"))[0] != 0
        numbers = await scrape(pop.metrics_port)
    assert numbers["edge_refusals_total{limit=connections_max,of=connection}"] == 1


async def test_metrics_can_be_had_by_a_client_that_keeps_its_connections(pop):
    url = f"http://127.0.0.1:{pop.metrics_port}/metrics"
    async with aiohttp.ClientSession() as session:
        for _ in range(3):
            async with session.get(url) as answer:
                assert "edge_build_info" in await answer.text()


async def test_state_and_certificates_are_told_over_the_socket(pop, tmp_path):
    path = tmp_path / "state" / "fra1.sock"
    async with pop.h2() as h2:
        await h2.get("/a")
        status, document = await curl_json(path, "/v1/status")
    assert status == 200
    assert (document["pop"], document["version"], document["pid"]) == (
        "fra1",
        __version__,
        os.getpid(),
    )
    assert (document["phase"], document["connections"]) == ("serving", 1)
    assert document["counters"]["requests_by_outcome"] == {"miss": 1}
    assert document["uptime_seconds"] >= 0
    status, document = await curl_json(path, "/v1/certificates")
    assert [identity["name"] for identity in document["identities"]] == ["localhost"]
    status, document = await curl_json(path, "/v1/certificates/localhost/revert", "-X", "POST")
    assert (status, document["status"]) == (409, 409)


async def test_a_drain_can_be_watched_to_its_end(pop, tmp_path):
    pop.origin.on("GET", "/slow").reply(200, b"slow").hold(held := Barrier())
    health = f"http://127.0.0.1:{pop.metrics_port}/healthz"
    path = tmp_path / "state" / "fra1.sock"
    assert (await curl(health)).status == 200
    async with pop.h1() as client, asyncio.TaskGroup() as group:
        client.send("GET", "/slow")
        await held.reached()
        draining = group.create_task(pop.worker.drain())
        await asyncio.sleep(0)
        assert (await curl(health)).status == 503
        assert (await scrape(pop.metrics_port))["edge_draining{}"] == 1
        assert (await curl_json(path, "/v1/status"))[1]["phase"] == "draining"
        held.open()
        await (await client.reply()).whole()
    assert draining.result() is True
    assert (await scrape(pop.metrics_port))["edge_connections{listener=https}"] == 0
    await pop.worker.aclose()
    assert not path.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", pop.metrics_port), 1)


async def test_the_second_of_one_name_serves_and_cannot_be_asked(pop, tmp_path, caplog):
    place = make_place(tmp_path / "second")
    text = place.text("https://127.0.0.1:9", state_dir=str(tmp_path / "state"))
    second = PointOfPresence(load_text(text, base=place.folder))
    await second.start()
    assert "another PoP named 'fra1' is running" in caplog.text
    await second.aclose()
    assert (await pop.curl("/a", "--http2")).status == 200
    assert (await curl_json(tmp_path / "state" / "fra1.sock", "/v1/status"))[0] == 200


async def test_without_a_place_for_state_it_serves(tmp_path, caplog):
    place = make_place(tmp_path)
    (tmp_path / "state").touch()
    async with scripted_origin(place.ca) as origin:
        origin.on("GET", "/a").reply(200, b"hello")
        text = place.text(origin.url, rules=ENTRY)
        async with serving(text, tmp_path, origin, place.ca.path) as pop:
            assert (await pop.curl("/a", "--http2")).body == b"hello"
    assert f"no control socket {tmp_path / 'state' / 'fra1.sock'}" in caplog.text


async def test_without_metrics_nothing_listens_for_them(tmp_path):
    async with running_pop(tmp_path, rules=ENTRY) as pop:
        assert pop.worker.metrics_addresses == []


async def test_restarts_find_the_name_free(tmp_path):
    for _ in range(2):
        async with running_pop(tmp_path, rules=ENTRY):
            assert (await curl_json(tmp_path / "state" / "fra1.sock", "/v1/status"))[0] == 200


async def test_a_look_for_certificates_that_fails_ends_nothing(pop, monkeypatch, caplog):
    async def broken() -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(pop.worker._certificates, "reload", broken)
    for _ in range(2):
        await pop.worker.reload()
    assert (await pop.curl("/a", "--http2")).status == 200
    assert "looking for new certificates failed" in caplog.text
