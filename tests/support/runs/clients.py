"""Clients of the long runs: connections of one process, which believe nothing that they can check.

    clients = Clients(port, ca_file)
    async with clients.connection("h2") as client:
        reply = await ask(client, "/o/1/1000")

What may rightly fail where a process is killed is a `BrokenError`; what may not is something else.
"""

import asyncio
import ssl
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Literal

import h2.exceptions

from tests.support.h1_client import CutError, H1Client, h1_client
from tests.support.h1_client import Reply as H1Reply
from tests.support.h2_client import H2Client, StreamBrokenError, h2_client
from tests.support.h2_client import Reply as H2Reply
from tests.support.runs.content import Thing, judge

Protocol = Literal["h1", "h2"]
Reply = H1Reply | H2Reply

_GOAWAY = 7
_REFUSED_STREAM = 7
_HEAD_BYTES = 9
_ALPN = {"h1": "http/1.1", "h2": "h2"}


class BrokenError(Exception):
    """The connection ended before the response was whole."""


class UnansweredError(BrokenError):
    """The edge did nothing about a request, and it may be asked again (RFC 9110 section 9.2.2).

    Over HTTP/2 a GOAWAY said so; an HTTP/1.1 connection that was in use ended at a moment between
    two responses.
    """


class LeavingH2Client(H2Client):
    """A client that finishes what it began when the edge says GOAWAY.

    `h2` takes GOAWAY for the end of everything, so it is not shown any.
    """

    last_stream = 2**31 - 1
    _unread = b""

    def _received(self, data: bytes) -> bytes:
        """Take GOAWAY out of what came (RFC 9113 section 6.8); the last piece of it waits."""
        self._unread += data
        kept = bytearray()
        while len(self._unread) >= _HEAD_BYTES:
            end = _HEAD_BYTES + int.from_bytes(self._unread[:3], "big")
            if len(self._unread) < end:
                break
            frame, self._unread = self._unread[:end], self._unread[end:]
            if frame[3] == _GOAWAY:
                self._told_to_leave(frame[_HEAD_BYTES:])
            else:
                kept += frame
        return bytes(kept)

    def _told_to_leave(self, payload: bytes) -> None:
        self.last_stream = int.from_bytes(payload[:4], "big")
        self.goaway = int.from_bytes(payload[4:8], "big")
        for stream_id, reply in self.replies.items():
            if stream_id > self.last_stream:
                reply.ended.set()


class StatusError(Exception):
    """An answer that is none: the edge says that it cannot."""


Client = H1Client | LeavingH2Client


class Clients:
    """Makes connections; their TLS contexts are made once."""

    def __init__(self, port: int, ca_file: Path) -> None:
        self.port = port
        self._ca_file = ca_file
        self._contexts = {}
        for protocol, name in _ALPN.items():
            context = ssl.create_default_context(cafile=str(ca_file))
            context.set_alpn_protocols([name])
            self._contexts[protocol] = context

    def connection(self, protocol: Protocol, **options: int) -> AbstractAsyncContextManager[Client]:
        context = self._contexts[protocol]
        if protocol == "h1":
            return h1_client(self.port, self._ca_file, context=context)
        return h2_client(self.port, self._ca_file, context=context, make=LeavingH2Client, **options)


async def ask(
    client: Client, path: str, fields: tuple[tuple[str, str], ...] = (), *, method: str = "GET"
) -> Reply:
    """Ask and read all of it."""
    if isinstance(client, H1Client):
        return await _ask_h1(client, path, fields, method)
    return await whole(client, begin(client, path, fields, method=method))


def begin(
    client: LeavingH2Client,
    path: str,
    fields: tuple[tuple[str, str], ...] = (),
    *,
    method: str = "GET",
) -> H2Reply:
    """Ask on a connection of HTTP/2 that nobody has taken leave on."""
    if client.is_over.is_set() or client.goaway is not None:
        raise UnansweredError("before it was asked")
    try:
        return client.send(method, path, fields)
    except h2.exceptions.ProtocolError as error:
        raise BrokenError(repr(error)) from None


async def whole(client: LeavingH2Client, reply: H2Reply) -> H2Reply:
    """Wait for all of a response."""
    try:
        return await reply.whole()
    except StreamBrokenError as error:
        if reply.stream_id > client.last_stream or reply.error_code == _REFUSED_STREAM:
            raise UnansweredError(repr(error)) from None
        raise BrokenError(f"{error!r}, {reply.status}, {len(reply.body)} octets") from None
    finally:
        client.replies.pop(reply.stream_id, None)


async def _ask_h1(
    client: H1Client, path: str, fields: tuple[tuple[str, str], ...], method: str
) -> H1Reply:
    is_first = not hasattr(client, "is_used")
    client.is_used = True
    try:
        client.send(method, path, fields)
        return await (await client.reply()).whole()
    except (CutError, ConnectionError, ssl.SSLError) as error:
        cause = error.__cause__
        if not is_first and isinstance(cause, asyncio.IncompleteReadError) and not cause.partial:
            raise UnansweredError(repr(error)) from None
        raise BrokenError(f"{error!r} {cause!r}") from None


def check(thing: Thing, reply: Reply) -> None:
    """Raise unless that is a whole and right answer."""
    if reply.status != 200:
        raise StatusError(f"{thing.path}: status {reply.status}")
    judge(thing, reply["etag"], reply.body)
