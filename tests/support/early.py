"""A client that asks in its first flight, on a socket of loopback, and goes no further by itself.

The handshake is complete for nobody but itself until it goes on a second time: until then it is
what a recording of its first datagrams would be, and `recorded` are these.

with EarlyClient(address, ticket) as client:
    stream_id = client.ask("/a")
    client.go_on()
    assert await client.answer(stream_id) == (200, b"hello")
"""

import asyncio
import os

from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic import events
from aioquic.tls import SessionTicket

from tests.support.quic import Client
from tests.support.quic_endpoint import Address, Stranger

PATIENCE_SECONDS = 20


class EarlyClient(Stranger):
    """See the module; `worker` is the one, of two, that its first datagrams lead to."""

    def __init__(
        self,
        address: Address,
        ticket: SessionTicket,
        *,
        server_name: str = "a.test",
        worker: int | None = None,
    ) -> None:
        super().__init__(address)
        self._address = address
        self.quic = Client(server_name=server_name, session_ticket=ticket)
        if worker is not None:
            cid = bytes([worker]) + os.urandom(7)
            self.quic._peer_cid.cid = self.quic._original_destination_connection_id = cid
        self.now = 0.0
        self.quic.connect(address, now=self.now)
        self.http = H3Connection(self.quic)
        self.recorded: list[bytes] = []
        self.completed: events.HandshakeCompleted | None = None
        self.fields: dict[int, dict[bytes, bytes]] = {}
        self.content: dict[int, bytes] = {}
        self.ended: set[int] = set()

    def ask(self, path: str, method: bytes = b"GET", *, end: bool = True) -> int:
        """Put a request into the first flight, or what follows it."""
        stream_id = self.quic.get_next_available_stream_id()
        head = [
            (b":method", method),
            (b":scheme", b"https"),
            (b":authority", self.quic.configuration.server_name.encode()),
            (b":path", path.encode()),
        ]
        self.http.send_headers(stream_id, head, end_stream=end)
        return stream_id

    def go_on(self) -> None:
        """Send what there is to send."""
        self.now += 0.01
        flight = [data for data, _ in self.quic.datagrams_to_send(self.now)]
        self.say(*flight)
        self.recorded = self.recorded or flight

    async def answer(self, stream_id: int) -> tuple[int, bytes]:
        """Wait for a whole answer, without a word."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while stream_id not in self.ended:
                self.take(await self.hear())
        return int(self.fields[stream_id][b":status"]), self.content.get(stream_id, b"")

    def take(self, datagram: bytes) -> None:
        self.now += 0.01
        self.quic.receive_datagram(datagram, self._address, self.now)
        while (event := self.quic.next_event()) is not None:
            if isinstance(event, events.HandshakeCompleted):
                self.completed = event
            for each in self.http.handle_event(event):
                if isinstance(each, HeadersReceived):
                    self.fields[each.stream_id] = dict(each.headers)
                elif isinstance(each, DataReceived):
                    self.content[each.stream_id] = self.content.get(each.stream_id, b"") + each.data
                if getattr(each, "stream_ended", False):
                    self.ended.add(each.stream_id)
