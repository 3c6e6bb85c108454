"""Connections to one origin: aiohttp's pool, with a stricter idea of what a response is.

aiohttp reads HTTP/1.1 leniently and, up to 3.14, gives octets that arrive on an idle connection to
the next request as its response. A connection here ends instead on: anything received outside an
exchange or after its response (RFC 9112 section 9.2), a bare LF or a folded line among the fields
(sections 2.2 and 5.2), a field section without end, or a storm of 1xx responses.

Overrides the pool's private `_factory` and five public methods of `ResponseHandler`;
`tests/unit/origin/test_connections.py` fails when they move. Interprets no field.
"""

import asyncio
import functools
import math
import re
import select
import ssl
import weakref
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_parser import RawResponseMessage
from aiohttp.streams import StreamReader

from edgeproxy.errors import UpstreamError
from edgeproxy.origin.faults import fault
from edgeproxy.origin.settings import OriginSettings

# Ours: a page sends one or two 103s; curl and browsers stop somewhere above 30.
INFORMATIONAL_MAX: Final = 16

_INTERIM = re.compile(rb"HTTP/1\.1 1")
_BAD_LINE_END = re.compile(rb"(?<!\r)\n|\n[ \t]")


class OriginConnection(ResponseHandler):
    """One connection, strict about where a response begins and ends.

    `fault` is why we ended it, `is_heard` whether any octet of a response has come. Both belong to
    the exchange that is under way.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, section_bytes_max: int) -> None:
        super().__init__(loop)
        self._section_bytes_max = section_bytes_max
        self._is_expecting = False
        self._content: StreamReader | None = None
        self._section_bytes = 0
        self._informational = 0
        self._last = b""
        self.fault: UpstreamError | None = None

    @property
    def is_heard(self) -> bool:
        """Whether any octet has come in this exchange."""
        return self._section_bytes > 0

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
        self._section_bytes = self._informational = 0
        self._last = b""
        self.fault = None
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Take octets, if any may come at all."""
        if data and self.is_idle:
            self._end(fault("http_protocol_error", "octets outside any response"))
            return
        if self._content is None and data:
            self._inspect(data)
        if self.fault is not None:
            return
        super().data_received(data)
        if self._content is None and self._section_bytes > self._section_bytes_max:
            self._end(fault("http_response_header_section_size", "the fields do not end"))
        self._pass_on_failure()

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Take one parsed head: any number of 1xx (within reason), then exactly one response."""
        message, content = data
        if self._content is not None:
            self._end(fault("http_protocol_error", "octets after the response"))
        elif 100 <= message.code < 200 and message.code != 101:
            self._informational += 1
            if self._informational > INFORMATIONAL_MAX:
                self._end(fault("http_protocol_error", "too many informational responses"))
        else:
            self._content = content
        if self.fault is None:
            super().feed_data(data, size)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let content that only the end of the connection delimits fail when that end is a cut."""
        if exc is not None and self._content is not None and not self._content.is_eof():
            self._content.set_exception(fault("http_response_incomplete", "connection reset"))
        super().connection_lost(exc)

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

    def _inspect(self, data: bytes) -> None:
        """Refuse line ends that other parsers read differently, which is how responses split.

        What follows an empty line in the same segment is content and not looked at, except behind
        a 1xx, where another head begins.
        """
        self._section_bytes += len(data)
        seen = self._last + data
        start, is_head = max(len(self._last) - 1, 0), True
        while is_head:
            end = seen.find(b"\r\n\r\n", max(start - 2, 0))
            stop = len(seen) if end < 0 else end + 4
            if _BAD_LINE_END.search(seen, start, stop):
                self._end(fault("http_protocol_error", "bare LF or folded field line"))
            is_head = end >= 0 and _INTERIM.match(seen, start) is not None
            start = stop
        self._last = seen[-3:]

    def _end(self, reason: UpstreamError) -> None:
        """Drop the connection; whoever waits for this exchange gets the reason."""
        self.fault = self.fault or reason
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
        self._factory = functools.partial(self._connection, settings.response_section_bytes_max)

    def _connection(self, section_bytes_max: int) -> ResponseHandler:
        connection = OriginConnection(self._loop, section_bytes_max)
        self._open.add(connection)
        return connection

    def drop_idle(self) -> None:
        """Close what waits for reuse: one dead connection of a restarted origin means all are."""
        for connection in list(self._open):
            if connection.is_idle and connection.transport is not None:
                connection.transport.abort()
