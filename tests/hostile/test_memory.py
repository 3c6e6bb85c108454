"""What clients leave behind is freed when they go, not when the collector finds it.

A collection of the oldest generation may be minutes away, and by then garbage that refers to
bodies would be gigabytes.
"""

import gc
from collections import Counter
from contextlib import contextmanager

from edgeproxy.edge.collapse import Flight
from edgeproxy.edge.growing import GrowingBody, Reader
from edgeproxy.http.messages import Request
from edgeproxy.listeners.connection import TlsConnection
from edgeproxy.listeners.http1 import Http1Session
from edgeproxy.listeners.http2 import Http2Session
from edgeproxy.tls.engine import TlsEngine
from edgeproxy.wire.h2.connection import Connection
from tests.support.barrier import settle
from tests.support.pop import ENTRY, running_pop

OURS = (
    Connection,
    Flight,
    GrowingBody,
    Http1Session,
    Http2Session,
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
