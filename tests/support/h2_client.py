"""A real HTTP/2 client over TLS for scenarios: sockets, certificates, flow control, many streams.

Built on the `h2` library, which shares no code with the product.
"""

import asyncio
import ssl
from collections.abc import Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from tests.support.transports import drop

Fields = list[tuple[str, str]]


class StreamBrokenError(Exception):
    """The stream was reset or its connection ended before the response was whole."""


@dataclass
class Reply:
    """A response as it arrives; `begun` is set at its fields, `first_byte` at its first content."""

    status: int = 0
    fields: Fields = field(default_factory=list)
    interims: list[Fields] = field(default_factory=list)
    trailers: Fields | None = None
    body: bytearray = field(default_factory=bytearray)
    error_code: int | None = None
    is_whole: bool = False
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    first_byte: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    stream_id: int = 0

    def __getitem__(self, name: str) -> str:
        return ", ".join(value for key, value in self.fields if key == name)

    async def whole(self) -> "Reply":
        async with asyncio.timeout(60):
            await self.ended.wait()
        if not self.is_whole:
            raise StreamBrokenError(self.error_code)
        return self


class H2Client:
    """One connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str
    ) -> None:
        self._reader, self._writer, self._authority = reader, writer, authority
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.replies: dict[int, Reply] = {}
        self.is_over = asyncio.Event()
        self.goaway: int | None = None
        self.grants_windows = True
        self._moved = asyncio.Event()
        self._pongs = 0

    async def get(self, path: str, fields: Iterable[tuple[str, str]] = (), **more: str) -> Reply:
        return await (self.send("GET", path, fields, **more)).whole()

    def send(
        self,
        method: str,
        path: str,
        fields: Iterable[tuple[str, str]] = (),
        *,
        body: bytes = b"",
        authority: str = "",
        is_end: bool = True,
        head: Iterable[tuple[bytes, bytes]] = (),
    ) -> Reply:
        """Send a request; `head` is instead of all that would be made of the rest."""
        stream_id = self.h2.get_next_available_stream_id()
        lines = list(head) or [
            (":method", method),
            (":scheme", "https"),
            (":authority", authority or self._authority),
            (":path", path),
            *fields,
        ]
        reply = self.replies[stream_id] = Reply(stream_id=stream_id)
        self.h2.send_headers(stream_id, lines, end_stream=is_end and not body)
        if body:
            self.h2.send_data(stream_id, body, end_stream=True)
        self._flush()
        return reply

    async def upload(
        self, method: str, path: str, body: bytes, fields: Iterable[tuple[str, str]] = ()
    ) -> Reply:
        """Send a request with content as fast as the windows allow; return when all is sent."""
        reply = self.send(method, path, [*fields, ("content-length", str(len(body)))], is_end=False)
        await self.send_on(reply, body)
        return reply

    async def send_on(self, reply: Reply, data: bytes, *, is_end: bool = True) -> None:
        """Send more content of a request that has not ended."""
        view = memoryview(data)
        while view:
            if room := self.room(reply):
                self.h2.send_data(reply.stream_id, view[:room], end_stream=False)
                view = view[room:]
                self._flush()
                await self._writer.drain()
            else:
                await self._next_move()
        if is_end:
            self.h2.end_stream(reply.stream_id)
            self._flush()

    def room(self, reply: Reply) -> int:
        """Return how much content the edge would take now, one frame at most."""
        window = self.h2.local_flow_control_window(reply.stream_id)
        return min(window, self.h2.max_outbound_frame_size)

    def grant(self, reply: Reply) -> None:
        """Take what comes from now on as it comes, and what was held back before."""
        self.grants_windows = True
        self.h2.acknowledge_received_data(len(reply.body), reply.stream_id)
        self._flush()

    async def hinted(self, reply: Reply, count: int) -> None:
        """Wait until so many interim responses have come."""
        async with asyncio.timeout(60):
            while len(reply.interims) < count and not self.is_over.is_set():
                await self._next_move()

    async def heard(self) -> None:
        """Wait until the edge has read everything sent so far: a PING comes back."""
        awaited = self._pongs + 1
        self.h2.ping(b"all read")
        self._flush()
        async with asyncio.timeout(60):
            while self._pongs < awaited and not self.is_over.is_set():
                await self._next_move()

    async def _next_move(self) -> None:
        self._moved.clear()
        await self._moved.wait()

    def cancel(self, reply: Reply) -> None:
        self.h2.reset_stream(reply.stream_id, 8)
        self._flush()

    def drop(self) -> None:
        """Go away at once, with all streams."""
        drop(self._writer)

    def _flush(self) -> None:
        if data := self.h2.data_to_send():
            self._writer.write(data)

    async def run(self) -> None:
        try:
            while data := await self._reader.read(65536):
                for event in self.h2.receive_data(self._received(data)):
                    self._take(event)
                self._flush()
                self._moved.set()
        except (ConnectionError, ssl.SSLError, h2.exceptions.ProtocolError):
            pass
        finally:
            self.is_over.set()
            self._moved.set()
            for reply in self.replies.values():
                reply.begun.set()
                reply.ended.set()

    def _received(self, data: bytes) -> bytes:
        """Return what the library is to see of what came."""
        return data

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = int(event.error_code or 0)
            return
        if isinstance(event, h2.events.PingAckReceived):
            self._pongs += 1
            return
        reply = self.replies.get(getattr(event, "stream_id", None) or 0)
        if reply is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            reply.fields = [(str(k), str(v)) for k, v in event.headers]
            reply.status = int(reply[":status"])
            reply.begun.set()
        elif isinstance(event, h2.events.InformationalResponseReceived):
            reply.interims.append([(str(k), str(v)) for k, v in event.headers])
            self._moved.set()
        elif isinstance(event, h2.events.TrailersReceived):
            reply.trailers = [(str(k), str(v)) for k, v in event.headers]
        elif isinstance(event, h2.events.DataReceived):
            reply.body += event.data
            reply.first_byte.set()
            if self.grants_windows:
                self.h2.acknowledge_received_data(event.flow_controlled_length, reply.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            reply.is_whole = True
            reply.ended.set()
        elif isinstance(event, h2.events.StreamReset):
            reply.error_code = int(event.error_code)
            reply.begun.set()
            reply.ended.set()


@asynccontextmanager
async def h2_client(
    port: int,
    ca_file: Path,
    *,
    name: str = "localhost",
    window: int = 2**24,
    context: ssl.SSLContext | None = None,
    make: type[H2Client] = H2Client,
):
    """Connect to a PoP on loopback and run the connection until the block ends.

    `context` is one that many connections share, in place of one made for this one; `make` is the
    kind of client.
    """
    if context is None:
        context = ssl.create_default_context(cafile=str(ca_file))
        context.set_alpn_protocols(["h2"])
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname=name
        )
    client = make(reader, writer, name)
    client.h2.initiate_connection()
    client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
    client.h2.increment_flow_control_window(2**30)
    client._flush()
    runner = asyncio.get_running_loop().create_task(client.run())
    try:
        yield client
    finally:
        drop(writer)
        async with asyncio.timeout(5):
            await runner
