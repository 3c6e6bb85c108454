import asyncio
import json
import threading

import pytest

from edgeproxy.observe.access_log import AccessLog, AccessLogSettings, Line, truncated
from edgeproxy.observe.counters import Counters

LINE = Line(
    1_700_000_000.25,
    "192.0.2.77",
    b"GET",
    b"widgets.example.com",
    b"/a?b=1",
    "HTTP/2",
    200,
    512,
    True,
    1.23456,
    "hit",
    "widgets",
    "entry",
)


class Sink:
    def __init__(self) -> None:
        self.text = ""
        self.batches = 0

    def __call__(self, text: str) -> None:
        self.text += text
        self.batches += 1


def make(sink: object, **settings: object) -> tuple[AccessLog, Counters]:
    counters = Counters()
    return AccessLog(sink, AccessLogSettings(**settings), counters=counters), counters


async def test_lines_are_written_in_order_and_in_one_batch() -> None:
    log, _ = make(sink := Sink())
    for status in (200, 304, 404):
        log.record(LINE._replace(status=status))
    assert sink.text == ""
    await log.aclose()
    assert [json.loads(line)["status"] for line in sink.text.splitlines()] == [200, 304, 404]
    assert sink.batches == 1


async def test_a_json_line_says_it_all_and_no_more_of_the_client_than_its_network() -> None:
    log, _ = make(sink := Sink())
    log.record(LINE)
    await log.aclose()
    assert json.loads(sink.text) == {
        "time": "2023-11-14T22:13:20.250+00:00",
        "client": "192.0.2.0",
        "method": "GET",
        "host": "widgets.example.com",
        "path": "/a?b=1",
        "protocol": "HTTP/2",
        "status": 200,
        "bytes": 512,
        "whole": True,
        "ms": 1.235,
        "cache": "hit",
        "site": "widgets",
        "rule": "entry",
    }


async def test_a_console_line_cannot_move_the_cursor() -> None:
    log, _ = make(sink := Sink(), style="console")
    log.record(LINE._replace(target=b"/\x1b[2J\n\xff", is_whole=False))
    await log.aclose()
    assert sink.text.count("\n") == 1
    assert sink.text.isascii()
    assert "\x1b" not in sink.text
    assert "(cut short)" in sink.text
    assert "hit" in sink.text


async def test_what_is_too_much_is_dropped_and_counted() -> None:
    log, counters = make(sink := Sink(), lines_max=2)
    for _ in range(5):
        log.record(LINE)
    await log.aclose()
    assert sink.text.count("\n") == 2
    assert counters.access_log_lines_dropped == 3


async def test_a_sink_that_fails_costs_lines_only() -> None:
    def broken(_text: str) -> None:
        raise OSError("disk full")

    log, counters = make(broken)
    log.record(LINE)
    log.record(LINE)
    await log.aclose()
    assert counters.access_log_lines_dropped == 2


async def test_a_slow_sink_is_not_waited_for_and_loses_nothing() -> None:
    gate, entered, sink = threading.Event(), threading.Event(), Sink()

    def slow(text: str) -> None:
        entered.set()
        gate.wait(timeout=10)
        sink(text)

    log, _ = make(slow, flush_seconds=0)
    log.record(LINE)
    assert await asyncio.to_thread(entered.wait, 10)
    log.record(LINE._replace(status=404))
    gate.set()
    await log.aclose()
    assert sink.text.count("\n") == 2
    assert sink.batches == 2


async def test_a_sink_that_never_returns_does_not_keep_the_log_from_closing(caplog) -> None:
    gate, entered = threading.Event(), threading.Event()

    def stuck(_text: str) -> None:
        entered.set()
        gate.wait(timeout=10)

    log, counters = make(stuck, flush_seconds=0, close_seconds=0.01)
    log.record(LINE)
    assert await asyncio.to_thread(entered.wait, 10)
    log.record(LINE)
    log.record(LINE)
    await log.aclose()
    assert counters.access_log_lines_dropped == 3
    assert "3 lines are lost" in caplog.text
    gate.set()


async def test_nothing_recorded_writes_nothing() -> None:
    log, _ = make(sink := Sink())
    await log.aclose()
    assert sink.batches == 0


@pytest.mark.parametrize(
    ("client", "network"),
    [
        ("192.0.2.77", "192.0.2.0"),
        ("2001:db8:1:2:3::4", "2001:db8:1::"),
        ("fe80::1%eth0", "fe80::"),
        ("unknown", "-"),
    ],
)
def test_addresses_are_truncated(client: str, network: str) -> None:
    assert truncated(client, 24, 48) == network
