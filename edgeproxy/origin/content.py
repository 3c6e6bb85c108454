"""The content of an origin's response while it arrives.

Hands out pieces of at most 64 KiB as they come; whoever does not ask for more stops the origin,
because aiohttp pauses reading above twice that. Never ends without an error unless the framing said
so (RFC 9112 section 8), and never keeps a connection: it goes back to the pool when the last octet
was read, and is aborted, not drained, when the reader gives up. Decodes nothing.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import aiohttp

from edgeproxy.errors import UpstreamError
from edgeproxy.http.messages import Fields
from edgeproxy.origin.asides import Asides
from edgeproxy.origin.faults import content_fault, fault

PIECE_BYTES_MAX: Final = 64 * 1024


class OriginContent:
    """Iterated once; `aclose()` may be called at any time, twice too.

    `deadline` is the event loop's time at which the whole exchange must be over; every wait is
    also bounded by `between_bytes_seconds`. `on_done` is called once the connection is given up.
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        *,
        length: int | None,
        between_bytes_seconds: float,
        deadline: float,
        asides: Asides,
        on_done: Callable[[], None],
    ) -> None:
        self._response = response
        self._left = length
        self._between_bytes_seconds = between_bytes_seconds
        self._deadline = deadline
        self._asides = asides
        self._on_done = on_done
        self._is_done = False

    @property
    def trailers(self) -> Fields:
        """What came behind the content, once it was read to its end."""
        return self._asides.trailers if self._is_done else ()

    def __aiter__(self) -> "OriginContent":
        return self

    async def __anext__(self) -> bytes:
        if self._is_done:
            raise StopAsyncIteration
        try:
            piece = await self._read()
        except BaseException:
            await self.aclose()
            raise
        if piece:
            return piece
        self._is_done = True
        self._response.release()
        self._on_done()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Abort the connection if anything of the content is unread."""
        if not self._is_done:
            self._is_done = True
            abort(self._response)
            self._on_done()

    def __del__(self) -> None:
        # Nothing else would: aiohttp's response is held by the connection that it should release.
        if not self._is_done:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                abort(self._response)
                self._on_done()

    async def _read(self) -> bytes:
        """Return the next piece, b"" at the proven end."""
        try:
            piece = self._response.content.read_nowait(PIECE_BYTES_MAX) or await self._wait()
        except (aiohttp.ClientError, aiohttp.http.HttpProcessingError, OSError) as error:
            raise self._asides.fault or content_fault(error) from error
        if self._left is not None:
            self._left -= len(piece)
            if self._left < 0 or (self._left and not piece):
                raise fault("http_response_incomplete", "not as long as announced")
        return piece

    async def _wait(self) -> bytes:
        patience = asyncio.get_running_loop().time() + self._between_bytes_seconds
        try:
            async with asyncio.timeout_at(min(patience, self._deadline)):
                return await self._response.content.read(PIECE_BYTES_MAX)
        except TimeoutError:
            raise self._timed_out(is_total=self._deadline <= patience) from None

    def _timed_out(self, *, is_total: bool) -> UpstreamError:
        if is_total:
            return fault("http_response_timeout", "the response as a whole takes too long")
        return fault("connection_read_timeout", "the content stopped coming")


def abort(response: aiohttp.ClientResponse) -> None:
    """Cut the connection under a response at once.

    A graceful close would let TLS wait for the origin's close_notify and read, and throw away,
    what it still sends.
    """
    connection = response.connection
    transport = connection.transport if connection is not None else None
    response.close()
    if transport is not None:
        transport.abort()
