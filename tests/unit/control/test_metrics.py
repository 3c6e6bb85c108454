import asyncio

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse

from edgeproxy.control.metrics import (
    CONNECTIONS_MAX,
    SECONDS_MAX,
    Scrape,
    metrics_application,
    metrics_server,
)
from edgeproxy.observe.counters import Counters
from edgeproxy.observe.exposition import Exposition, Snapshot
from edgeproxy.observe.facts import Facts
from tests.support.operators import curl, small_server


def scrape(counters: Counters | None = None) -> Scrape:
    exposition = Exposition(counters or Counters(), Facts)

    async def take() -> Snapshot:
        return exposition.snapshot()

    return take


async def test_what_was_counted_is_shown():
    counters = Counters()
    counters.coalesced = 41
    async with small_server(metrics_application(scrape(counters), lambda: True)) as (_, port):
        counters.coalesced += 1
        answer = await curl(f"http://127.0.0.1:{port}/metrics")
    assert answer.fields["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in parse(answer.body.decode())}
    assert families["edge_coalesced_requests"].samples[0].value == 42


async def test_openmetrics_for_who_asks():
    async with small_server(metrics_application(scrape(), lambda: True)) as (_, port):
        accept = ("-H", "Accept: application/openmetrics-text; version=1.0.0")
        answer = await curl(f"http://127.0.0.1:{port}/metrics", *accept)
    assert answer.fields["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert list(parse_open(answer.body.decode()))


async def test_health_is_whether_clients_are_welcome():
    is_serving = True
    async with small_server(metrics_application(scrape(), lambda: is_serving)) as (_, port):
        url = f"http://127.0.0.1:{port}/healthz"
        answer = await curl(url)
        assert (answer.status, answer.body) == (200, b"ok\n")
        is_serving = False
        answer = await curl(url)
        assert (answer.status, answer.body) == (503, b"not serving\n")


async def test_many_scrapes_at_once_are_all_answered():
    async with (
        small_server(metrics_application(scrape(), lambda: True)) as (_, port),
        asyncio.TaskGroup() as group,
    ):
        url = f"http://127.0.0.1:{port}/metrics"
        tasks = [group.create_task(curl(url)) for _ in range(6)]
    assert [task.result().status for task in tasks] == [200] * 6


async def test_nothing_else_is_there():
    async with small_server(metrics_application(scrape(), lambda: True)) as (_, port):
        url = f"http://127.0.0.1:{port}"
        assert (await curl(f"{url}/")).status == 404
        assert (await curl(f"{url}/v1/status")).status == 404
        assert (await curl(f"{url}/metrics", "-X", "POST")).status == 405
        assert (await curl(f"{url}/metrics", "-I")).status == 200


async def test_the_server_is_bounded():
    server = metrics_server(scrape(), lambda: True)
    assert (server.seconds_max, server._connections_max) == (SECONDS_MAX, CONNECTIONS_MAX)
    await server.aclose()
