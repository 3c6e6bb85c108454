"""One request on its way out, through aiohttp but not in aiohttp's words.

aiohttp writes field values as UTF-8 (other octets vanish), rebuilds the target from a parsed URL (a
lone `?` vanishes) and adds fields of its own. So the whole message is a `Payload`, aiohttp's place
for content, which throws away the head that aiohttp prepared and writes ours. That reaches into
two attributes of `StreamWriter`; `tests/unit/origin/test_message.py` fails when they move.

Invariants: the head is written at most once per connection; content is read from the client no
faster than the origin takes it (RFC 9112 section 6 framing, back-pressure by `drain`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from aiohttp.http import StreamWriter
from aiohttp.payload import Payload

from edgeproxy.errors import EdgeError, UpstreamError
from edgeproxy.http.trailers import trailers_of
from edgeproxy.origin.asides import Asides
from edgeproxy.origin.connections import OriginConnection
from edgeproxy.origin.faults import fault
from edgeproxy.origin.outbound import trailer_section

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter


class OutboundMessage(Payload):
    """Head and content of one attempt; `on_sent` is called when the last octet was handed over.

    `asides` is where the connection puts what comes beside the response, from the head on. Trailers
    of the content are sent behind it where `sends_trailers` and chunks allow it.
    `connection` is None until the head is written. `failure` is why the content could not be sent,
    the client's fault or the origin's; `is_content_started` that some of it was consumed, after
    which no attempt can be repeated.
    """

    _autoclose = True
    _size = 0  # aiohttp: no framing of yours, please

    def __init__(
        self,
        head: bytes,
        content: AsyncIterator[bytes] | None,
        content_length: int | None,
        *,
        write_timeout_seconds: float,
        on_sent: Callable[[], None],
        asides: Asides,
        sends_trailers: bool = False,
    ) -> None:
        super().__init__(None)
        self._head = head
        self._content = content
        self._content_length = content_length
        self._write_timeout_seconds = write_timeout_seconds
        self._on_sent = on_sent
        self._asides = asides
        self._sends_trailers = sends_trailers
        self.connection: OriginConnection | None = None
        self.failure: EdgeError | None = None
        self.is_content_started = False

    @property
    def consumed(self) -> bool:
        """Whether anything was written: keeps aiohttp from retrying by itself."""
        return self.connection is not None

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Refuse: a stream has no text."""
        raise TypeError("a streamed request cannot be decoded")

    async def write(self, writer: "AbstractStreamWriter") -> None:
        """Write everything; failures are kept in `failure` and end the connection."""
        try:
            await self._write(writer)
        except EdgeError as error:
            self.failure = error
            raise

    async def _write(self, writer: "AbstractStreamWriter") -> None:
        self.connection = take_over(writer)
        self.connection.asides = self._asides
        _send(self.connection, self._head)
        if self._content is not None:
            self.is_content_started = True
            if self._content_length is None:
                await self._write_chunked(writer, self._content)
            else:
                await self._write_counted(writer, self._content, self._content_length)
        self._on_sent()

    async def _write_chunked(
        self, writer: "AbstractStreamWriter", content: AsyncIterator[bytes]
    ) -> None:
        async for piece in content:
            if piece:  # an empty chunk would be the last one
                await self._pass_on(writer, b"%x\r\n%b\r\n" % (len(piece), piece))
        trailers = trailer_section(trailers_of(content)) if self._sends_trailers else b""
        await self._pass_on(writer, b"0\r\n%b\r\n" % trailers)

    async def _write_counted(
        self, writer: "AbstractStreamWriter", content: AsyncIterator[bytes], length: int
    ) -> None:
        left = length
        async for piece in content:
            left -= len(piece)
            if left < 0:
                break
            await self._pass_on(writer, piece)
        if left:
            raise fault("proxy_internal_error", "the content is not as long as announced")

    async def _pass_on(self, writer: "AbstractStreamWriter", data: bytes) -> None:
        if self.connection is not None:
            _send(self.connection, data)
        try:
            async with asyncio.timeout(self._write_timeout_seconds):
                await writer.drain()
        except TimeoutError:
            raise fault("connection_write_timeout", "the origin does not read") from None


def take_over(writer: "AbstractStreamWriter") -> OriginConnection:
    """Drop the head that aiohttp prepared and return the connection to write to.

    Raises:
        UpstreamError: `proxy_internal_error`, aiohttp already sent something: two heads on one
            connection would be request smuggling by our own hand.
    """
    if not isinstance(writer, StreamWriter) or writer.output_size:
        raise fault("proxy_internal_error", "aiohttp wrote a request head of its own")
    writer._headers_buf = None  # noqa: SLF001  # see the module's docstring
    writer._headers_written = True  # noqa: SLF001
    connection = writer.protocol
    if not isinstance(connection, OriginConnection):
        raise fault("proxy_internal_error", "not a connection of this connector")
    return connection


def _send(connection: OriginConnection, data: bytes) -> None:
    transport = connection.transport
    if transport is None or transport.is_closing():
        raise _gone()
    transport.write(data)


def _gone() -> UpstreamError:
    return fault("connection_terminated", "while sending", is_retryable=True)
