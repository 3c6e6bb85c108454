"""What clients leave behind is freed when they go, not when the collector finds it.

A collection of the oldest generation may be minutes away, and by then garbage that refers to
bodies would be gigabytes.
"""

import asyncio
import gc
from collections import Counter
from contextlib import contextmanager, suppress

import pytest

from edgeproxy.cache.stored import StoredResponse
from edgeproxy.edge.collapse import Flight
from edgeproxy.edge.growing import GrowingBody, Reader
from edgeproxy.edge.view import Codings, View
from edgeproxy.http.messages import Request
from edgeproxy.listeners.connection import TlsConnection
from edgeproxy.listeners.http1 import Http1Session
from edgeproxy.listeners.http2 import Http2Session
from edgeproxy.origin.content import OriginContent
from edgeproxy.tls.engine import TlsEngine
from edgeproxy.wire.h2.connection import Connection
from tests.support.barrier import settle
from tests.support.h1_client import PATIENCE_SECONDS, CutError
from tests.support.pop import ENTRY, running_pop

OURS = (
    Connection,
    Flight,
    GrowingBody,
    Http1Session,
    Http2Session,
    OriginContent,
    Reader,
    Request,
    TlsConnection,
    TlsEngine,
)


def alive() -> Counter[str]:
    found = (type(each) for each in gc.get_objects() if isinstance(each, OURS))
    return Counter(each.__name__ for each in found)


@contextmanager
def no_collector():
    """Keep the collector still; yield what lives already: tracebacks of failed tests do."""
    gc.collect()
    gc.disable()
    try:
        yield alive()
    finally:
        gc.enable()


async def test_connections_and_their_fills_are_freed_when_they_end(tmp_path):
    async with running_pop(tmp_path, rules=ENTRY) as pop:
        for number in range(6):
            reply = pop.origin.on("GET", f"/{number}").reply(200, [b"x" * 50_000] * 4)
            if number == 5:
                reply.cut(2)
        with no_collector() as before:
            async with pop.h2() as h2, pop.h1() as h1:
                for number in range(5):
                    await h2.get(f"/{number}")
                    await h1.get(f"/{number}")
                await h2.send("GET", "/5").ended.wait()
            await pop.connected(0)
            await pop.fills_ended()
            await settle(20)
            assert alive() - before == Counter()


async def test_downloads_that_were_cancelled_are_freed(tmp_path):
    async with running_pop(tmp_path, rules=ENTRY) as pop:
        pop.origin.on("GET", "/large").reply(200, [b"x" * 100_000] * 20).chunked()
        with no_collector() as before:
            async with pop.h2(window=1) as client:
                begun = [client.send("GET", "/large") for _ in range(5)]
                for reply in begun:
                    await reply.begun.wait()
                    client.cancel(reply)
                await client.get("/large", [("range", "bytes=0-0")])
            async with pop.h2(window=1) as client:
                await client.send("GET", "/large").begun.wait()
            await pop.connected(0)
            await pop.fills_ended()
            await settle(20)
            assert alive() - before == Counter()


def misbehave(route, how: str) -> None:
    for _ in range(4):  # some are tried again
        if how == "cut":
            route.reply(200, [b"x" * 50_000] * 4).cut(2)
        elif how == "dropped":
            route.drop()
        else:
            route.raw(b"none of HTTP\r\n\r\n" * 100)


@pytest.mark.parametrize("rules", ["", ENTRY], ids=["transparent", "ruled"])
@pytest.mark.parametrize("how", ["garbage", "dropped", "cut"])
async def test_what_an_origin_breaks_is_freed_when_it_breaks(tmp_path, how, rules):
    async with running_pop(tmp_path, rules=rules) as pop:
        for number in range(3):
            misbehave(pop.origin.on("GET", f"/{number}"), how)
            misbehave(pop.origin.on("POST", f"/{number}"), how)
        with no_collector() as before:
            for number in range(3):
                async with pop.h2() as client:
                    for method in ("GET", "POST"):
                        await client.send(method, f"/{number}").ended.wait()
                for method in ("GET", "POST"):
                    async with pop.h1() as client:
                        client.send(method, f"/{number}")
                        with suppress(CutError):
                            await (await client.reply()).whole()
            await pop.connected(0)
            await pop.fills_ended()
            await settle(20)
            assert alive() - before == Counter()


def living(kind: type) -> int:
    return sum(type(each) is kind for each in gc.get_objects())


@pytest.mark.parametrize("rules", ["", ENTRY], ids=["transparent", "ruled"])
async def test_churn_leaves_what_the_store_counts_and_no_key_elsewhere(tmp_path, rules):
    answers = ("max-age=60", "private", "no-store", "max-age=60, stale-if-error=60")
    async with running_pop(tmp_path, rules=rules) as pop:
        pop.store.resize(30_000, 20_000)
        for number in range(80):
            route = pop.origin.on("GET", f"/{number}")
            if number % 7 == 6:
                route.drop()
                route.drop()  # the first one is tried again
            route.reply(
                200 if number % 5 else 404,
                b"text %d " % number * 200,
                cache_control=answers[number % 4],
                content_type="text/css",
                vary="accept-language" if number % 3 else "accept",
            )
        with no_collector() as before:
            others = {kind: living(kind) for kind in (StoredResponse, Codings, View)}
            async with pop.h2() as h2, pop.h1() as h1:
                for number in range(80):
                    coding = ("accept-encoding", ("br", "gzip", "zstd")[number % 3])
                    await h2.get(f"/{number}", [coding])
                    await h2.get(f"/{number}", [coding, ("accept-language", "de")])
                    await h1.get(f"/{number % 10}")
            await pop.connected(0)
            await pop.fills_ended()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await pop.edge._coder._to_improve.join()
            await settle(20)
            assert alive() - before == Counter()
            recency, flights, coder = pop.store._recency, pop.edge._flights, pop.edge._coder
            assert pop.counters.origin_errors.total()
            assert bool(pop.counters.codings) is bool(rules)
            assert 0 < pop.store.objects < 30 < pop.store.evictions
            assert living(StoredResponse) - others[StoredResponse] == pop.store.objects
            assert living(Codings) - others[Codings] <= len(recency.memos) <= pop.store.objects
            assert living(View) - others[View] <= 4 * len(recency.memos)
            by_key = (flights._by_key, flights._led, flights._tasks, coder._making, coder._tasks)
            assert [len(each) for each in by_key] == [0] * 5
            assert len(pop.counters.exchanges) < 40  # by site, rule, outcome, protocol and status
