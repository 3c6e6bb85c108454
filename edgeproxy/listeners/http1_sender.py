"""What an HTTP/1.1 connection sends, joined into few writes and no faster than it is taken.

A body in memory goes out in slices that are references, never copies; a stream is asked for its
next piece only when the channel takes more. Decides nothing about messages: `http1_exchange`
frames them, the session says what follows.
"""

import asyncio
from collections.abc import AsyncIterator

from edgeproxy.http.trailers import trailers_of
from edgeproxy.listeners.http1_exchange import Exchange
from edgeproxy.listeners.session import Channel
from edgeproxy.wire.h1.encode import Ending
from edgeproxy.wire.limits import Limits

# One write of this size is 16 TLS records. A peer on a fast path may never pause us: after four
# of them the other connections have their turn.
SLICE_BYTES = 256 * 1024
_SLICES_PER_TURN = 4


class Sender:
    """Collects output and hands it to the channel."""

    __slots__ = ("_channel", "_out", "_owing_since", "_sent", "_taken_before", "_waiter")

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._out: list[bytes | memoryview] = []
        self._waiter: asyncio.Future[None] | None = None
        self._sent = 0
        self._owing_since: float | None = None
        self._taken_before = 0

    def put(self, data: bytes | memoryview) -> None:
        """Add to the next write."""
        self._out.append(data)

    def flush(self) -> None:
        """Write what was collected."""
        if self._out:
            out, self._out = self._out, []
            self._sent += sum(map(len, out))
            self._channel.write(out)

    def discard(self) -> None:
        """Forget what was collected: nobody will take it."""
        self._out.clear()

    def writable(self) -> None:
        """Let a stream that waits go on."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def is_reader_slow(self, now: float, limits: Limits) -> bool:
        """Whether the peer, since bytes wait for it, took less than the minimum rate.

        Judged no sooner than a stall would be: a phone between two cells takes nothing for ten
        seconds and then everything. Who takes nothing at all is the channel's to cut.
        """
        unsent = self._channel.unsent_bytes
        if not unsent:
            self._owing_since = None
            return False
        taken = self._sent - unsent
        if self._owing_since is None:
            self._owing_since, self._taken_before = now, taken
        waited = now - self._owing_since
        if waited < limits.write_stall_seconds:
            return False
        return taken - self._taken_before < waited * limits.minimum_rate_bytes_per_second

    def pump(self, exchange: Exchange) -> None:
        """Send of `exchange.rest` what the channel and one turn of the loop take."""
        for _ in range(_SLICES_PER_TURN):
            if self._channel.is_paused or not exchange.rest:
                return
            self.put(exchange.take(SLICE_BYTES))
            self.flush()

    async def stream(self, exchange: Exchange, body: AsyncIterator[bytes]) -> None:
        """Send a body as it comes, and what marks its end; close it in every case.

        Raises:
            UpstreamError: The body is not what the head promised. Like everything that the body
                itself raises, it must cut the connection.
        """
        try:
            self.flush()
            if exchange.ending is not Ending.NO_CONTENT:
                await self._send(exchange, body)
                self._out += exchange.end(trailers_of(body))
        finally:
            aclose = getattr(body, "aclose", None)
            if aclose is not None:
                await aclose()

    async def _send(self, exchange: Exchange, body: AsyncIterator[bytes]) -> None:
        await self._until_writable()
        async for chunk in body:
            view = memoryview(chunk)
            for begin in range(0, len(view), SLICE_BYTES):
                self._out += exchange.frame(view[begin : begin + SLICE_BYTES])
                self.flush()
                await self._until_writable()

    async def _until_writable(self) -> None:
        """Wait while the channel is paused; the session's `tick` bounds it."""
        while self._channel.is_paused:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
