"""One request and its response on a stream, and the request's content on its way in.

Memory is bounded by flow control: content that was not used is not credited, so a peer can have
sent at most one stream window of it (RFC 9113 section 6.9, RFC 9000 section 4).
"""

import asyncio
from collections import deque
from collections.abc import Callable

from edgeproxy.errors import DownstreamError
from edgeproxy.http.messages import Fields, Request, Response
from edgeproxy.wire.limits import Limits


class Exchange:
    """What a session keeps for a stream. `relief` is done when the stream wants more content."""

    __slots__ = ("content", "interims", "relief", "request", "response", "task")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.response: Response | None = None
        self.content: RequestContent | None = None
        self.task: asyncio.Task[None] | None = None
        self.relief: asyncio.Future[None] | None = None
        self.interims = 0

    def relieve(self) -> None:
        """Let the one who feeds the stream go on."""
        if self.relief is not None and not self.relief.done():
            self.relief.set_result(None)

    def stop_content(self, reason: str) -> None:
        """Let nobody wait for request content that will not come any more."""
        if self.content is not None:
            self.content.fail(DownstreamError(400, reason))


class RequestContent:
    """Request content as an async iterator; `consumed(size)` is called for what was taken.

    `wanted` is called once, if the reader comes before any content: the peer may wait for that.
    `trailers` are those behind the content, once it was read to its end.
    """

    __slots__ = (
        "_chunks",
        "_consumed",
        "_error",
        "_is_ended",
        "_silent_seconds",
        "_starved_seconds",
        "_waiter",
        "_wanted",
        "trailers",
    )

    def __init__(
        self, consumed: Callable[[int], None], *, wanted: Callable[[], None] | None = None
    ) -> None:
        self._chunks: deque[bytes] = deque()
        self._consumed = consumed
        self._wanted = wanted
        self._is_ended = False
        self._error: DownstreamError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._silent_seconds = self._starved_seconds = 0.0
        self.trailers: Fields = ()

    def feed(self, data: bytes, *, is_end: bool) -> None:
        """Add content as it arrives; none is kept once the reader was told of a failure."""
        if self._error is not None:
            return
        if data:
            self._chunks.append(data)
            self._wanted = None
        self._silent_seconds = 0.0
        self._is_ended = self._is_ended or is_end
        self._wake()

    def fail(self, error: DownstreamError) -> None:
        """Let the reader know that the rest will not come; what it has not read is dropped."""
        if not self._is_ended and self._error is None:
            self._error = error
            self._chunks.clear()
            self._wake()

    def tick(self, seconds: float, received_bytes: int, limits: Limits) -> None:
        """Count time in which the reader waited for the peer; fail when it is too slow."""
        if self._is_ended or self._waiter is None or self._waiter.done():
            return
        self._starved_seconds += seconds
        self._silent_seconds += seconds
        is_slow = (
            self._starved_seconds > limits.minimum_rate_after_seconds
            and received_bytes < self._starved_seconds * limits.minimum_rate_bytes_per_second
        )
        if is_slow or self._silent_seconds > limits.idle_seconds:
            self.fail(DownstreamError(408, "slow_content"))

    def __aiter__(self) -> "RequestContent":
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._is_ended:
                raise StopAsyncIteration
            if self._wanted is not None:
                self._wanted()
                self._wanted = None
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter  # the session's deadlines bound this wait
        data = self._chunks.popleft()
        self._consumed(len(data))
        return data

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
