"""`QuicStreams` over stock aioquic, in memory: two connections back to back, no sockets, no clock.

The client is aioquic's own HTTP/3, which shares no code with the product. Datagrams are carried by
`exchange`, which may lose some; then timers fire on a clock that only it moves.
"""

from collections.abc import Callable
from pathlib import Path

from aioquic.h3 import events as h3_events
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.quic import events as quic_events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from edgeproxy.http.messages import ConnectionInfo
from edgeproxy.listeners.quic_streams import Http3Side
from tests.support.ca import LocalCa

CLIENT, SERVER = ("192.0.2.1", 1234), ("192.0.2.2", 443)
STREAM_WINDOW, CONNECTION_WINDOW = 64 * 1024, 256 * 1024


class StockStreams:
    """The server's streams; `side` is who answers."""

    is_early = False

    def __init__(self, quic: QuicConnection) -> None:
        self.quic = quic
        self.info = ConnectionInfo(CLIENT[0], server_name="edge.example")
        self.side: Http3Side | None = None
        self.credits: dict[int, int] = {}
        self.priorities: dict[int, tuple[int, bool]] = {}
        self.works: list[Callable[[], object]] = []
        self._without_room: set[int] = set()
        self._opened = 3

    def open_unidirectional(self) -> int:
        self._opened += 4
        return self._opened - 4

    def _outstanding(self, stream_id: int) -> int:
        stream = self.quic._streams.get(stream_id)
        if stream is None or stream.sender._reset_error_code is not None:
            return 0
        return stream.sender._buffer_stop - stream.sender._buffer_start

    def room(self, stream_id: int) -> int:
        total = sum(map(self._outstanding, list(self.quic._streams)))
        room = min(STREAM_WINDOW - self._outstanding(stream_id), CONNECTION_WINDOW - total)
        if room <= 0:
            self._without_room.add(stream_id)
        return max(0, room)

    def _can_send(self, stream_id: int) -> bool:
        if stream_id & 3 == 3:
            return True
        stream = self.quic._streams.get(stream_id)
        return stream is not None and stream.sender._reset_error_code is None

    def send(self, stream_id: int, data: bytes | memoryview, *, end: bool = False) -> None:
        if self._can_send(stream_id):
            self.quic.send_stream_data(stream_id, bytes(data), end)

    def reset(self, stream_id: int, code: int) -> None:
        if self._can_send(stream_id):
            self.quic.reset_stream(stream_id, code)

    def stop(self, stream_id: int, code: int) -> None:
        if stream_id in self.quic._streams:
            self.quic.stop_stream(stream_id, code)

    def consumed(self, stream_id: int, octets: int) -> None:
        self.credits[stream_id] = self.credits.get(stream_id, 0) + octets

    def prioritise(self, stream_id: int, urgency: int, *, incremental: bool) -> None:
        self.priorities[stream_id] = urgency, incremental

    def close(self, code: int, reason: str = "") -> None:
        self.quic.close(error_code=code, reason_phrase=reason)

    def later(self, work: Callable[[], object], seconds: float = 0.0) -> None:
        self.works.append(work)

    def work(self) -> bool:
        """Take the events that datagrams brought, and what was put off; whether there was any."""
        side, had_any = self.side, False
        assert side is not None
        while (event := self.quic.next_event()) is not None:
            had_any = True
            if isinstance(event, quic_events.StreamDataReceived):
                side.received(event.stream_id, event.data, end=event.end_stream)
            elif isinstance(event, quic_events.StreamReset):
                side.was_reset(event.stream_id, event.error_code)
            elif isinstance(event, quic_events.StopSendingReceived):
                side.was_stopped(event.stream_id, event.error_code)
        works, self.works = self.works, []
        for work in works:
            work()
        for stream_id in sorted(self._without_room):
            self._without_room.discard(stream_id)
            if self.room(stream_id):
                side.writable(stream_id)
        return had_any or bool(works)


class H3Pair:
    """A client and a server after their handshake; `begin` makes the server's side."""

    def __init__(
        self, directory: Path, begin: Callable[[StockStreams], Http3Side], **client: int
    ) -> None:
        leaf = LocalCa(directory).issue("edge.example")
        ours = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
        ours.load_cert_chain(leaf.chain_path, leaf.key_path)
        theirs = QuicConfiguration(
            is_client=True, alpn_protocols=H3_ALPN, server_name="edge.example", **client
        )
        theirs.load_verify_locations(str(directory / "test-root.pem"))
        self.now = 0.0
        self.authority = b"edge.example"
        self.lost: Callable[[int], bool] = lambda _number: False
        self._carried = 0
        self.quic = QuicConnection(configuration=theirs)
        self.quic.connect(SERVER, now=self.now)
        self.server_quic = QuicConnection(
            configuration=ours,
            original_destination_connection_id=self.quic.original_destination_connection_id,
        )
        self.streams = StockStreams(self.server_quic)
        self.client: H3Connection | None = None
        self.events: list[h3_events.H3Event] = []
        self.quic_events: list[quic_events.QuicEvent] = []
        self._settle_handshake()
        self.side = self.streams.side = begin(self.streams)
        self.client = H3Connection(self.quic)
        self.exchange()

    def _settle_handshake(self) -> None:
        for _ in range(4):
            self._carry(self.quic, self.server_quic, CLIENT)
            self._carry(self.server_quic, self.quic, SERVER)

    def _carry(
        self, source: QuicConnection, target: QuicConnection, address: tuple[str, int]
    ) -> bool:
        datagrams = source.datagrams_to_send(now=self.now)
        for data, _ in datagrams:
            self._carried += 1
            if not self.lost(self._carried):
                target.receive_datagram(data, address, now=self.now)
        return bool(datagrams)

    def _take(self) -> None:
        assert self.client is not None
        while (event := self.quic.next_event()) is not None:
            self.quic_events.append(event)
            self.events += self.client.handle_event(event)

    def exchange(self) -> None:
        """Carry everything over, both ways, until nobody has anything to say."""
        while True:
            self.now += 0.01
            moved = self._carry(self.quic, self.server_quic, CLIENT)
            moved |= self.streams.work()
            moved |= self._carry(self.server_quic, self.quic, SERVER)
            self._take()
            if not moved:
                return

    def wait(self) -> None:
        """Let the next timer of either side fire, then exchange."""
        timers = [quic.get_timer() for quic in (self.quic, self.server_quic)]
        self.now = max(self.now, min(at for at in timers if at is not None))
        for quic, at in zip((self.quic, self.server_quic), timers, strict=True):
            if at is not None and at <= self.now:
                quic.handle_timer(now=self.now)
        self.exchange()

    # --- what the client asks for ---------------------------------------------------------------

    def request(
        self,
        path: bytes,
        method: bytes = b"GET",
        *fields: tuple[bytes, bytes],
        end: bool = True,
    ) -> int:
        assert self.client is not None
        stream_id = self.quic.get_next_available_stream_id()
        head = [
            (b":method", method),
            (b":scheme", b"https"),
            (b":authority", self.authority),
            (b":path", path),
            *fields,
        ]
        self.client.send_headers(stream_id, head, end_stream=end)
        return stream_id

    def data(self, stream_id: int, data: bytes, *, end: bool = False) -> None:
        assert self.client is not None
        self.client.send_data(stream_id, data, end_stream=end)

    # --- what it got ----------------------------------------------------------------------------

    def sections(self, stream_id: int) -> list[list[tuple[bytes, bytes]]]:
        return [
            event.headers
            for event in self.events
            if isinstance(event, h3_events.HeadersReceived) and event.stream_id == stream_id
        ]

    def status(self, stream_id: int) -> bytes | None:
        sections = self.sections(stream_id)
        return dict(sections[0])[b":status"] if sections else None

    def body(self, stream_id: int) -> bytes:
        return b"".join(
            event.data
            for event in self.events
            if isinstance(event, h3_events.DataReceived) and event.stream_id == stream_id
        )

    def has_ended(self, stream_id: int) -> bool:
        return any(
            isinstance(event, h3_events.DataReceived | h3_events.HeadersReceived)
            and event.stream_id == stream_id
            and event.stream_ended
            for event in self.events
        )

    def resets(self) -> dict[int, int]:
        return {
            event.stream_id: event.error_code
            for event in self.quic_events
            if isinstance(event, quic_events.StreamReset)
        }

    @property
    def closed(self) -> quic_events.ConnectionTerminated | None:
        for event in self.quic_events:
            if isinstance(event, quic_events.ConnectionTerminated):
                return event
        return None
