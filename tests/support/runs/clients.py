"""Clients of the long runs: connections of one process, which believe nothing that they can check.

    clients = Clients(port, ca_file)
    async with clients.connection("h2") as client:
        reply = await ask(client, "/o/1/1000")

What may rightly fail where a process is killed is a `BrokenError`; what may not is something else.
"""

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
Client = H1Client | H2Client
Reply = H1Reply | H2Reply

_ALPN = {"h1": "http/1.1", "h2": "h2"}


class BrokenError(Exception):
    """The connection ended before the response was whole."""


class StatusError(Exception):
    """An answer that is none: the edge says that it cannot."""


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

    def connection(
        self, protocol: Protocol, **options: int
    ) -> AbstractAsyncContextManager[H1Client | H2Client]:
        make = h1_client if protocol == "h1" else h2_client
        context = self._contexts[protocol]
        return make(self.port, self._ca_file, context=context, **options)


async def ask(
    client: Client, path: str, fields: tuple[tuple[str, str], ...] = (), *, method: str = "GET"
) -> Reply:
    """Ask and read all of it."""
    if isinstance(client, H2Client) and (client.is_over.is_set() or client.goaway is not None):
        raise BrokenError("before it was asked")
    try:
        if isinstance(client, H1Client):
            client.send(method, path, fields)
            return await (await client.reply()).whole()
        reply = client.send(method, path, fields)
        client.replies.pop(reply.stream_id - 200, None)  # those are over long ago
        return await reply.whole()
    except (CutError, StreamBrokenError, OSError, h2.exceptions.ProtocolError) as error:
        if isinstance(error, TimeoutError):
            raise
        raise BrokenError(repr(error)) from None


def check(thing: Thing, reply: Reply) -> None:
    """Raise unless that is a whole and right answer."""
    if reply.status != 200:
        raise StatusError(f"{thing.path}: status {reply.status}")
    judge(thing, reply["etag"], reply.body)
