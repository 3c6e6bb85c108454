"""The asker's end of an exchange: what the owner of a key says, as an `OriginResponse`.

Decides nothing about caching. When the owner ends in the middle of the content the origin is asked
for the rest: its response must be the same one by its validators, and the octets that have come
already must be the same by their digest, before anything behind them is handed on (RFC 9110 section
8.8.1, RFC 9111 section 3.4).

Invariants: every wait for the owner has a deadline; content never ends without an error unless the
owner, or the origin in its place, has said that it is whole.
"""

import asyncio
import hashlib
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from edgeproxy.errors import UpstreamError
from edgeproxy.http.messages import Fields, FieldSection, Interim, first
from edgeproxy.http.trailers import trailers_of
from edgeproxy.http.upstream import Content, OriginResponse
from edgeproxy.siblings.frames import (
    PREFIX,
    Data,
    End,
    Failed,
    Frame,
    Head,
    Here,
    Hint,
    Refused,
    decode,
    measure,
)

ACCEPTED_SECONDS: Final = 2.0
"""Ours: a loop that has not looked at its line for so long is stuck, or there is none. It says that
it is there before it does anything else; on a machine that is busy that may take a second."""
SILENT_SECONDS: Final = 5.0
"""Ours: it says so every second."""

Again = Callable[[], Awaitable[OriginResponse]]


class GoneError(Exception):
    """The owner is gone, or does not do anything any more."""


class RefusedError(Exception):
    """The owner does not answer this; `reason` is a word for counters."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Line:
    """The asker's end of a stream; `close` it in every case."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._patience = ACCEPTED_SECONDS

    async def next(self) -> Frame:
        """Return the next frame that says something.

        Raises:
            GoneError: there will be none.
        """
        while True:
            try:
                async with asyncio.timeout(self._patience):
                    kind, size = measure(await self._reader.readexactly(PREFIX.size))
                    payload = await self._reader.readexactly(size)
            except (TimeoutError, OSError, EOFError) as error:
                raise GoneError from error
            self._patience = SILENT_SECONDS
            frame = decode(kind, payload)
            if not isinstance(frame, Here):
                return frame

    def close(self) -> None:
        """Let the owner know that nobody listens any more."""
        self._writer.transport.abort()


async def open_line(sock: socket.socket) -> Line:
    """Return the line over a stream, which is the line's from now on."""
    try:
        reader, writer = await asyncio.open_unix_connection(sock=sock)
    except BaseException:
        sock.close()
        raise
    return Line(reader, writer)


async def response_on(line: Line, interim: Interim | None, again: Again) -> OriginResponse:
    """Return what the owner answers; `again` asks the origin for the whole, without conditions.

    The line is the response's content's from then on.

    Raises:
        GoneError: the owner was gone before it had answered.
        RefusedError: it does not answer this.
        UpstreamError: it could get no answer either.
    """
    while True:
        match await line.next():
            case Hint(status, fields):
                if interim is not None:
                    interim(status, FieldSection(fields))
            case Head() as head:
                return OriginResponse(
                    status=head.status,
                    fields=list(head.fields),
                    body=SiblingContent(line, head, again),
                    content_length=head.content_length,
                    is_delimited=head.is_delimited,
                    request_time=head.request_time,
                    response_time=head.response_time,
                )
            case Failed() as failed:
                raise failed.error()
            case Refused(reason):
                raise RefusedError(reason)
            case frame:
                raise GoneError(f"{frame!r} where a head should be")


class SiblingContent:
    """The content as it comes from the owner, then from the origin if need be; iterated once.

    `is_kept_elsewhere` tells that all of it came from the owner, who has told the disk.
    """

    def __init__(self, line: Line, head: Head, again: Again) -> None:
        self._line = line
        self._head = head
        self._again = again
        self._digest = hashlib.sha256()
        self._length = 0
        self._rest: Content | None = None
        self._is_done = False
        self.trailers: Fields = ()

    @property
    def is_kept_elsewhere(self) -> bool:
        """Whether the owner has had the whole."""
        return self._rest is None

    def __aiter__(self) -> "SiblingContent":
        return self

    async def __anext__(self) -> bytes:
        if self._is_done:
            raise StopAsyncIteration
        try:
            octets = await self._next()
        except BaseException:
            await self.aclose()
            raise
        if octets is None:
            await self.aclose()
            raise StopAsyncIteration
        return octets

    async def aclose(self) -> None:
        """Give up what is not read yet."""
        self._is_done = True
        self._line.close()
        if self._rest is not None:
            await self._rest.aclose()

    async def _next(self) -> bytes | None:
        """Return the next piece, None at the proven end."""
        if self._rest is not None:
            return await self._next_of(self._rest)
        try:
            frame = await self._line.next()
        except GoneError:
            return await self._resume()
        match frame:
            case Data(octets):
                self._digest.update(octets)
                self._length += len(octets)
                return octets
            case End(trailers):
                self.trailers = trailers
                return None
            case Failed() as failed:
                raise failed.error()
            case _:
                return await self._resume()

    async def _next_of(self, rest: Content) -> bytes | None:
        octets = await anext(aiter(rest), None)
        if octets is None:
            self.trailers = trailers_of(rest)
        return octets

    async def _resume(self) -> bytes | None:
        """Go on with the origin's own response, behind what has come already."""
        self._line.close()
        response = await self._again()
        self._rest = response.body
        if not self._is_same(response):
            raise _broken("its owner is gone, and the origin has another one now")
        seen, left = hashlib.sha256(), self._length
        while left:
            octets = await self._next_of(self._rest)
            if octets is None:
                raise _broken("its owner is gone, and the origin's is shorter")
            seen.update(octets[:left])
            rest, left = octets[left:], max(0, left - len(octets))
            if left:
                continue
            if seen.digest() != self._digest.digest():
                raise _broken("its owner is gone, and the origin's begins otherwise")
            if rest:
                return rest
        return await self._next_of(self._rest)

    def _is_same(self, response: OriginResponse) -> bool:
        """Tell whether the origin's response is certainly the one that has begun.

        Of what has no validator nobody can say that, unless nothing of it has come yet.
        """
        head = self._head
        if response.status != head.status or response.content_length != head.content_length:
            return False
        for name in (b"etag", b"last-modified", b"content-encoding", b"content-type"):
            if first(response.fields, name) != first(head.fields, name):
                return False
        return self._length == 0 or self._has_validator()

    def _has_validator(self) -> bool:
        etag = first(self._head.fields, b"etag")
        if etag is not None:
            return not etag.startswith(b"W/")
        return first(self._head.fields, b"last-modified") is not None


def _broken(detail: str) -> UpstreamError:
    return UpstreamError("http_response_incomplete", 502, detail)
