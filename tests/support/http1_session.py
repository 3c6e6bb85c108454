"""An `Http1Session` between a scripted channel and a scripted application."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from edgeproxy.errors import DownstreamError
from edgeproxy.http.messages import ConnectionInfo, FieldSection, Request, Response
from edgeproxy.listeners.http1 import Http1Session
from edgeproxy.wire.limits import Limits
from tests.support.clock import ManualClock

HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
LAST = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"


class FakeChannel:
    """Collects what a session writes; pauses when told, or after so many bytes."""

    def __init__(self, *, scheme: bytes = b"https", pause_after: int | None = None) -> None:
        self.info = ConnectionInfo("192.0.2.1", scheme=scheme)
        self.is_paused = False
        self.unsent_bytes = 0
        self.pause_after = pause_after
        self.writes: list[bytes] = []
        self.largest_write = 0
        self.is_closed = False
        self.is_aborted = False
        self.is_reading = True
        self.holds_starts = False

    def write(self, chunks: list[bytes | memoryview]) -> None:
        assert not self.is_closed, "written after the end"
        data = b"".join(chunks)
        self.writes.append(data)
        self.largest_write = max(self.largest_write, len(data))
        if self.pause_after is not None and len(data) >= self.pause_after:
            self.is_paused = True
        if self.is_paused:
            self.unsent_bytes += len(data)

    @property
    def sent(self) -> bytes:
        return b"".join(self.writes)

    def close(self) -> None:
        assert not self.is_closed
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True

    def pause_reading(self) -> None:
        assert self.is_reading
        self.is_reading = False

    def resume_reading(self) -> None:
        assert not self.is_reading
        self.is_reading = True

    def later(self, work: Callable[[], object], seconds: float = 0.0) -> None:
        """Let tasks begin at once, everything else in the next turn of the loop."""
        if seconds and not self.holds_starts:
            work()
        else:
            asyncio.get_running_loop().call_soon(work)


def response(
    body: bytes | AsyncIterator[bytes] = b"hello",
    *,
    status: int = 200,
    length: int | None = -1,
) -> Response:
    """Return a response; `length` -1 is the body's own, None leaves the field out."""
    if length == -1:
        length = len(body) if isinstance(body, bytes) else None
    fields = [] if length is None else [(b"content-length", b"%d" % length)]
    return Response(status, (FieldSection(fields),), body, outcome="hit")


class FakeApplication:
    """Answers `/hit...` at once with `hello`; everything else by `handler`."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.ended: list[tuple[bytes, int, bool]] = []
        self.hits: dict[bytes, Response] = {}
        self.handler: Callable[[Request], Awaitable[Response]] = self._hello
        self.cancelled = 0

    async def _hello(self, _request: Request) -> Response:
        return response()

    def hit(self, request: Request, now: float) -> Response | None:
        self.requests.append(request)
        if request.target.startswith(b"/hit"):
            return self.hits.get(request.target) or response()
        return None

    async def handle(self, request: Request) -> Response:
        if request.body is not None:
            self.requests.append(request)
        try:
            return await self.handler(request)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def completed(
        self, request: Request, response: Response, body_bytes: int, *, is_whole: bool
    ) -> None:
        self.ended.append((request.target, body_bytes, is_whole))

    @property
    def targets(self) -> list[bytes]:
        return [request.target for request in self.requests]


class Stream:
    """A response body that yields what it is told and remembers that it was closed."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = list(pieces)
        self.gate: asyncio.Event | None = None
        self.taken = 0
        self.is_closed = False

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> bytes:
        if self.gate is not None:
            await self.gate.wait()
        if not self.pieces:
            raise StopAsyncIteration
        self.taken += 1
        piece = self.pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def aclose(self) -> None:
        self.is_closed = True


class Connection:
    """A session and everything around it."""

    def __init__(self, *, limits: Limits | None = None, pause_after: int | None = None) -> None:
        self.channel = FakeChannel(pause_after=pause_after)
        self.application = FakeApplication()
        self.clock = ManualClock()
        self.refusals: list[str] = []
        self.session = Http1Session(
            self.channel,
            self.application,
            self.clock,
            limits or Limits(),
            refused=self.refusals.append,
        )

    def receive(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.session.receive(piece)

    async def settle(self) -> None:
        """Let the loop run until nothing happens any more."""
        for _ in range(50):
            await asyncio.sleep(0)

    def drained(self) -> None:
        """Let the peer take everything that was written."""
        self.channel.is_paused = False
        self.channel.unsent_bytes = 0
        self.session.writable()

    def tick_after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.session.tick(self.clock.monotonic())

    @property
    def sent(self) -> bytes:
        return self.channel.sent

    @property
    def statuses(self) -> list[int]:
        """Every status line sent, if no body looks like one."""
        return [int(part[:3]) for part in self.sent.split(b"HTTP/1.1 ")[1:]]


def get(target: bytes, *lines: bytes, method: bytes = b"GET", version: bytes = b"1.1") -> bytes:
    first = method + b" " + target + b" HTTP/" + version
    return b"\r\n".join([first, b"host: a", *lines, b"", b""])


def post(target: bytes, body: bytes, *lines: bytes) -> bytes:
    return get(target, b"content-length: %d" % len(body), *lines, method=b"POST") + body


async def read_all(request: Request) -> Response:
    content = b""
    try:
        if request.body is not None:
            async for piece in request.body:
                content += piece
    except DownstreamError as error:
        return response(error.reason.encode(), status=error.status)
    return response(content)


def streaming(connection: Connection, stream: Stream, length: int | None = None) -> None:
    async def handler(_request: Request) -> Response:
        return response(stream, length=length)

    connection.application.handler = handler
