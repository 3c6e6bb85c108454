"""Many HTTP/2 requests for one thing at once: reads a gigabyte in seconds, and keeps none of it.

Frames are taken apart by hand, bodies only digested; field sections go through `hpack`. A crowd
never holds anybody back: its windows are as large as RFC 9113 allows. For a client that can do
more, use `h2_client.py`.
"""

import asyncio
import hashlib
import ssl
import struct
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hpack import Decoder, Encoder

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, PRIORITY = 0x4, 0x8, 0x20
INITIAL_WINDOW_SIZE = 4
WINDOW_MAX = 2**31 - 1
PATIENCE_SECONDS = 60


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream_id.to_bytes(4) + payload


@dataclass
class Member:
    """One of the crowd, and what it got."""

    fields: list[tuple[str, str]] = field(default_factory=list)
    size: int = 0
    is_whole: bool = False
    error_code: int | None = None
    _hash: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def __getitem__(self, name: str) -> str:
        return ", ".join(value for key, value in self.fields if key == name)

    @property
    def digest(self) -> bytes:
        return self._hash.digest()

    def take(self, data: memoryview) -> None:
        self.size += len(data)
        self._hash.update(data)


class Line(asyncio.Protocol):
    """One connection of the crowd; `goaways` are last stream and error code of each."""

    def __init__(self, changed: asyncio.Event) -> None:
        self._changed = changed
        self._rest = b""
        self._decoder = Decoder()
        self.members: dict[int, Member] = {}
        self.goaways: list[tuple[int, int]] = []
        self.is_heard = False
        self.is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        wide = struct.pack("!HL", INITIAL_WINDOW_SIZE, WINDOW_MAX)
        transport.write(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + frame(SETTINGS, 0, 0, wide)
            + frame(WINDOW_UPDATE, 0, 0, struct.pack("!L", WINDOW_MAX - 65535))
        )

    def ask(self, count: int, authority: str, path: str, *, accepting: str = "") -> None:
        """Send that many requests and a PING, whose answer says that they were read."""
        fields = [
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", authority),
            (":path", path),
            *([("accept-encoding", accepting)] if accepting else []),
        ]
        encoder = Encoder()
        for stream_id in range(1, 2 * count, 2):
            self.members[stream_id] = Member()
            block = encoder.encode(fields)
            self.transport.write(frame(HEADERS, END_HEADERS | END_STREAM, stream_id, block))
        self.transport.write(frame(PING, 0, 0, b"all sent"))

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        view, at = memoryview(data), 0
        while len(data) - at >= 9:
            stop = at + 9 + int.from_bytes(view[at : at + 3])
            if stop > len(data):
                break
            stream_id = int.from_bytes(view[at + 5 : at + 9])
            self._take(data[at + 3], data[at + 4], stream_id, view[at + 9 : stop])
            at = stop
        self._rest = data[at:]
        self._changed.set()

    def _take(self, kind: int, flags: int, stream_id: int, payload: memoryview) -> None:
        if kind == SETTINGS and not flags & ACK:
            self.transport.write(frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and flags & ACK:
            self.is_heard = True
        elif kind == GOAWAY:
            self.goaways.append((int.from_bytes(payload[:4]), int.from_bytes(payload[4:8])))
        member = self.members.get(stream_id)
        if member is None:
            return
        if kind == HEADERS:
            assert flags & END_HEADERS
            assert not flags & (PADDED | PRIORITY)
            member.fields += self._decoder.decode(bytes(payload))
        elif kind == DATA:
            assert not flags & PADDED
            member.take(payload)
        elif kind == RST_STREAM:
            member.error_code = int.from_bytes(payload)
        if kind in {HEADERS, DATA} and flags & END_STREAM:
            member.is_whole = True

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_over = True
        self._changed.set()


class Crowd:
    """All connections together; each wait ends by what arrives."""

    def __init__(self, lines: list[Line], changed: asyncio.Event) -> None:
        self.lines = lines
        self._changed = changed

    @property
    def members(self) -> list[Member]:
        return [member for line in self.lines for member in line.members.values()]

    async def heard(self) -> None:
        """Wait until the edge has read every request."""
        await self._until(lambda: all(line.is_heard for line in self.lines))

    async def told_to_go(self) -> None:
        """Wait until every connection has got GOAWAY."""
        await self._until(lambda: all(line.goaways for line in self.lines))

    async def first_bytes(self) -> None:
        """Wait until everybody has some content."""
        await self._until(lambda: all(member.size for member in self.members))

    async def closed(self) -> None:
        """Wait until the edge has closed every connection."""
        await self._until(lambda: all(line.is_over for line in self.lines))

    async def ended(self) -> None:
        """Wait until everybody's response has ended, well or badly."""
        await self._until(
            lambda: all(
                line.is_over
                or all(member.is_whole or member.error_code is not None for member in people)
                for line, people in ((line, line.members.values()) for line in self.lines)
            )
        )

    async def _until(self, condition) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def h2_crowd(
    port: int,
    ca_file: Path,
    path: str,
    *,
    connections: int,
    streams: int,
    name: str = "localhost",
    accepting: str = "",
):
    """Connect, ask `connections` times `streams` times, and hang up when the block ends."""
    context = ssl.create_default_context(cafile=str(ca_file))
    context.set_alpn_protocols(["h2"])
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        lines = []
        for _ in range(connections):
            transport, line = await loop.create_connection(
                lambda: Line(changed), "127.0.0.1", port, ssl=context, server_hostname=name
            )
            stack.callback(transport.abort)
            lines.append(line)
        for line in lines:
            line.ask(streams, name, path, accepting=accepting)
        yield Crowd(lines, changed)
