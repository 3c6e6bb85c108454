"""An origin that reads requests by the letter of RFC 9112, and says so where it cannot.

    async with StrictOrigin(tls) as origin:
        ...
        assert origin.faults == []
        assert [request.target for request in origin.received] == [b"/a"]

Its parser is written from the grammar and shares no code with the product, the other test clients
or any library. Whatever two parsers might read differently is a fault, and so is an octet behind a
request that has not been answered yet: the edge never pipelines. It answers every request with all
that it was told, in the content and in a field, and calls that cacheable: an origin that is as
careless as can be.
"""

import asyncio
import re
import ssl
from dataclasses import dataclass
from hashlib import sha256
from types import TracebackType
from typing import Self

from tests.support.barrier import settle
from tests.support.transports import drop

_TCHAR = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_LINE = re.compile(rb"(" + _TCHAR + rb"+) (/[\x21\x22\x24-\x7e]*|\*) HTTP/1\.1")
_FIELD = re.compile(rb"(" + _TCHAR + rb"+):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[ \t]*))*)")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_CHUNK = re.compile(rb"[0-9A-Fa-f]{1,12}")
_HEAD_BYTES_MAX = 64 * 1024


class FramingError(Exception):
    """The octets are not one well-formed request."""


@dataclass(frozen=True)
class StrictRequest:
    """One request, read by the letter; `octets` is all of it as it came."""

    octets: bytes
    method: bytes
    target: bytes
    fields: list[tuple[bytes, bytes]]
    content: bytes

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.fields if key.lower() == name]


def parsed_head(head: bytes) -> tuple[bytes, bytes, list[tuple[bytes, bytes]]]:
    """Read a head with its empty line; raise FramingError for anything but the strict grammar."""
    if re.search(rb"(?<!\r)\n|\r(?!\n)", head):
        raise FramingError("a bare CR or LF")
    line, *rest = head[:-4].split(b"\r\n")
    first = _LINE.fullmatch(line)
    if first is None:
        raise FramingError(f"request line {line!r}")
    fields = []
    for each in rest:
        match = _FIELD.fullmatch(each)
        if match is None:
            raise FramingError(f"field line {each!r}")
        fields.append((match[1], match[2].rstrip(b" \t")))
    names = [name.lower() for name, _ in fields]
    if names.count(b"host") != 1:
        raise FramingError("not one Host")
    if names.count(b"content-length") + names.count(b"transfer-encoding") > 1:
        raise FramingError("two framings")
    return first[1], first[2], fields


async def read_request(reader: asyncio.StreamReader) -> StrictRequest | None:
    """Read one request; None at the end of the connection between two."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise FramingError(f"a head that was cut: {error.partial!r}") from error
        return None
    method, target, fields = parsed_head(head)
    lowered = {name.lower(): value for name, value in fields}
    octets, content = head, b""
    if (length := lowered.get(b"content-length")) is not None:
        if not _LENGTH.fullmatch(length):
            raise FramingError(f"length {length!r}")
        content = await reader.readexactly(int(length))
        octets += content
    elif (coding := lowered.get(b"transfer-encoding")) is not None:
        if coding != b"chunked":
            raise FramingError(f"transfer coding {coding!r}")
        read, content = await _read_chunks(reader)
        octets += read
    if content and method in {b"GET", b"HEAD"}:
        raise FramingError("content on GET")
    return StrictRequest(octets, method, target, fields, content)


async def _read_chunks(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    octets, content = b"", b""
    while True:
        line = await reader.readuntil(b"\r\n")
        if not _CHUNK.fullmatch(line[:-2]):
            raise FramingError(f"chunk size {line!r}")
        size = int(line, 16)
        octets += line
        if not size:
            break
        chunk = await reader.readexactly(size + 2)
        if chunk[-2:] != b"\r\n":
            raise FramingError("a chunk that is longer than it says")
        octets, content = octets + chunk, content + chunk[:-2]
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        if not _FIELD.fullmatch(line[:-2]):
            raise FramingError(f"trailer line {line!r}")
        octets += line
    return octets + b"\r\n", content


def check_nothing_waits(reader: asyncio.StreamReader) -> None:
    """Raise FramingError if there are octets behind a request that was not answered yet."""
    waiting = bytes(reader._buffer)  # type: ignore[attr-defined]
    if waiting:
        raise FramingError(f"octets behind a request: {waiting!r}")


class StrictOrigin:
    """An async context manager.

    `fields` are the lines of every answer beside the reflection, and an ETag of the content. While
    `confirms`, it answers all conditions with a 304 that reflects, too.
    """

    def __init__(self, tls: ssl.SSLContext, fields: bytes = b"") -> None:
        self._tls = tls
        self.fields = fields
        self.confirms = False
        self.received: list[StrictRequest] = []
        self.faults: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def requests(self) -> int:
        return len(self.received)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", 0, ssl=self._tls, limit=_HEAD_BYTES_MAX
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for writer in list(self._open):
            drop(writer)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            while (request := await read_request(reader)) is not None:
                self.received.append(request)
                await settle(2)  # what was smuggled behind it would be there by now
                check_nothing_waits(reader)
                writer.write(self._answer(request))
                await writer.drain()
        except FramingError as error:
            self.faults.append(str(error))
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass  # the edge broke off what a client broke off
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            writer.close()
            self._open.discard(writer)
            self._tasks.discard(task)

    def _answer(self, request: StrictRequest) -> bytes:
        told = b" | ".join(b"%b: %b" % line for line in request.fields)
        lines = self.fields + b"x-echo: %b\r\n" % told
        for origin in request.values(b"origin"):
            lines += b"access-control-allow-origin: %b\r\n" % origin
        if self.confirms and (known := request.values(b"if-none-match")):
            return b"HTTP/1.1 304 Not Modified\r\n%betag: %b\r\n\r\n" % (lines, known[0])
        content = request.target + b"\n" + told
        lines += b'etag: "%b"\r\n' % sha256(content).hexdigest().encode()
        head = b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n" % (lines, len(content))
        return head + (b"" if request.method == b"HEAD" else content)
