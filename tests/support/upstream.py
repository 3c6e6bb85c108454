"""An upstream that says what its script says, and remembers what it was asked.

    origin = ScriptedUpstream(clock)
    origin.on("GET", "/a").reply(200, body=b"x", cache_control="max-age=60").hold(barrier)

Several replies to one target are given in turn; the last one repeats.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Self

from edgeproxy.errors import UpstreamError
from edgeproxy.http.dates import format_date
from edgeproxy.http.messages import Field, first
from edgeproxy.http.upstream import OriginResponse, OutboundRequest
from tests.support.barrier import Barrier
from tests.support.clock import ManualClock


class Reply:
    """One scripted answer."""

    def __init__(self, status: int, body: bytes | list[bytes], fields: list[Field]) -> None:
        self.status = status
        self.chunks = [body] if isinstance(body, bytes) else body
        self.fields = fields
        self.has_length = True
        self.is_delimited = True
        self.error: UpstreamError | None = None
        self.before: Barrier | None = None
        self.pauses: dict[int, Barrier] = {}
        self.cut_after: int | None = None
        self.sends_date = True
        self.announced: int | None = None

    def hold(self, barrier: Barrier) -> Self:
        """Answer nothing until the barrier opens."""
        self.before = barrier
        return self

    def pause(self, after: int, barrier: Barrier) -> Self:
        """Wait in the middle: after that many chunks."""
        self.pauses[after] = barrier
        return self

    def cut(self, after: int) -> Self:
        """Break off after that many chunks, short of what was announced."""
        self.cut_after = after
        return self

    def chunked(self) -> Self:
        """Announce no length; the end is still proven."""
        self.has_length = False
        return self

    def until_close(self) -> Self:
        """Announce no length and prove no end."""
        self.has_length = self.is_delimited = False
        return self

    def undated(self) -> Self:
        self.sends_date = False
        return self


class Route:
    """The answers to one method and target."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []

    def reply(
        self,
        status: int = 200,
        body: bytes | list[bytes] = b"",
        *,
        fields: list[Field] | None = None,
        **named: str,
    ) -> Reply:
        lines = [
            (name.replace("_", "-").encode(), value.encode("latin-1"))
            for name, value in named.items()
        ]
        reply = Reply(status, body, [*lines, *(fields or [])])
        self.replies.append(reply)
        return reply

    def fail(self, word: str = "connection_refused", status: int = 502) -> Reply:
        reply = self.reply()
        reply.error = UpstreamError(word, status, "scripted")
        return reply

    def next(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


class ScriptedUpstream:
    """Implements `Upstream`."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._routes: dict[tuple[bytes, bytes], Route] = {}
        self._changed = asyncio.Event()
        self.asked: list[OutboundRequest] = []
        self.received: list[bytes] = []
        self.chunks_sent = 0
        self.bodies_closed = 0

    @property
    def requests(self) -> int:
        return len(self.asked)

    def on(self, method: str, target: str) -> Route:
        return self._routes.setdefault((method.encode(), target.encode()), Route())

    async def asked_for(self, count: int) -> None:
        """Wait until that many requests have arrived."""
        while len(self.asked) < count:
            self._changed.clear()
            await self._changed.wait()

    async def fetch(self, request: OutboundRequest) -> OriginResponse:
        request_time = self._clock.now()
        self.asked.append(request)
        self._changed.set()
        if request.body is not None:
            self.received.append(b"".join([chunk async for chunk in request.body]))
        route = self._routes.get((request.method, request.target))
        if route is None:
            raise AssertionError(f"unscripted: {request.method!r} {request.target!r}")
        reply = route.next()
        if reply.before is not None:
            await reply.before.passed()
        if reply.error is not None:
            raise reply.error
        return self._response(request, reply, request_time)

    def _response(
        self, request: OutboundRequest, reply: Reply, request_time: float
    ) -> OriginResponse:
        fields = list(reply.fields)
        if reply.sends_date and first(fields, b"date") is None:
            fields.append((b"date", format_date(int(self._clock.now()))))
        length = sum(map(len, reply.chunks)) if reply.has_length else reply.announced
        if reply.status in {204, 304}:
            length = None
        if length is not None:
            fields.append((b"content-length", b"%d" % length))
        is_empty = request.method == b"HEAD" or reply.status in {204, 304}
        return OriginResponse(
            status=reply.status,
            fields=fields,
            body=_Content(self, reply, is_empty=is_empty),
            content_length=length,
            is_delimited=reply.is_delimited,
            request_time=request_time,
            response_time=self._clock.now(),
        )


class _Content:
    def __init__(self, origin: ScriptedUpstream, reply: Reply, *, is_empty: bool) -> None:
        self._origin = origin
        self._is_open = True
        self._chunks = _nothing() if is_empty else self._play(reply)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._chunks)

    async def aclose(self) -> None:
        if self._is_open:
            self._is_open = False
            self._origin.bodies_closed += 1
        await self._chunks.aclose()

    async def _play(self, reply: Reply) -> AsyncIterator[bytes]:
        for number, chunk in enumerate(reply.chunks):
            if number in reply.pauses:
                await reply.pauses[number].passed()
            if number == reply.cut_after:
                raise UpstreamError("http_response_incomplete", 502, "scripted")
            self._origin.chunks_sent += 1
            yield chunk
        if len(reply.chunks) in reply.pauses:
            await reply.pauses[len(reply.chunks)].passed()


async def _nothing() -> AsyncIterator[bytes]:
    for chunk in ():
        yield chunk
