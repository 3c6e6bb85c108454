"""A real HTTP/1.1 client over TLS for scenarios: it reads only as far as it is told.

It parses by hand and in few lines, so that it shares no code with the product and can tell a
response that was cut from one that ended.
"""

import asyncio
import ssl
from collections.abc import Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.transports import drop

Fields = list[tuple[str, str]]

PATIENCE_SECONDS = 60  # never awaited where things work: it turns a hang into a failure


class CutError(Exception):
    """The connection ended before the response did."""


@dataclass
class Reply:
    """A response whose content is read piece by piece; `body` is what was read."""

    status: int
    fields: Fields
    is_head: bool
    _reader: asyncio.StreamReader
    body: bytearray = field(default_factory=bytearray)
    is_whole: bool = False
    trailers: Fields = field(default_factory=list)
    _left: int = 0

    def __getitem__(self, name: str) -> str:
        return ", ".join(value for key, value in self.fields if key == name)

    async def piece(self) -> bytes:
        """Return the next piece, b"" at the end that the framing promised."""
        if self.is_whole:
            return b""
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                data = await self._next()
            except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError) as error:
                raise CutError from error
        self.is_whole = not data
        self.body += data
        return data

    async def whole(self) -> "Reply":
        while await self.piece():
            pass
        return self

    async def _next(self) -> bytes:
        if self.is_head or self.status in {204, 304}:
            return b""
        if self["transfer-encoding"]:
            return await self._chunk()
        if not self["content-length"]:
            return await self._reader.read(65536)
        if not (left := int(self["content-length"]) - len(self.body)):
            return b""
        if data := await self._reader.read(min(left, 65536)):
            return data
        raise asyncio.IncompleteReadError(b"", left)

    async def _chunk(self) -> bytes:
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        data = await self._reader.readexactly(size)
        while line := (await self._reader.readuntil(b"\r\n"))[:-2].decode("latin-1"):
            assert not size
            name, _, value = line.partition(":")
            self.trailers.append((name, value.strip()))
        return data


class H1Client:
    """One connection; requests may be sent ahead, replies come in order."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str
    ) -> None:
        self._reader, self.writer, self._authority = reader, writer, authority
        self._methods: list[str] = []

    async def get(self, path: str, fields: Iterable[tuple[str, str]] = ()) -> Reply:
        self.send("GET", path, fields)
        return await (await self.reply()).whole()

    def send(
        self,
        method: str,
        path: str,
        fields: Iterable[tuple[str, str]] = (),
        *,
        body: bytes = b"",
        authority: str = "",
    ) -> None:
        lines = [("host", authority or self._authority), *fields]
        if body:
            lines.append(("content-length", str(len(body))))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines)
        self._methods.append(method)
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)

    async def reply(self) -> Reply:
        """Return the next response, interim ones too, as soon as its fields are there."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                head = await self._reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError) as error:
                raise CutError from error
        first, *lines = head[:-4].decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        fields = [(name.lower(), value.strip()) for name, _, value in pairs]
        status = int(first.split(" ")[1])
        method = self._methods[0] if status < 200 else self._methods.pop(0)
        return Reply(status, fields, method == "HEAD", self._reader)

    def drop(self) -> None:
        """Go away at once."""
        drop(self.writer)

    async def closed(self) -> bytes:
        """Wait for the end of the connection; return what came before it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                return await self._reader.read()
            except (ConnectionError, ssl.SSLError):
                return b""


@asynccontextmanager
async def h1_client(
    port: int, ca_file: Path, *, name: str = "localhost", context: ssl.SSLContext | None = None
):
    """Connect to a PoP on loopback; leaving the block drops the connection at once.

    `context` is one that many connections share, in place of one made for this one.
    """
    if context is None:
        context = ssl.create_default_context(cafile=str(ca_file))
        context.set_alpn_protocols(["http/1.1"])
    async with asyncio.timeout(PATIENCE_SECONDS):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname=name
        )
    try:
        yield H1Client(reader, writer, name)
    finally:
        drop(writer)
