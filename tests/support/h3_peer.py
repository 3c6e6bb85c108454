"""A client of `wire.h3.connection.Connection` that speaks in frames, well-formed or not.

What comes back is parsed by `aioquic` and `pylsqpack`, which share no code with the product.
"""

from collections.abc import Iterable
from typing import Self

import pylsqpack
from aioquic.buffer import Buffer

from edgeproxy.wire.h3 import frames
from edgeproxy.wire.h3.connection import Connection
from edgeproxy.wire.h3.prepared import PreparedResponse
from edgeproxy.wire.h3.qpack import encode_status
from edgeproxy.wire.h3.streams import Stream
from edgeproxy.wire.limits import Limits
from edgeproxy.wire.requests import RequestHead

REQUEST = (
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"edge.example"),
    (b":path", b"/"),
)
UPLOAD = ((b":method", b"POST"), *REQUEST[1:])
CONTROL, ENCODER, DECODER = 2, 6, 10


class FakeTransport:
    """Remembers what is asked for; `rooms` bounds single streams, `total` all of them."""

    def __init__(self) -> None:
        self.sent: dict[int, bytes] = {}
        self.order: list[tuple[int, int]] = []
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.stops: dict[int, int] = {}
        self.credits: dict[int, int] = {}
        self.priorities: dict[int, tuple[int, bool]] = {}
        self.closed: tuple[int, str] | None = None
        self.rooms: dict[int, int] = {}
        self.total = 2**40
        self._opened = 3

    def open_unidirectional(self) -> int:
        self._opened += 4
        return self._opened - 4

    def room(self, stream_id: int) -> int:
        return max(0, min(self.rooms.get(stream_id, 2**40), self.total))

    def send(self, stream_id: int, data: bytes | memoryview, *, end: bool = False) -> None:
        assert stream_id not in self.ended, "sent behind the end"
        if stream_id in self.resets:
            raise AssertionError("sent behind a reset")
        assert len(data) <= max(self.room(stream_id), 16 * 1024), "more than there is room for"
        self.sent[stream_id] = self.sent.get(stream_id, b"") + bytes(data)
        self.order.append((stream_id, len(data)))
        if stream_id in self.rooms:
            self.rooms[stream_id] -= len(data)
        self.total -= len(data)
        if end:
            self.ended.add(stream_id)

    def reset(self, stream_id: int, code: int) -> None:
        assert stream_id not in self.resets
        self.resets[stream_id] = code

    def stop(self, stream_id: int, code: int) -> None:
        assert stream_id not in self.stops
        self.stops[stream_id] = code

    def consumed(self, stream_id: int, octets: int) -> None:
        assert octets >= 0
        self.credits[stream_id] = self.credits.get(stream_id, 0) + octets

    def prioritise(self, stream_id: int, urgency: int, *, incremental: bool) -> None:
        self.priorities[stream_id] = urgency, incremental

    def close(self, code: int, reason: str = "") -> None:
        assert self.closed is None
        self.closed = code, reason


class Recorder:
    """A `Sink` that remembers; `answers` makes it answer each whole request with that body."""

    def __init__(self, answers: bytes | None = None) -> None:
        self.answers = answers
        self.connection: Connection | None = None
        self.heads: dict[int, RequestHead] = {}
        self.streams: dict[int, Stream] = {}
        self.content: dict[int, bytes] = {}
        self.trailers: dict[int, list[tuple[bytes, bytes]]] = {}
        self.whole: list[int] = []
        self.at_once: list[int] = []
        self.too_large: list[int] = []
        self.resets: list[int] = []
        self.behind: list[Stream] = []
        self.credits = True

    def on_whole_request(self, stream_id: int, head: RequestHead) -> object | None:
        if self.answers is None:
            return self
        assert self.connection is not None
        prepared = PreparedResponse(encode_status(200), self.answers)
        if not self.connection.sender.send_prepared(stream_id, prepared):
            return self
        assert stream_id not in self.heads
        self.heads[stream_id] = head
        self.whole.append(stream_id)
        self.at_once.append(stream_id)
        return None

    def on_request(self, stream: Stream, head: RequestHead) -> None:
        assert stream.id not in self.heads
        assert (stream.exchange is self) == stream.is_remote_ended
        self.heads[stream.id] = head
        self.streams[stream.id] = stream
        self.content[stream.id] = b""
        if stream.is_remote_ended:
            self._on_whole(stream)

    def on_too_large(self, stream: Stream, status: int) -> None:
        self.too_large.append(stream.id)
        assert self.connection is not None
        if self.connection.sender.respond(stream, encode_status(status), b""):
            self.connection.finished(stream)

    def on_content(self, stream: Stream, data: bytes) -> None:
        assert stream.id not in self.whole
        self.content[stream.id] += data
        if self.credits:
            assert self.connection is not None
            self.connection.credit(stream, len(data))
        if stream.is_remote_ended:
            self._on_whole(stream)

    def on_trailers(self, stream: Stream, fields: list[tuple[bytes, bytes]]) -> None:
        assert stream.id not in self.whole
        self.trailers[stream.id] = fields

    def on_behind(self, stream: Stream) -> None:
        self.behind.append(stream)

    def on_reset(self, stream: Stream) -> None:
        assert stream.id not in self.resets
        self.resets.append(stream.id)

    def _on_whole(self, stream: Stream) -> None:
        self.whole.append(stream.id)
        connection = self.connection
        if self.answers is None or connection is None:
            return
        if connection.sender.respond(stream, encode_status(200), self.answers):
            connection.finished(stream)


class Peer:
    """Sends frames on streams, and reads the answers."""

    def __init__(
        self, limits: Limits | None = None, *, answers: bytes | None = None, greets: bool = True
    ) -> None:
        self.sink = Recorder(answers)
        self.limits = limits or Limits()
        self.transport = FakeTransport()
        self.connection = self.sink.connection = Connection(self.sink, self.transport, self.limits)
        self.now = 1000.0
        if greets:
            self.greet()

    def greet(self, *settings: tuple[int, int]) -> Self:
        return self.on(CONTROL, b"\0" + frames.settings_frame(settings))

    def on(self, stream_id: int, *pieces: bytes, end: bool = False) -> Self:
        """Send pieces on a stream, the end with the last of them."""
        for place, piece in enumerate(pieces, start=1):
            self.connection.received(stream_id, piece, self.now, end=end and place == len(pieces))
            while self.sink.behind:
                self.connection.go_on(self.sink.behind.pop(), self.now)
        return self

    def get(self, *stream_ids: int) -> Self:
        for stream_id in stream_ids:
            self.on(stream_id, headers(), end=True)
        return self

    def upload(self, stream_id: int, *fields: tuple[bytes, bytes]) -> Self:
        return self.on(stream_id, headers((*UPLOAD, *fields)))

    def pump(self) -> Self:
        """Hand on what is queued and close the streams that ended."""
        sender = self.connection.sender
        sender.pump()
        ended, sender.ended = sender.ended, []
        for stream in ended:
            self.connection.finished(stream)
        sender.relieved.clear()
        return self

    # --- receiving ------------------------------------------------------------------------------

    @property
    def fault(self) -> int | None:
        """The code that ended the connection."""
        fault, closed = self.connection.fault, self.transport.closed
        assert fault is None or closed == (fault.code, fault.reason)
        return None if fault is None else fault.code

    @property
    def fault_of_close(self) -> int | None:
        """The code with which the connection was closed, for whatever reason."""
        return None if self.transport.closed is None else self.transport.closed[0]

    def frames(self, stream_id: int) -> list[tuple[int, bytes]]:
        """All whole frames sent on a stream."""
        return parse(self.transport.sent.get(stream_id, b""))

    def sections(self, stream_id: int) -> list[list[tuple[bytes, bytes]]]:
        decoder = pylsqpack.Decoder(0, 0)
        return [
            decoder.feed_header(stream_id, payload)[1]
            for kind, payload in self.frames(stream_id)
            if kind == frames.HEADERS
        ]

    def status(self, stream_id: int) -> bytes | None:
        sections = self.sections(stream_id)
        return dict(sections[0])[b":status"] if sections else None

    def body(self, stream_id: int) -> bytes:
        return b"".join(payload for kind, payload in self.frames(stream_id) if kind == frames.DATA)

    @property
    def goaways(self) -> list[int]:
        control = self.transport.sent[3]
        return [
            Buffer(data=payload).pull_uint_var()
            for kind, payload in parse(control[1:])
            if kind == frames.GOAWAY
        ]


def parse(data: bytes) -> list[tuple[int, bytes]]:
    """Cut data into frames; the last one may be unfinished."""
    buffer, found = Buffer(data=data), []
    while not buffer.eof():
        kind, length = buffer.pull_uint_var(), buffer.pull_uint_var()
        found.append((kind, buffer.pull_bytes(min(length, buffer.capacity - buffer.tell()))))
    return found


def section(fields: Iterable[tuple[bytes, bytes]] = REQUEST) -> bytes:
    encoder = pylsqpack.Encoder()
    encoder.apply_settings(0, 0)
    return encoder.encode(0, list(fields))[1]


def headers(fields: Iterable[tuple[bytes, bytes]] = REQUEST) -> bytes:
    return frames.frame(frames.HEADERS, section(fields))


def data_frame(data: bytes) -> bytes:
    return frames.frame(frames.DATA, data)


def priority_update(stream_id: int, value: bytes, kind: int = frames.PRIORITY_UPDATE) -> bytes:
    return frames.frame(kind, frames.integer(stream_id) + value)
