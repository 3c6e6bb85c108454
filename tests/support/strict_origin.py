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

from tests.support.transports import drop

_TCHAR = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_PATH = rb"/[\x21\x22\x24-\x7e]*"
_LINE = re.compile(rb"(" + _TCHAR + rb"+) (" + _PATH + rb"|\*) HTTP/1\.1")
_LINE_TO_A_GATEWAY = re.compile(
    rb"(" + _TCHAR + rb"+) (" + _PATH + rb"|[a-z]+://[^/ ?#]+" + _PATH + rb"|\*) HTTP/1\.[01]"
)
_FIELD = re.compile(rb"(" + _TCHAR + rb"+):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[ \t]*))*)")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,12})")
_CHUNK_TO_A_GATEWAY = re.compile(rb"([0-9A-Fa-f]{1,12})(?:;[\t\x20-\x7e\x80-\xff]*)?")


class FramingError(Exception):
    """The octets are not one well-formed request."""


class UnfinishedError(Exception):
    """They are the beginning of one."""


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


class Parser:
    """Reads requests by the letter of RFC 9112.

    What a gateway's clients may write besides, and this one is not to pass on (absolute-form,
    HTTP/1.0, extensions of chunks, content on GET), is read only with `is_gateway`.
    """

    def __init__(self, octets: bytes, *, is_gateway: bool = False) -> None:
        self._octets = octets
        self._at = 0
        self._is_gateway = is_gateway
        self._line = _LINE_TO_A_GATEWAY if is_gateway else _LINE
        self._chunk = _CHUNK_TO_A_GATEWAY if is_gateway else _CHUNK

    @property
    def rest(self) -> bytes:
        """What lies behind the requests that were read."""
        return self._octets[self._at :]

    def request(self) -> StrictRequest:
        """Read one; raise UnfinishedError or FramingError, and then nothing was read."""
        start = self._at
        try:
            return self._request(start)
        except (FramingError, UnfinishedError):
            self._at = start
            raise

    def _request(self, start: int) -> StrictRequest:
        first = self._line.fullmatch(self._to_crlf())
        if first is None:
            raise FramingError(f"request line {self._octets[start : start + 80]!r}")
        fields = self._fields()
        names = [name.lower() for name, _ in fields]
        if names.count(b"host") != 1:
            raise FramingError("not one Host")
        if names.count(b"content-length") + names.count(b"transfer-encoding") > 1:
            raise FramingError("two framings")
        content = self._content({name.lower(): value for name, value in fields})
        if content and first[1] in {b"GET", b"HEAD"} and not self._is_gateway:
            raise FramingError("content on GET")
        octets = self._octets[start : self._at]
        return StrictRequest(octets, first[1], first[2], fields, content)

    def _content(self, fields: dict[bytes, bytes]) -> bytes:
        if (length := fields.get(b"content-length")) is not None:
            if not _LENGTH.fullmatch(length):
                raise FramingError(f"length {length!r}")
            return self._take(int(length))
        if (coding := fields.get(b"transfer-encoding")) is None:
            return b""
        if (coding.lower() if self._is_gateway else coding) != b"chunked":
            raise FramingError(f"transfer coding {coding!r}")
        content = b""
        while True:
            size = self._chunk.fullmatch(self._to_crlf())
            if size is None:
                raise FramingError("chunk size")
            if not int(size[1], 16):
                self._fields()
                return content
            content += self._take(int(size[1], 16))
            if self._to_crlf():
                raise FramingError("a chunk that is longer than it says")

    def _fields(self) -> list[tuple[bytes, bytes]]:
        fields = []
        while line := self._to_crlf():
            match = _FIELD.fullmatch(line)
            if match is None:
                raise FramingError(f"field line {line!r}")
            fields.append((match[1], match[2].rstrip(b" \t")))
        return fields

    def _to_crlf(self) -> bytes:
        end = self._octets.find(b"\r\n", self._at)
        line = self._octets[self._at :] if end < 0 else self._octets[self._at : end]
        if b"\n" in line or b"\r" in line.removesuffix(b"\r"):
            raise FramingError("a bare CR or LF")
        if end < 0:
            raise UnfinishedError
        self._at = end + 2
        return line

    def _take(self, size: int) -> bytes:
        content = self._octets[self._at : self._at + size]
        if len(content) < size:
            raise UnfinishedError
        self._at += size
        return content


class StrictOrigin:
    """An async context manager.

    `fields` are the lines of every answer beside an ETag of the content and, while it `reflects`,
    what it was told. While `confirms` is a tag, nothing has changed that has this tag.
    """

    def __init__(self, tls: ssl.SSLContext, fields: bytes = b"") -> None:
        self._tls = tls
        self.fields = fields
        self.confirms = b""
        self.reflects = True
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
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
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
            await self._converse(reader, writer)
        except FramingError as error:
            self.faults.append(str(error))
        except (ConnectionError, ssl.SSLError):
            pass  # the edge broke off what a client broke off
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            writer.close()
            self._open.discard(writer)
            self._tasks.discard(task)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        octets = b""
        while data := await reader.read(65536):
            octets += data
            parser = Parser(octets)
            try:
                request = parser.request()
            except UnfinishedError:
                continue
            self.received.append(request)
            if parser.rest:
                raise FramingError(f"octets behind a request: {parser.rest!r}")
            octets = b""
            writer.write(self._answer(request))
            await writer.drain()

    def _answer(self, request: StrictRequest) -> bytes:
        told = b" | ".join(b"%b: %b" % line for line in request.fields if self.reflects)
        content = request.target + b"\n" + told
        tag = self.confirms or b'"%b"' % sha256(content).hexdigest().encode()
        lines = self.fields + b"etag: %b\r\n" % tag
        if self.reflects:
            lines += b"x-echo: %b\r\n" % told
            for origin in request.values(b"origin"):
                lines += b"access-control-allow-origin: %b\r\n" % origin
        if self.confirms in request.values(b"if-none-match"):
            return b"HTTP/1.1 304 Not Modified\r\n%b\r\n" % lines
        if self.confirms:
            return b"HTTP/1.1 200 OK\r\nconnection: close\r\n%b\r\n" % lines
        head = b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n" % (lines, len(content))
        return head + (b"" if request.method == b"HEAD" else content)
