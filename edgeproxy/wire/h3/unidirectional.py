"""The peer's unidirectional streams: what each is for, and that critical ones stay (RFC 9114 6.2).

A control stream and two of QPACK, each once; what is of an unknown type is not read.
"""

from typing import Final

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.h3 import codes, frames
from edgeproxy.wire.h3.control import Control
from edgeproxy.wire.h3.guard import Guard
from edgeproxy.wire.h3.instructions import DecoderStream, check_encoder_stream
from edgeproxy.wire.h3.transport import Transport

_CRITICAL: Final = frozenset(
    {frames.CONTROL_STREAM, frames.QPACK_ENCODER_STREAM, frames.QPACK_DECODER_STREAM}
)
# Streams that were begun and whose type is not all there, or that we refused. QUIC bounds them too.
_OTHERS_MAX: Final = 100


class Unidirectional:
    """Knows what each stream of the peer is for, by its first integer."""

    __slots__ = ("_begun", "_control", "_critical", "_decoder", "_guard", "_refused", "_transport")

    def __init__(self, transport: Transport, guard: Guard, control: Control) -> None:
        self._transport = transport
        self._guard = guard
        self._control = control
        self._decoder = DecoderStream(lambda: guard.spend_control("flood of cancellations"))
        self._critical: dict[int, int] = {}  # the types of those that have one, by stream
        self._begun: dict[int, bytes] = {}  # the octets of an unfinished type
        self._refused: set[int] = set()

    def receive(self, stream_id: int, data: bytes, *, end: bool) -> None:
        """Take a stream's next data."""
        self._transport.consumed(stream_id, len(data))
        kind = self._critical.get(stream_id)
        if kind is None:
            if stream_id in self._refused:
                if end:
                    self._refused.discard(stream_id)
                return
            kind, data = self._begin(stream_id, data, end=end)
            if kind is None:
                return
        if kind == frames.CONTROL_STREAM:
            self._control.receive(data)
        elif kind == frames.QPACK_ENCODER_STREAM:
            check_encoder_stream(data)
        else:
            self._decoder.receive(data)
        if end:
            self._lost(kind)

    def was_reset(self, stream_id: int) -> None:
        """Take the end of a stream that broke off."""
        self._begun.pop(stream_id, None)
        self._refused.discard(stream_id)
        kind = self._critical.get(stream_id)
        if kind is not None:
            self._lost(kind)

    def _begin(self, stream_id: int, data: bytes, *, end: bool) -> tuple[int | None, bytes]:
        """Return a critical stream's type and the data behind it, None of others."""
        data = self._begun.pop(stream_id, b"") + data
        kind, at = frames.read_integer(data, 0)
        if at < 0:
            if not end:  # one that ends before it says what it is means nothing (section 6.2)
                self._begun[stream_id] = data
                self._check_number()
            return None, b""
        if kind == frames.PUSH_STREAM:
            raise ConnectionFault(codes.STREAM_CREATION_ERROR, "push stream from a client")
        if kind not in _CRITICAL:
            self._refuse(stream_id, end=end)
            return None, b""
        if kind in self._critical.values():
            raise ConnectionFault(codes.STREAM_CREATION_ERROR, "second stream of its type")
        self._critical[stream_id] = kind
        return kind, data[at:]

    def _refuse(self, stream_id: int, *, end: bool) -> None:
        self._guard.spend_control("flood of unknown streams")
        if not end:
            self._transport.stop(stream_id, codes.STREAM_CREATION_ERROR)
            self._refused.add(stream_id)
            self._check_number()

    def _check_number(self) -> None:
        if len(self._begun) + len(self._refused) > _OTHERS_MAX:
            raise ConnectionFault(codes.EXCESSIVE_LOAD, "too many streams of unknown types")

    @staticmethod
    def _lost(kind: int) -> None:
        raise ConnectionFault(codes.CLOSED_CRITICAL_STREAM, f"critical stream {kind} ended")
