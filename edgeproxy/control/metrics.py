"""What monitoring asks over plain HTTP: `/metrics` for numbers, `/healthz` for a yes or no.

It shows and never changes anything, so that it may listen where scrapers reach it; host names and
traffic are in there, so that it should not listen where everybody does. Scrapes are rendered one
after another in a thread: they wait for each other and never hold up a request.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from edgeproxy.control.problems import application
from edgeproxy.control.server import SmallServer
from edgeproxy.observe.exposition import Snapshot, render

CONNECTIONS_MAX = 32
"""Ours: some Prometheus servers, some probes and a person; others do not limit it at all."""
SECONDS_MAX = 10.0
"""Prometheus gives up after 10 s by default (`scrape_timeout`)."""

Scrape = Callable[[], Awaitable[Snapshot]]
"""Takes all numbers of one moment; may have to ask for them, within `SECONDS_MAX`."""


def metrics_server(scrape: Scrape, is_serving: Callable[[], bool]) -> SmallServer:
    """Return a server that shows what `scrape` returns."""
    return SmallServer(
        metrics_application(scrape, is_serving),
        connections_max=CONNECTIONS_MAX,
        seconds_max=SECONDS_MAX,
    )


def metrics_application(scrape: Scrape, is_serving: Callable[[], bool]) -> web.Application:
    """Return the application; `is_serving` says whether new clients are welcome."""
    # One thread: scrapes follow each other, and wait for no name that is being resolved in the
    # loop's own pool.
    thread = ThreadPoolExecutor(1, thread_name_prefix="metrics")

    async def metrics(request: web.Request) -> web.Response:
        accept = ",".join(request.headers.getall("Accept", ()))
        loop, snapshot = asyncio.get_running_loop(), await scrape()
        text, media_type = await loop.run_in_executor(thread, render, snapshot, accept)
        return web.Response(body=text, headers={"Content-Type": media_type, "Vary": "Accept"})

    async def health(_request: web.Request) -> web.Response:
        if is_serving():
            return web.Response(text="ok\n")
        return web.Response(status=503, text="not serving\n")

    async def release(_application: web.Application) -> None:
        thread.shutdown(wait=False, cancel_futures=True)

    made = application(
        [web.get("/metrics", metrics), web.get("/healthz", health)], seconds_max=SECONDS_MAX
    )
    made.on_cleanup.append(release)
    return made
