"""The upstream that is an origin: one request out, one validated response back.

Implements `Upstream` (edgeproxy/http/upstream.py) on an aiohttp session per origin. Where to
connect, which name to ask for and whom to believe come from `OriginSettings` alone, so no request
can choose its destination. Follows no redirect, keeps no cookie, decodes no content, reads no
proxy environment; does not cache and does not decide what a failure means for the client.

Repeats an attempt only when nothing can have happened twice (RFC 9110 section 9.2.2, RFC 9112
section 9.3.1): idempotent method, content untouched, no octet of a response, and either no
connection came about or an idle one turned out dead.
"""

import asyncio
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from edgeproxy.clock import Clock
from edgeproxy.errors import UpstreamError
from edgeproxy.http.fields import is_token
from edgeproxy.http.upstream import OriginResponse, OutboundRequest
from edgeproxy.origin.asides import Asides
from edgeproxy.origin.connections import OriginConnector
from edgeproxy.origin.content import PIECE_BYTES_MAX, OriginContent, abort
from edgeproxy.origin.exchange import Exchange, tracing
from edgeproxy.origin.faults import connect_fault, fault, response_fault
from edgeproxy.origin.inbound import response_head
from edgeproxy.origin.message import OutboundMessage
from edgeproxy.origin.outbound import request_head
from edgeproxy.origin.settings import OriginSettings
from edgeproxy.origin.shares import Share, Shares
from edgeproxy.origin.trust import client_context

_IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
_NO_TIMEOUT: Final = aiohttp.ClientTimeout(total=None)  # `Exchange` and `OriginContent` have them


class Origin:
    """One origin with its pool of connections; `identifier` is our name in Via and CDN-Loop.

    May be made before any event loop runs; must be used and closed in one.
    """

    def __init__(
        self,
        settings: OriginSettings,
        *,
        identifier: str,
        clock: Clock,
        resolver: AbstractResolver | None = None,
    ) -> None:
        """Read the trust anchors; raises `CertificateError` if they cannot be used."""
        if not is_token(identifier.encode("ascii", "replace")):
            raise ValueError(f"identifier must be a token: {identifier!r}")
        self.settings = settings
        self._identifier = identifier
        self._clock = clock
        self._resolver = resolver
        self._context = client_context(settings.ca_file) if settings.is_tls else None
        self._url = _dialled(settings)
        self._shares = Shares(settings.connections_max, on_idle=self._rest)
        self._session: aiohttp.ClientSession | None = None
        self._connector: OriginConnector | None = None
        self._is_closed = False
        self._is_retired = False
        self._closing: set[asyncio.Task[None]] = set()

    async def fetch(self, request: OutboundRequest) -> OriginResponse:
        """Send the request and return once the response's fields are complete and checked.

        Raises:
            UpstreamError: nothing usable came back.
            DownstreamError: the client broke off while its content was being sent.
        """
        total_deadline = asyncio.get_running_loop().time() + self.settings.total_timeout_seconds
        attempts_left = 1 + self.settings.retries
        while True:
            attempts_left -= 1
            try:
                return await self._attempt(request, total_deadline)
            except UpstreamError as error:
                if not (error.is_retryable and attempts_left > 0):
                    raise

    def retire(self) -> None:
        """Finish what was begun and keep no connection beyond that.

        Those who chose this origin before may still ask it, and are served as before.
        """
        self._is_retired = True
        if self._shares.is_idle:
            self._rest()

    def _rest(self) -> None:
        """Close the pool of a retired origin that nobody uses; asked again, it opens another."""
        if not self._is_retired or self._session is None or self._is_closed:
            return
        session, self._session, self._connector = self._session, None, None
        task = asyncio.get_running_loop().create_task(session.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def aclose(self) -> None:
        """Cut every connection; content still being read fails."""
        self._is_closed = True
        if self._closing:
            await asyncio.wait(self._closing)
        if self._session is not None:
            await self._session.close()

    async def _attempt(self, request: OutboundRequest, total_deadline: float) -> OriginResponse:
        exchange = Exchange(self.settings, total_deadline, Asides(request.interim))
        message = OutboundMessage(
            request_head(request, host=self.settings.host, identifier=self._identifier),
            request.body,
            request.content_length,
            write_timeout_seconds=self.settings.between_bytes_timeout_seconds,
            on_sent=exchange.sent,
            asides=exchange.asides,
            sends_trailers=request.sends_trailers,
        )
        request_time = self._clock.now()
        try:
            async with exchange:
                share = await self._shares.take(request.client)
                try:
                    response = await self._send(request.method, message, exchange)
                except BaseException:
                    share.release()
                    raise
        except (aiohttp.ClientError, OSError, UpstreamError) as error:
            raise self._explain(error, request, message, exchange) from error
        return self._accept(response, request, request_time, exchange, share)

    async def _send(
        self, method: bytes, message: OutboundMessage, exchange: Exchange
    ) -> aiohttp.ClientResponse:
        return await self._open_session().request(
            "HEAD" if method == b"HEAD" else "POST",  # ours is in the message; all it asks is this
            self._url,
            data=message,
            allow_redirects=False,
            server_hostname=self.settings.sni if self._context else None,
            trace_request_ctx=exchange,
        )

    def _open_session(self) -> aiohttp.ClientSession:
        if self._is_closed:
            raise fault("destination_unavailable", "shutting down")
        if self._session is None:
            settings = self.settings
            self._connector = OriginConnector(settings, self._context, resolver=self._resolver)
            self._session = aiohttp.ClientSession(
                connector=self._connector,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=_NO_TIMEOUT,
                trace_configs=[tracing()],
                trust_env=False,
                read_bufsize=PIECE_BYTES_MAX,
                max_line_size=settings.response_field_bytes_max,
                max_field_size=settings.response_field_bytes_max,
                max_headers=settings.response_fields_max,
            )
        return self._session

    def _explain(
        self,
        error: Exception,
        request: OutboundRequest,
        message: OutboundMessage,
        exchange: Exchange,
    ) -> Exception:
        """Find the first cause, and whether another attempt is safe and sensible."""
        if message.failure is not None:
            reason: Exception = message.failure
        elif message.connection is not None and message.connection.fault is not None:
            reason = message.connection.fault
        elif isinstance(error, UpstreamError):
            reason = error
        elif exchange.is_connecting:
            reason = connect_fault(error)
        else:
            connection = message.connection
            reason = response_fault(
                error, is_started=connection is not None and connection.is_heard
            )
        if isinstance(reason, UpstreamError) and reason.is_retryable:
            reason.is_retryable = (
                request.method in _IDEMPOTENT
                and not message.is_content_started
                and (exchange.is_connecting or exchange.is_reused)
            )
            if reason.is_retryable and exchange.is_reused and self._connector is not None:
                self._connector.drop_idle()
        return reason

    def _accept(
        self,
        response: aiohttp.ClientResponse,
        request: OutboundRequest,
        request_time: float,
        exchange: Exchange,
        share: Share,
    ) -> OriginResponse:
        version = response.version
        try:
            head = response_head(
                response.status,
                (version.major, version.minor) if version else (0, 0),
                response.raw_headers,
                is_head=request.method == b"HEAD",
                settings=self.settings,
            )
        except UpstreamError:
            abort(response)
            share.release()
            raise
        has_content = not (request.method == b"HEAD" or head.status in {204, 304})
        content = OriginContent(
            response,
            length=head.content_length if has_content else 0,
            between_bytes_seconds=self.settings.between_bytes_timeout_seconds,
            deadline=exchange.total_deadline,
            asides=exchange.asides,
            on_done=share.release,
        )
        return OriginResponse(
            status=head.status,
            fields=head.fields,
            body=content,
            content_length=head.content_length,
            is_delimited=head.is_delimited,
            request_time=request_time,
            response_time=self._clock.now(),
        )


def _dialled(settings: OriginSettings) -> URL:
    """Return what aiohttp connects to; its path is never sent."""
    return URL.build(
        scheme="https" if settings.is_tls else "http",
        host=settings.address,
        port=settings.port,
        path="/",
    )
