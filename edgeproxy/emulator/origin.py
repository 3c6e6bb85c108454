"""The demo's origin: the widget's files over HTTPS, with an answer time like a real server's.

A small aiohttp server on the caller's event loop, on loopback only. It must not do the edge's work:
it knows its validators (RFC 9110 section 13) and nothing about caches.
"""

import ssl
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from edgeproxy.emulator.assets import Asset
from edgeproxy.runtime.sockets import bind_all, name_of

HOST = "127.0.0.1"


def is_unchanged(asset: Asset, fields: Mapping[str, str]) -> bool:
    """Tell whether a conditional request may be answered by 304 (RFC 9110 section 13.2.2)."""
    wanted = fields.get("If-None-Match")
    if wanted is not None:
        tags = {tag.strip().removeprefix("W/") for tag in wanted.split(",")}
        return asset.etag is not None and asset.etag in tags
    # the very date that was sent, like most origins' default: no clock is trusted
    since = fields.get("If-Modified-Since")
    return since is not None and since == asset.last_modified


class DemoOrigin:
    """Serves `assets` on `https://127.0.0.1:port` until closed.

    `pause` is awaited before every answer: what makes an origin far away.
    """

    def __init__(
        self,
        assets: Mapping[str, Asset],
        context: ssl.SSLContext,
        *,
        port: int = 0,
        pause: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._assets = assets
        self._context = context
        self._port = port
        self._pause = pause
        self._runner: web.AppRunner | None = None
        self.requests = 0

    @property
    def port(self) -> int:
        """The port it listens on: the one asked for, or the one that was free."""
        return self._port

    async def start(self) -> None:
        """Listen; raises UnavailableError when the port cannot be had."""
        (sock,) = bind_all([(HOST, self._port)])
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        # no access log: the edge in front tells what happens
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        await web.SockSite(runner, sock, ssl_context=self._context).start()
        self._runner = runner
        self._port = name_of(sock)[1]

    async def aclose(self) -> None:
        """Stop listening and close what is open; harmless when repeated."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests += 1
        if self._pause is not None:
            await self._pause()
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        asset = self._assets.get(request.path)
        if asset is None:
            return web.Response(status=404, text="There is no such file.\n")
        if is_unchanged(asset, request.headers):
            return web.Response(status=304, headers=asset.fields())
        return web.Response(body=asset.body, headers=asset.fields())
