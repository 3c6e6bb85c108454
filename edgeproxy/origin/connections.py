"""Connections to one origin: aiohttp's pool, with a stricter idea of what a response is.

aiohttp reads HTTP/1.1 leniently and, up to 3.14, gives octets that arrive on an idle connection to
the next request as its response. A connection here ends instead on: anything received outside an
exchange or after its response (RFC 9112 section 9.2), heads that two parsers could read in two ways
(`heads.py`), or a storm of 1xx responses. Those that are none are handed on as they arrive.

Overrides the pool's private `_factory` and `_resolve_host`, and five public methods of
`ResponseHandler`; `tests/unit/origin/test_connections.py` and, for names that do not resolve,
`tests/scenarios/test_proxy_status.py` fail when they move. Interprets no field.
"""

import asyncio
import functools
import math
import select
import ssl
import weakref
from collections.abc import Sequence
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_parser import RawResponseMessage
from aiohttp.streams import StreamReader
from aiohttp.tracing import Trace

from edgeproxy.errors import UpstreamError
from edgeproxy.http.fields import parse_content_length
from edgeproxy.http.messages import FieldSection
from edgeproxy.http.trailers import trailer_fields
from edgeproxy.origin.asides import Asides
from edgeproxy.origin.chunks import ChunkWalker
from edgeproxy.origin.faults import fault
from edgeproxy.origin.heads import HeadCutter
from edgeproxy.origin.inbound import interim_fields
from edgeproxy.origin.settings import OriginSettings

# Ours: a page sends one or two 103s; curl and browsers stop somewhere above 30.
INFORMATIONAL_MAX: Final = 16


class OriginConnection(ResponseHandler):
    """One connection, strict about where a response begins and ends.

    `fault` is why we ended it, `is_heard` whether any octet of a response has come. Both belong to
    the exchange that is under way, as does `asides`, which the exchange may replace by its own
    before its request is written.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: OriginSettings) -> None:
        super().__init__(loop)
        self._settings = settings
        self._is_expecting = False
        self._content: StreamReader | None = None
        self._left: int | None = None
        self._heads = HeadCutter(settings.response_section_bytes_max)
        self._heads_parsed = 0
        self._chunks: ChunkWalker | None = None
        self.asides = Asides()

    @property
    def fault(self) -> UpstreamError | None:
        """Why we ended it."""
        return self.asides.fault

    @property
    def is_heard(self) -> bool:
        """Whether any octet has come in this exchange."""
        return self._heads.size > 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing may arrive now: no request is unanswered."""
        if not self._is_expecting:
            return True
        return self._content is not None and self._content.is_eof()

    def is_connected(self) -> bool:
        """Tell whether the pool may use it again: aiohttp asks right before it does.

        Octets that the kernel already holds for an idle connection, or the end of the stream, have
        not reached `data_received` when the loop is busy. A TLS record of no consequence costs a
        connection; believing stray octets would cost a response.
        """
        return super().is_connected() and not (self._is_used and self.is_idle and self._has_input())

    def set_response_params(self, **params: Any) -> None:  # noqa: ANN401  # aiohttp's, passed on
        """Begin an exchange: aiohttp calls this right before a request is written."""
        self._is_expecting = True
        self._content = None
        self._left = None
        self._heads = HeadCutter(self._settings.response_section_bytes_max)
        self._heads_parsed = 0
        self._chunks = None
        self.asides = Asides()
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Take octets, if any may come at all; without any, aiohttp goes on with what it has."""
        position = 0
        while True:
            if data and self.is_idle:
                self._end(fault("http_protocol_error", "octets outside any response"))
            elif data and self._content is None:
                position = self._take_head(data, position)
            else:
                self._take_content(data, position)
                position = len(data)
            if position >= len(data) or self.fault is not None or self.exception() is not None:
                break
        self._pass_on_failure()

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Take one parsed head: any number of 1xx (within reason), then exactly one response."""
        message, content = data
        self._heads_parsed += 1
        if self._content is not None:
            self._end(fault("http_protocol_error", "octets after the response"))
        elif not self._heads.is_final:
            self._pass_on(message)
        elif 100 <= message.code < 200 and message.code != 101:
            self._end(fault("http_protocol_error", "an interim response in HTTP/1.0"))
        else:
            self._content = content
            self._left = _length(message)
            self._chunks = ChunkWalker() if message.chunked else None
            self.asides.interim = None  # an idle connection must not keep who asked last
        if self.fault is None:
            super().feed_data(data, size)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let content that only the end of the connection delimits fail when that end is a cut."""
        if exc is not None and self._content is not None and not self._content.is_eof():
            self._content.set_exception(fault("http_response_incomplete", "connection reset"))
        super().connection_lost(exc)
        if self._content is not None and self._content.exception() is None:
            self._pass_on_failure()  # aiohttp forgets whom to tell when it is closed
        self._content = None  # it refers to this connection

    @property
    def _is_used(self) -> bool:
        return self._content is not None

    def _has_input(self) -> bool:
        socket = self.transport.get_extra_info("socket") if self.transport is not None else None
        if socket is None:
            return False
        poll = select.poll()
        poll.register(socket.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def _take_head(self, data: bytes, position: int) -> int:
        """Give aiohttp no more than the rest of one head; return what position it ends at."""
        expected = self._heads_parsed + 1
        try:
            end = self._heads.cut(data, position)
        except UpstreamError as error:
            self._end(error)
            return len(data)
        super().data_received(data[position:end])
        is_agreed = self._heads_parsed == expected if self._heads.is_between else True
        if not is_agreed and self.fault is None and self.exception() is None:
            self._end(fault("http_protocol_error", "a head that is none"))
        return end

    def _take_content(self, data: bytes, position: int) -> None:
        """Give aiohttp content, and none of what comes behind its end (RFC 9112 section 6.3).

        The response is whole then, whatever its origin meant; the connection is not used again.
        """
        try:
            content, is_surplus = self._cut(data[position:] if position else data)
        except UpstreamError as error:
            self._end(error)
            return
        if is_surplus:
            self.force_close()  # before the content's end, which would give it back to the pool
        if content or not data:
            super().data_received(content)
        is_ended = self._content is not None and self._content.is_eof()
        if is_surplus and is_ended and self.transport is not None:
            self.transport.abort()  # else aiohttp has paused, and closes when it is through

    def _cut(self, data: bytes) -> tuple[bytes, bool]:
        """Return what of these octets is content and its framing, and whether more came."""
        chunks = self._chunks
        if chunks is not None and data:
            if chunks.is_complete:
                return b"", True
            chunks_end, end = chunks.walk(data)
            content = data[:chunks_end]
            if chunks.is_complete:
                self.asides.trailers = trailer_fields(chunks.trailers)
                content += b"\r\n"
            return content, end < len(data)
        if self._left is None:
            return data, False
        content = data[: self._left]
        self._left -= len(content)
        return content, len(content) < len(data)

    def _pass_on(self, message: RawResponseMessage) -> None:
        """Hand an interim response to whoever listens; 100 was for us, who never asked for it."""
        if self._heads_parsed > INFORMATIONAL_MAX:
            self._end(fault("http_protocol_error", "too many informational responses"))
            return
        version = message.version.major, message.version.minor
        try:
            fields = interim_fields(version, message.raw_headers, settings=self._settings)
        except UpstreamError as error:
            self._end(error)
            return
        if self.asides.interim is not None and message.code != 100:
            self.asides.interim(message.code, FieldSection(fields))

    def _end(self, reason: UpstreamError) -> None:
        """Drop the connection; whoever waits for this exchange gets the reason."""
        self.asides.fault = self.asides.fault or reason
        self.force_close()
        if self._content is None or not self._content.is_eof():
            self.set_exception(reason)
        if self.transport is not None:
            self.transport.abort()

    def _pass_on_failure(self) -> None:
        """Tell the reader of the content what aiohttp tells only the reader of heads."""
        error = self.exception()
        if error is not None and self._content is not None and not self._content.is_eof():
            self._content.set_exception(error)


def _length(message: RawResponseMessage) -> int | None:
    """Return the length that frames the content, None where something else does, or who knows."""
    if message.chunked:
        return None
    values = [value for name, value in message.raw_headers if name.lower() == b"content-length"]
    try:
        return parse_content_length(values)
    except ValueError:
        return None  # `inbound` refuses it


class OriginConnector(aiohttp.TCPConnector):
    """The pool: bounded, with names resolved again after their time."""

    def __init__(
        self,
        settings: OriginSettings,
        context: ssl.SSLContext | None,
        *,
        resolver: AbstractResolver | None = None,
    ) -> None:
        reuse: dict[str, Any] = {"force_close": True}
        if settings.keepalive_seconds:
            reuse = {"keepalive_timeout": settings.keepalive_seconds}
        super().__init__(
            ssl=context or True,
            limit=settings.connections_max,
            use_dns_cache=settings.dns_ttl_seconds > 0,
            ttl_dns_cache=math.ceil(settings.dns_ttl_seconds),
            resolver=resolver,
            **reuse,
        )
        self._open: weakref.WeakSet[OriginConnection] = weakref.WeakSet()
        self._factory = functools.partial(self._connection, settings)

    async def _resolve_host(
        self, host: str, port: int, traces: Sequence[Trace] | None = None
    ) -> list[ResolveResult]:
        """Let whoever waits for a name be told so; aiohttp says it to the first alone."""
        for trace in traces or ():
            await trace.send_dns_resolvehost_start(host)
        found = await super()._resolve_host(host, port, traces)
        for trace in traces or ():
            await trace.send_dns_resolvehost_end(host)
        return found

    def _connection(self, settings: OriginSettings) -> ResponseHandler:
        connection = OriginConnection(self._loop, settings)
        self._open.add(connection)
        return connection

    def drop_idle(self) -> None:
        """Close what waits for reuse: one dead connection of a restarted origin means all are."""
        for connection in list(self._open):
            if connection.is_idle and connection.transport is not None:
                connection.transport.abort()
