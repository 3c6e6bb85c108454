"""aioquic's HTTP/3 on a socket of loopback, as a client of a running edge.

async with h3_client(port) as client:
    reply = await client.get("/a")
    assert (reply.status, reply.fields[b"age"]) == (200, b"0")

Certificates are shown (`client.quic.common_name`, `.staple`) and not judged.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aioquic.buffer import Buffer
from aioquic.h3.connection import FrameType, H3Connection, H3Stream
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic import events

from tests.support.quic import Client
from tests.support.quic_endpoint import StockClient, connecting

PATIENCE_SECONDS = 60
PING_SECONDS = 0.3


@dataclass
class Reply:
    """What has come on a stream until now; `first` is set by content, `over` by its end."""

    status: int = 0
    fields: dict[bytes, bytes] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    first: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class _Http3(H3Connection):
    """Knows that 304 and what answers HEAD have a Content-Length and no content."""

    def __init__(self, quic: Client) -> None:
        self.contentless: set[int] = set()
        super().__init__(quic)

    def _check_content_length(self, stream: H3Stream) -> None:
        if stream.stream_id not in self.contentless:
            super()._check_content_length(stream)


class H3Client(StockClient):
    """One connection."""

    def __init__(self, quic: Client) -> None:
        super().__init__(quic)
        self.http = _Http3(quic)
        self.replies: dict[int, Reply] = {}
        self.went_away = asyncio.Event()

    @property
    def worker(self) -> int:
        """Which of two workers serves this connection."""
        return self.quic._peer_cid.cid[0] % 2

    @property
    def goaways(self) -> list[bytes]:
        """The payloads of GOAWAY on the server's control stream, which aioquic reads over."""
        found = []
        for stream_id, data in self.bodies.items():
            if stream_id % 4 == 3 and data[:1] == b"\0":
                buf = Buffer(data=bytes(data[1:]))
                while not buf.eof():
                    kind, size = buf.pull_uint_var(), buf.pull_uint_var()
                    payload = buf.pull_bytes(size)
                    found += [payload] if kind == FrameType.GOAWAY else []
        return found

    def datagram_received(self, data: bytes | str, addr: object) -> None:
        """Look for a stateless reset (RFC 9000 section 10.3.1), which aioquic does not."""
        token = self.quic._peer_cid.stateless_reset_token
        if token and bytes(data[-16:]) == token:
            self._fail("stateless reset")
            return
        super().datagram_received(data, addr)

    def quic_event_received(self, event: events.QuicEvent) -> None:
        super().quic_event_received(event)
        for each in self.http.handle_event(event):
            reply = self.replies.get(getattr(each, "stream_id", -1))
            if reply is None:
                continue
            if isinstance(each, HeadersReceived):
                reply.fields = dict(each.headers)
                reply.status = int(reply.fields[b":status"])
            elif isinstance(each, DataReceived):
                reply.body += each.data
                reply.first.set()
            if each.stream_ended and not reply.over.done():
                reply.over.set_result(None)
        if isinstance(event, events.StreamReset):
            _break(self.replies.get(event.stream_id), f"reset with {event.error_code:#x}")
        if isinstance(event, events.StreamDataReceived) and self.goaways:
            self.went_away.set()
        if isinstance(event, events.ConnectionTerminated):
            self._fail(f"{event.error_code:#x} {event.reason_phrase}")

    def _fail(self, why: str) -> None:
        for reply in self.replies.values():
            _break(reply, why)

    def ask(self, path: str, *fields: tuple[bytes, bytes], method: bytes = b"GET") -> Reply:
        """Send a request."""
        stream_id = self.quic.get_next_available_stream_id()
        reply = self.replies[stream_id] = Reply()
        if method == b"HEAD" or any(name == b"if-none-match" for name, _ in fields):
            self.http.contentless.add(stream_id)
        head = [
            (b":method", method),
            (b":scheme", b"https"),
            (b":authority", self.quic.configuration.server_name.encode()),
            (b":path", path.encode()),
            *fields,
        ]
        self.http.send_headers(stream_id, head, end_stream=True)
        self.transmit()
        return reply

    async def whole(self, reply: Reply) -> Reply:
        """Wait for the end of a reply; meanwhile show that somebody is there, as browsers do."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (await asyncio.wait([reply.over], timeout=PING_SECONDS))[0]:
                self.quic.send_ping(0)
                self.transmit()
        reply.over.result()
        return reply

    async def get(self, path: str, *fields: tuple[bytes, bytes], method: bytes = b"GET") -> Reply:
        return await self.whole(self.ask(path, *fields, method=method))

    async def moved(self) -> None:
        """Go on from another port, and say something from there."""
        await self.move()
        self.quic.send_ping(0)
        self.transmit()


def _break(reply: Reply | None, why: str) -> None:
    if reply is not None and not reply.over.done():
        reply.over.set_exception(ConnectionError(why))
        reply.over.exception()  # nobody may be waiting


@asynccontextmanager
async def h3_client(
    port: int, server_name: str = "localhost", *, client: Client | None = None, **how
) -> AsyncIterator[H3Client]:
    quic = client or Client(server_name=server_name, **how)
    async with connecting(("127.0.0.1", port), client=quic, speaks=H3Client) as connected:
        yield connected
