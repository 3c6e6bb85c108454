"""What monitoring asks over plain HTTP: `/metrics` for numbers, `/healthz` for a yes or no.

It shows and never changes anything, so that it may listen where scrapers reach it; host names and
traffic are in there, so that it should not listen where everybody does. Scrapes are rendered one
after another, each in a thread: they wait for each other and never hold up a request.
"""

import asyncio
from collections.abc import Callable

from aiohttp import web

from edgeproxy.control.problems import application
from edgeproxy.control.server import SmallServer
from edgeproxy.observe.exposition import Exposition, render

CONNECTIONS_MAX = 32
"""Ours: some Prometheus servers, some probes and a person; others do not limit it at all."""
SECONDS_MAX = 10.0
"""Prometheus gives up after 10 s by default (`scrape_timeout`)."""


def metrics_server(exposition: Exposition, is_serving: Callable[[], bool]) -> SmallServer:
    """Return a server that shows these numbers."""
    return SmallServer(
        metrics_application(exposition, is_serving),
        connections_max=CONNECTIONS_MAX,
        seconds_max=SECONDS_MAX,
    )


def metrics_application(exposition: Exposition, is_serving: Callable[[], bool]) -> web.Application:
    """Return the application; `is_serving` says whether new clients are welcome."""
    one_at_a_time = asyncio.Lock()

    async def metrics(request: web.Request) -> web.Response:
        accept = ",".join(request.headers.getall("Accept", ()))
        async with one_at_a_time:
            text, media_type = await asyncio.to_thread(render, exposition.snapshot(), accept)
        return web.Response(body=text, headers={"Content-Type": media_type, "Vary": "Accept"})

    async def health(_request: web.Request) -> web.Response:
        if is_serving():
            return web.Response(text="ok\n")
        return web.Response(status=503, text="not serving\n")

    return application(
        [web.get("/metrics", metrics), web.get("/healthz", health)], seconds_max=SECONDS_MAX
    )
