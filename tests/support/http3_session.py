"""An `Http3Session` between streams of a transport that remembers, a peer and an application."""

import asyncio
from collections.abc import Callable

from edgeproxy.http.messages import ConnectionInfo, Request, Response
from edgeproxy.listeners.http3 import Http3Session
from edgeproxy.wire.limits import Limits
from tests.support.barrier import settle
from tests.support.clock import ManualClock
from tests.support.h3_peer import FakeTransport, Peer, headers
from tests.support.http1_session import FakeApplication, response


class FakeStreams(FakeTransport):
    """`QuicStreams`: a transport, who the client is, and turns."""

    def __init__(self) -> None:
        super().__init__()
        self.info = ConnectionInfo("192.0.2.1")
        self.is_early = False
        self.holds_starts = False

    def later(self, work: Callable[[], object], seconds: float = 0.0) -> None:
        """Let tasks begin at once, everything else in the next turn of the loop."""
        if seconds and not self.holds_starts:
            work()
        else:
            asyncio.get_running_loop().call_soon(work)


class SessionPeer(Peer):
    """A `Peer` whose other side is a whole session."""

    def __init__(self, limits: Limits | None = None, *, greets: bool = True) -> None:
        self.limits = limits or Limits()
        self.transport = self.streams = FakeStreams()
        self.application = FakeApplication()
        self.clock = ManualClock()
        self.session = Http3Session(
            self.streams, self.application, clock=self.clock, limits=self.limits
        )
        self.connection = self.session._h3
        if greets:
            self.greet()

    def on(self, stream_id: int, *pieces: bytes, end: bool = False) -> "SessionPeer":
        for place, piece in enumerate(pieces, start=1):
            self.session.received(stream_id, piece, end=end and place == len(pieces))
        return self

    def get_target(self, stream_id: int, target: bytes, *, method: bytes = b"GET") -> "SessionPeer":
        return self.on(stream_id, headers(request(target, method)), end=True)

    def post(self, stream_id: int, *fields: tuple[bytes, bytes]) -> "SessionPeer":
        return self.on(stream_id, headers((*request(b"/up", b"POST"), *fields)))

    def widen(self, stream_id: int, size: int) -> None:
        """Let the transport have so much more room for a stream."""
        self.transport.rooms[stream_id] += size
        self.session.writable(stream_id)

    def pass_time(self, seconds: int) -> None:
        """Tick once a second, for so long or until the end."""
        for _ in range(seconds):
            self.clock.advance(1.0)
            if self.transport.closed:
                return
            self.session.tick(self.clock.monotonic())

    def elapsed(self, seconds_max: int = 5000) -> int:
        """Tick until the session closes the connection; return how many seconds that took."""
        for seconds in range(seconds_max):
            if self.transport.closed:
                return seconds
            self.pass_time(1)
        raise AssertionError("never closed")

    async def settle(self) -> "SessionPeer":
        await settle(50)
        return self

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
