"""An `Http2Session` between a channel with a buffer of its own, a peer and an application."""

import asyncio
from collections.abc import Callable, Iterable

from edgeproxy.http.messages import ConnectionInfo, Request, Response
from edgeproxy.listeners.http2 import Http2Session
from edgeproxy.wire.h2 import frames
from edgeproxy.wire.limits import Limits
from tests.support.barrier import settle
from tests.support.clock import ManualClock
from tests.support.h2_peer import Peer
from tests.support.http1_session import FakeApplication, response

HIT = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"edge.example"),
    (b":path", b"/hit"),
]


class FakeChannel:
    """Takes everything; with a `capacity` only so much of it leaves before `drain`."""

    def __init__(self) -> None:
        self.info = ConnectionInfo("192.0.2.1")
        self.is_paused = False
        self.capacity: int | None = None
        self.unsent_bytes = 0
        self.pending = bytearray()
        self.writes: list[int] = []
        self.is_closed = False
        self.is_aborted = False
        self.is_reading = True
        self.holds_starts = False

    def write(self, chunks: list[bytes | memoryview]) -> None:
        assert not self.is_closed, "written after the end"
        assert chunks
        data = b"".join(chunks)
        self.writes.append(len(data))
        self.pending += data
        if self.capacity is not None:
            self.unsent_bytes += len(data)
            self.is_paused = self.unsent_bytes > self.capacity

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


class SessionPeer(Peer):
    """A `Peer` whose other side is a whole session."""

    def __init__(
        self, limits: Limits | None = None, *, settings: Iterable[tuple[int, int]] | None = ()
    ) -> None:
        self.limits = limits or Limits()
        self.channel = FakeChannel()
        self.application = FakeApplication()
        self.clock = ManualClock()
        self.session = Http2Session(
            self.channel, self.application, clock=self.clock, limits=self.limits
        )
        self.connection = self.session._h2
        self._prepare()
        self.greeting = self.take()
        if settings is not None:
            self.send(frames.PREFACE, frames.settings_frame(settings), frames.SETTINGS_ACK_FRAME)
            self.take()

    def send(self, *data: bytes) -> "SessionPeer":
        self.session.receive(b"".join(data))
        return self

    def get_target(self, stream_id: int, target: bytes, *, method: bytes = b"GET") -> "SessionPeer":
        return self.send(self.headers(stream_id, request(target, method)))

    def post(self, stream_id: int, *fields: tuple[bytes, bytes]) -> "SessionPeer":
        return self.send(self.headers(stream_id, (*request(b"/up", b"POST"), *fields), end=False))

    def _collect(self) -> bytes:
        data = bytes(self.channel.pending)
        self.channel.pending.clear()
        return data

    def drain(self, size: int | None = None) -> None:
        """Let the kernel take what waits, or some of it."""
        channel = self.channel
        channel.unsent_bytes -= channel.unsent_bytes if size is None else size
        if channel.is_paused and channel.unsent_bytes <= (channel.capacity or 0) // 4:
            channel.is_paused = False
            self.session.writable()

    def pass_time(self, seconds: int) -> None:
        """Tick once a second, for so long or until the end."""
        for _ in range(seconds):
            self.clock.advance(1.0)
            if self.channel.is_closed:
                return
            self.session.tick(self.clock.monotonic())

    def elapsed(self, seconds_max: int = 5000) -> int:
        """Tick until the session closes the connection; return how many seconds that took."""
        for seconds in range(seconds_max):
            if self.channel.is_closed:
                return seconds
            self.pass_time(1)
        raise AssertionError("never closed")

    async def settle(self) -> "SessionPeer":
        await settle(50)
        return self

    def status(self, stream_id: int) -> bytes | None:
        self.take()
        for frame in self.received:
            if frame.stream_id == stream_id and hasattr(frame, "fields"):
                return dict(frame.fields)[b":status"]
        return None

    @property
    def tasks(self) -> int:
        return len(self.session._tasks)


def request(target: bytes, method: bytes = b"GET") -> list[tuple[bytes, bytes]]:
    return [
        (b":method", method),
        (b":scheme", b"https"),
        (b":authority", b"edge.example"),
        (b":path", target),
    ]


def answer_with(peer: SessionPeer, body, **named) -> None:
    async def handler(_request: Request) -> Response:
        return response(body, **named)

    peer.application.handler = handler


def pending(peer: SessionPeer) -> asyncio.Event:
    """Let the application hold its answers back until the event is set."""
    gate = asyncio.Event()

    async def handler(_request: Request) -> Response:
        await gate.wait()
        return response(b"late")

    peer.application.handler = handler
    return gate
