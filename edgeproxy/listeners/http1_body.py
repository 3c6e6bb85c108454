"""A request's content on HTTP/1.1, as the application iterates it.

Holds no bytes: it pulls them out of the connection's reader, whose buffer is the one bound (its
owner stops reading from the socket while that is full). Asks for the content with 100 Continue
when it is first wanted (RFC 9110 section 10.1.1).
"""

import asyncio
from collections.abc import Callable

from edgeproxy.clock import Clock
from edgeproxy.errors import DownstreamError
from edgeproxy.http.messages import Fields
from edgeproxy.wire.h1.reader import RequestReader


class RequestBody:
    """An async iterator over the content of the request that `reader` is at.

    `trailers` are those behind the content, once it was read to its end.
    """

    __slots__ = (
        "_ask",
        "_clock",
        "_has_peer_ended",
        "_reader",
        "_received",
        "_taken",
        "_waited",
        "_waiter",
        "_waiting_since",
        "fault",
        "trailers",
        "was_asked",
    )

    def __init__(
        self,
        reader: RequestReader,
        clock: Clock,
        *,
        ask: Callable[[], None],
        taken: Callable[[], None],
    ) -> None:
        self._reader = reader
        self._clock = clock
        self._ask = ask
        self._taken = taken
        self._received = 0
        self._waited = 0.0
        self._waiting_since = 0.0
        self._waiter: asyncio.Future[None] | None = None
        self._has_peer_ended = False
        self.was_asked = False
        self.fault: DownstreamError | None = None
        self.trailers: Fields = ()

    def __aiter__(self) -> "RequestBody":
        return self

    async def __anext__(self) -> bytes:
        if not self.was_asked:
            self.was_asked = True
            self._ask()
        while True:
            if self.fault is not None:
                raise self.fault
            if piece := self._pull():
                return piece
            if not self._reader.is_in_content:
                self.trailers = tuple(self._reader.trailers)
                raise StopAsyncIteration
            if self._has_peer_ended:
                self.fault = DownstreamError(400, "incomplete-content", close=True)
                continue
            await self._more()

    def _pull(self) -> bytes:
        try:
            piece = self._reader.next_content()
        except DownstreamError as fault:
            self.fault = fault
            raise
        self._received += len(piece)
        self._taken()
        return piece

    def may_skip(self, bytes_max: int, *, is_client_waiting: bool) -> bool:
        """End every reading, and tell whether the rest can be read away before the next request.

        It can if it is certain to come, known and little; `is_client_waiting` tells that the
        client may leave it out because nobody said 100 Continue (RFC 9110 section 10.1.1).
        """
        if self.fault is not None:
            return False
        self.end()
        if is_client_waiting and not self.was_asked:
            return False
        try:
            while self._reader.next_content():
                pass
        except DownstreamError:
            return False
        left = self._reader.content_left
        return left is not None and left <= bytes_max

    async def _more(self) -> None:
        """Wait until `wake`; `is_too_slow` bounds it."""
        self._waiting_since = self._clock.monotonic()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._waited += self._clock.monotonic() - self._waiting_since

    def wake(self) -> None:
        """Look again: bytes have arrived, or none ever will."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def peer_ended(self) -> None:
        """Note that what is buffered is all there will be."""
        self._has_peer_ended = True
        self.wake()

    def fail(self, fault: DownstreamError) -> None:
        """Let every read from now on raise `fault`, unless one does already."""
        self.fault = self.fault or fault
        self.wake()

    def end(self) -> None:
        """Let nobody read on: what comes next belongs to another request."""
        self.fail(DownstreamError(400, "request-over"))

    def is_too_slow(self, now: float, *, after: float, rate: int) -> bool:
        """Whether the client, over the time that we waited for it, sent less than `rate`.

        Only time in which somebody wanted bytes counts: our own slowness is not the client's.
        """
        waited = self._waited
        if self._waiter is not None:
            waited += now - self._waiting_since
        return waited >= after and self._received < rate * waited
