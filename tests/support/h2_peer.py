"""A client of `wire.h2.connection.Connection` that speaks in frames, well-formed or not.

What comes back is parsed by `hyperframe` and `hpack`, which share no code with the product.
"""

from collections.abc import Iterable
from typing import Any, Self

import hpack
import hyperframe.frame as oracle

from edgeproxy.wire.h2 import frames
from edgeproxy.wire.h2.connection import Connection
from edgeproxy.wire.h2.prepared import PreparedResponse
from edgeproxy.wire.h2.streams import Stream
from edgeproxy.wire.limits import Limits
from edgeproxy.wire.requests import RequestHead

REQUEST = (
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"edge.example"),
    (b":path", b"/"),
)
UPLOAD = ((b":method", b"POST"), *REQUEST[1:])


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
        self.too_large: list[tuple[int, int]] = []
        self.resets: list[int] = []
        self.credits = True

    def on_whole_request(self, stream_id: int, head: RequestHead) -> object | None:
        if self.answers is None:
            return self
        assert self.connection is not None
        prepared = PreparedResponse(b"\x88", self.answers)
        if not self.connection.sender.send_prepared(stream_id, prepared):
            return self
        assert stream_id not in self.heads
        self.heads[stream_id] = head
        self.whole.append(stream_id)
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
        self.too_large.append((stream.id, status))
        self.streams[stream.id] = stream

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

    def on_reset(self, stream: Stream) -> None:
        assert stream.id not in self.resets
        self.resets.append(stream.id)

    def _on_whole(self, stream: Stream) -> None:
        self.whole.append(stream.id)
        connection = self.connection
        if self.answers is not None and connection is not None:
            block = b"\x88"
            if connection.sender.respond(stream, block, self.answers):
                connection.finished(stream)


class Peer:
    """Sends frames, and parses the answers into `received`."""

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        answers: bytes | None = None,
        settings: Iterable[tuple[int, int]] | None = (),
    ) -> None:
        self.sink = Recorder(answers)
        self.limits = limits or Limits()
        self.connection = self.sink.connection = Connection(self.sink, self.limits)
        self.now = 1000.0
        self._prepare()
        self.greeting = self.take()
        if settings is not None:
            self.send(frames.PREFACE, frames.settings_frame(settings), frames.SETTINGS_ACK_FRAME)
            self.take()

    def _prepare(self) -> None:
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder()
        self.received: list[oracle.Frame] = []

    # --- sending --------------------------------------------------------------------------------

    def send(self, *data: bytes) -> Self:
        self.connection.receive(b"".join(data), self.now)
        while self.connection.is_behind:
            self.connection.go_on(self.now)
        return self

    def block(self, fields: Iterable[tuple[bytes, bytes]] = REQUEST) -> bytes:
        return self.encoder.encode(list(fields))

    def headers(
        self,
        stream_id: int,
        fields: Iterable[tuple[bytes, bytes]] = REQUEST,
        *,
        end: bool = True,
        flags: int = 0,
    ) -> bytes:
        flags |= frames.END_HEADERS | (frames.END_STREAM if end else 0)
        return frames.frame(frames.HEADERS, flags, stream_id, self.block(fields))

    def get(self, *stream_ids: int) -> Self:
        for stream_id in stream_ids:
            self.send(self.headers(stream_id))
        return self

    def upload(self, stream_id: int, *fields: tuple[bytes, bytes]) -> Self:
        return self.send(self.headers(stream_id, (*UPLOAD, *fields), end=False))

    # --- receiving ------------------------------------------------------------------------------

    def pump(self, budget: int = 2**24) -> Self:
        """Frame what is queued and close the streams that ended."""
        sender = self.connection.sender
        sender.pump(budget)
        ended, sender.ended = sender.ended, []
        for stream in ended:
            self.connection.finished(stream)
        sender.relieved.clear()
        return self

    def take(self) -> list[oracle.Frame]:
        """Parse and return what the connection has sent since the last time."""
        found = parse(self._collect())
        for frame in found:
            if isinstance(frame, oracle.HeadersFrame):
                frame.fields = self.decoder.decode(frame.data, raw=True)  # type: ignore[attr-defined]
        self.received += found
        return found

    def _collect(self) -> bytes:
        sender = self.connection.sender
        data = b"".join(sender.out)
        sender.out.clear()
        sender.out_bytes = 0
        return data

    @property
    def goaway(self) -> int | None:
        """The code of the last GOAWAY."""
        self.take()
        codes = [f.error_code for f in self.received if isinstance(f, oracle.GoAwayFrame)]
        return codes[-1] if codes else None

    @property
    def resets(self) -> dict[int, int]:
        """The codes of all RST_STREAM, by stream."""
        self.take()
        return {
            f.stream_id: f.error_code for f in self.received if isinstance(f, oracle.RstStreamFrame)
        }

    def body(self, stream_id: int) -> bytes:
        self.take()
        return b"".join(
            f.data
            for f in self.received
            if isinstance(f, oracle.DataFrame) and f.stream_id == stream_id
        )

    def of(self, kind: type[Any]) -> list[Any]:
        self.take()
        return [f for f in self.received if isinstance(f, kind)]


def parse(data: bytes) -> list[oracle.Frame]:
    """Parse whole frames with `hyperframe`."""
    found = []
    view = memoryview(data)
    while view:
        frame, length = oracle.Frame.parse_frame_header(view[:9], strict=True)
        assert len(view) >= 9 + length, "partial frame"
        frame.parse_body(view[9 : 9 + length])
        found.append(frame)
        view = view[9 + length :]
    return found


def data_frame(
    stream_id: int, data: bytes = b"", *, end: bool = False, padding: int | None = None
) -> bytes:
    flags = frames.END_STREAM if end else 0
    if padding is not None:
        flags |= frames.PADDED
        data = bytes((padding,)) + data + bytes(padding)
    return frames.frame(frames.DATA, flags, stream_id, data)


def priority_update(stream_id: int, value: bytes) -> bytes:
    return frames.frame(frames.PRIORITY_UPDATE, 0, 0, stream_id.to_bytes(4, "big") + value)


def ping(data: bytes = b"12345678", flags: int = 0) -> bytes:
    return frames.frame(frames.PING, flags, 0, data)
