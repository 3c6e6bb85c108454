"""An origin that says what its script says, byte by byte, over a real socket.

    async with ScriptedOrigin(ca.issue("origin.test").server_context()) as origin:
        origin.on("GET", "/a").reply(200, body=b"x", cache_control="max-age=60").hold(barrier)
        origin.on("GET", "/b").raw(b"HTTP/1.1 200 OK\r\n", b"content-length: 1\r\n\r\nx")
        ...
        assert origin.requests == 1
        assert origin.received[0].head.startswith(b"GET /a HTTP/1.1\r\n")

Several answers to one target are given in turn; the last one repeats. HTTP/1.1 with keep-alive,
plain or over TLS; it knows no HTTP library, so it can also say what no library would. Without a
socket, use `tests/support/upstream.py`, whose scripts read the same.
"""

import asyncio
import socket
import ssl
import struct
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edgeproxy.http.messages import Field, first
from edgeproxy.origin.settings import OriginSettings
from tests.support.barrier import Barrier, settle
from tests.support.transports import drop


@dataclass(frozen=True)
class ReceivedRequest:
    """One request as it came: `head` with its empty line, field names as they were written."""

    head: bytes
    method: str
    target: str
    fields: list[Field]
    body: bytes
    connection: int
    trailers: list[Field] = field(default_factory=list)

    def values(self, name: bytes) -> list[bytes]:
        """Every line's value of that lower-case name, in order."""
        return [value for key, value in self.fields if key.lower() == name]


@dataclass
class Reply:
    """One scripted answer; the methods read as its story."""

    segments: list[bytes] = field(default_factory=list)
    status: int = 200
    fields: list[Field] = field(default_factory=list)
    is_raw: bool = False
    has_length: bool = True
    is_chunked: bool = False
    trailers: list[Field] = field(default_factory=list)
    is_last: bool = False
    before: Barrier | None = None
    before_content: Barrier | None = None
    pauses: dict[int, Barrier] = field(default_factory=dict)
    cut_after: int | None = None
    is_reset: bool = False
    is_early: bool = False
    extra: bytes = b""

    def hold(self, barrier: Barrier) -> Self:
        """Answer nothing until the barrier opens."""
        self.before = barrier
        return self

    def unread(self, barrier: Barrier) -> Self:
        """Read no content of the request until the barrier opens."""
        self.before_content = barrier
        return self

    def pause(self, after: int, barrier: Barrier) -> Self:
        """Wait in the middle: after that many chunks (of a raw answer: segments)."""
        self.pauses[after] = barrier
        return self

    def cut(self, after: int, *, reset: bool = False) -> Self:
        """Break the connection after that many chunks, by a FIN or by a reset."""
        self.cut_after = after
        self.is_reset = reset
        return self

    def chunked(self) -> Self:
        """Use the chunked coding instead of Content-Length."""
        self.has_length, self.is_chunked = False, True
        return self

    def trailed(self, *trailers: Field) -> Self:
        """Use the chunked coding, and send those lines behind the content."""
        self.trailers = list(trailers)
        return self.chunked()

    def until_close(self) -> Self:
        """Announce no length: the content ends with the connection."""
        self.has_length, self.is_last = False, True
        return self

    def early(self) -> Self:
        """Answer after the fields of the request, and never read its content."""
        self.is_early = True
        return self

    def closing(self) -> Self:
        """Say `connection: close` and do so."""
        self.fields.append((b"connection", b"close"))
        self.is_last = True
        return self

    def followed_by(self, extra: bytes) -> Self:
        """Send octets after the response that nobody asked for."""
        self.extra = extra
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
        """Answer well-formed; `cache_control="no-store"` is a field."""
        lines = [
            (name.replace("_", "-").encode(), value.encode("latin-1"))
            for name, value in named.items()
        ]
        segments = [body] if isinstance(body, bytes) else body
        return self._add(Reply(segments, status, [*lines, *(fields or [])]))

    def raw(self, *segments: bytes) -> Reply:
        """Answer exactly these octets, each in a segment of its own."""
        return self._add(Reply(list(segments), is_raw=True))

    def drop(self, *, reset: bool = False) -> Reply:
        """Close the connection instead of answering."""
        return self.raw().cut(0, reset=reset)

    def next(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def _add(self, reply: Reply) -> Reply:
        self.replies.append(reply)
        return reply


class ScriptedOrigin:
    """An async context manager; leaving it fails the test if something unscripted was asked.

    With `babble` it answers the first octet of anything with that, and closes.
    """

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        *,
        host: str = "127.0.0.1",
        babble: bytes | None = None,
    ) -> None:
        self._tls = tls
        self._host = host
        self._babble = babble
        self._routes: dict[tuple[str, str], Route] = {}
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.StreamWriter] = set()
        self._unscripted: list[str] = []
        self.received: list[ReceivedRequest] = []
        self.connections = 0
        self.port = 0

    @property
    def requests(self) -> int:
        return len(self.received)

    @property
    def open_connections(self) -> int:
        return len(self._open)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self._host}:{self.port}"

    def settings(self, ca_file: Path | None = None, **chosen: Any) -> OriginSettings:
        """Return settings that reach this origin, impatient enough for a test."""
        defaults: dict[str, Any] = {
            "name": "scripted",
            "url": self.url,
            "host": "origin.test",
            "connect_timeout_seconds": 5.0,
            "first_byte_timeout_seconds": 5.0,
            "between_bytes_timeout_seconds": 5.0,
        }
        return OriginSettings(ca_file=ca_file, **{**defaults, **chosen})

    def on(self, method: str, target: str) -> Route:
        return self._routes.setdefault((method, target), Route())

    async def asked_for(self, count: int) -> None:
        """Wait until that many requests have arrived."""
        await self._until(lambda: self.requests >= count)

    async def connections_closed(self) -> None:
        """Wait until no connection is open."""
        await self._until(lambda: not self._open)

    async def say(self, octets: bytes) -> None:
        """Send octets that belong to no response, on every open connection."""
        for writer in self._open:
            writer.write(octets)
        await settle()

    def hang_up(self) -> None:
        """Close every open connection at once."""
        for writer in list(self._open):
            drop(writer)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        self.hang_up()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()
        if error is None and self._unscripted:
            raise AssertionError(f"unscripted: {self._unscripted}")

    async def _until(self, condition: Any) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        self.connections += 1
        try:
            await self._converse(reader, writer, self.connections)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass  # the peer is gone
        except asyncio.CancelledError:
            pass  # the test is over; streams would report it as an error
        finally:
            writer.close()
            self._open.discard(writer)
            self._tasks.discard(task)
            self._changed.set()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        if self._babble is not None:
            await reader.readexactly(1)
            writer.write(self._babble)
            return
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, fields = _parsed(head)
            route = self._routes.get((method, target))
            reply = route.next() if route is not None else None
            if reply is not None and reply.before_content is not None:
                await reply.before_content.passed()
            body, trailers = b"", list[Field]()
            if reply is None or not reply.is_early:
                body = await _read_content(reader, fields, trailers)
            request = ReceivedRequest(head, method, target, fields, body, number, trailers)
            self.received.append(request)
            self._changed.set()
            if reply is None:
                self._unscripted.append(f"{method} {target}")
                return
            if reply.before is not None:
                await _held(reply.before, None if reply.is_early else reader)
            if not await _play(reply, request, reader, writer):
                return
            if reply.is_early:
                await reader.read()
                return


def _parsed(head: bytes) -> tuple[str, str, list[Field]]:
    line, *rest = head[:-4].split(b"\r\n")
    method, target, _version = line.decode("latin-1").split(" ")
    fields = [(name, value.strip(b" ")) for name, _, value in (x.partition(b":") for x in rest)]
    return method, target, fields


async def _read_content(
    reader: asyncio.StreamReader, fields: list[Field], trailers: list[Field]
) -> bytes:
    """Read the content by Content-Length or chunks."""
    lowered = [(name.lower(), value) for name, value in fields]
    if first(lowered, b"transfer-encoding") is not None:
        return await _read_chunks(reader, trailers)
    return await reader.readexactly(int(first(lowered, b"content-length") or 0))


async def _read_chunks(reader: asyncio.StreamReader, trailers: list[Field]) -> bytes:
    chunks = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        chunks.append(await reader.readexactly(size))
        assert await reader.readexactly(2) == b"\r\n"
    while line := (await reader.readuntil(b"\r\n"))[:-2]:
        name, _, value = line.partition(b":")
        trailers.append((name, value.strip(b" ")))
    return b"".join(chunks)


async def _held(barrier: Barrier, reader: asyncio.StreamReader | None) -> None:
    """Wait for the barrier, or raise once the peer has gone (if it may be read from)."""
    if reader is None:
        await barrier.passed()
        return
    passed = asyncio.ensure_future(barrier.passed())
    gone = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait({passed, gone}, return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            assert not gone.result(), "this origin expects no pipelining"
            raise ConnectionResetError
    finally:
        for task in (passed, gone):
            task.cancel()
        await asyncio.wait({passed, gone})


async def _play(
    reply: Reply,
    request: ReceivedRequest,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> bool:
    """Say the answer; return whether the connection goes on."""
    if not reply.is_raw:
        writer.write(_head(reply))
    listened = None if reply.is_early else reader
    has_content = reply.is_raw or (request.method != "HEAD" and reply.status not in {204, 304})
    for number, segment in enumerate(reply.segments if has_content else []):
        if number in reply.pauses:
            await _held(reply.pauses[number], listened)
        if number == reply.cut_after:
            break
        writer.write(_chunk(segment) if reply.is_chunked else segment)
        await writer.drain()
        await settle(5)  # a segment of its own, not joined with the next one
    else:
        if len(reply.segments) in reply.pauses:
            await _held(reply.pauses[len(reply.segments)], listened)
        if reply.is_chunked and has_content and reply.cut_after is None:
            lines = b"".join(b"%b: %b\r\n" % line for line in reply.trailers)
            writer.write(b"0\r\n%b\r\n" % lines)
    if reply.cut_after is not None:
        if reply.is_reset:
            _reset(writer)
        return False
    writer.write(reply.extra)
    await writer.drain()
    return not reply.is_last


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the kernel sends RST, not FIN."""
    at_once = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    drop(writer)


def _head(reply: Reply) -> bytes:
    fields = list(reply.fields)
    if reply.is_chunked:
        fields.append((b"transfer-encoding", b"chunked"))
    elif reply.has_length and reply.status not in {204, 304}:
        fields.append((b"content-length", b"%d" % sum(map(len, reply.segments))))
    lines = b"".join(b"%b: %b\r\n" % line for line in fields)
    return b"HTTP/1.1 %d Scripted\r\n%b\r\n" % (reply.status, lines)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
