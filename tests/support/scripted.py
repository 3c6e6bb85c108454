"""Servers that say what a test tells them to: over TLS on TCP, and over QUIC with aioquic.

async with tls_script(leaf, speak, "h2") as port: ...      # async speak(reader, writer)
async with quic_server(leaf, respond) as port: ...         # respond(h3_connection, stream_id)
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated, QuicEvent

from tests.support.ca import Leaf

Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]


@contextlib.asynccontextmanager
async def tls_script(leaf: Leaf, speak: Speak, *alpn: str) -> AsyncIterator[int]:
    """Serve TLS; `speak` has each connection until it returns. Yields the port."""
    context = leaf.server_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if alpn:
        context.set_alpn_protocols(list(alpn))

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            try:
                await speak(reader, writer)
            finally:
                writer.close()
                await writer.wait_closed()

    server = await asyncio.start_server(one, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def says(octets: bytes) -> Speak:
    """Return who reads a head, says that, and goes."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(octets)
        await writer.drain()

    return speak


@contextlib.asynccontextmanager
async def quic_server(
    leaf: Leaf, respond: Callable[[H3Connection, int], object]
) -> AsyncIterator[int]:
    """Serve HTTP/3 with aioquic; `respond` answers each request. Yields the port."""

    class Server(QuicConnectionProtocol):
        http: H3Connection | None = None

        def quic_event_received(self, event: QuicEvent) -> None:
            if isinstance(event, ProtocolNegotiated):
                self.http = H3Connection(self._quic)
            if self.http is None:
                return
            for each in self.http.handle_event(event):
                if isinstance(each, HeadersReceived):
                    respond(self.http, each.stream_id)
                    self.transmit()

    tickets: dict[bytes, object] = {}
    configuration = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
    configuration.load_cert_chain(leaf.chain_path, leaf.key_path)
    server = await serve(
        "127.0.0.1",
        0,
        configuration=configuration,
        create_protocol=Server,
        session_ticket_handler=lambda ticket: tickets.update({ticket.ticket: ticket}),
        session_ticket_fetcher=tickets.get,
    )
    try:
        yield server._transport.get_extra_info("sockname")[1]
    finally:
        server.close()
