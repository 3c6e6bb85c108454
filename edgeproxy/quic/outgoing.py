"""The sending half of a stream (RFC 9000 section 3.1): what was queued, sent, lost, acknowledged.

Stands in aioquic's place and answers to its names, for packets of either lane (`sending`, `lane`).
aioquic copies all content into a buffer of each stream and moves what is left of it with every
acknowledgement; here content stays where it is, in the cache or wherever it came from, and is
copied into packets only.

Invariants: octets are let go of in order, as soon as all before them are acknowledged; every octet
is acknowledged, under way, lost or not sent yet, and only one of these.
"""

import bisect
from collections import deque
from typing import Final

from aioquic.quic.packet import QuicErrorCode, QuicResetStreamFrame, QuicStreamFrame
from aioquic.quic.packet_builder import QuicDeliveryState
from aioquic.quic.rangeset import RangeSet
from aioquic.quic.stream import QuicStreamSender

from edgeproxy.quic.schedule import Schedule
from edgeproxy.wire.h3.frames import integer

# What is smaller is cheaper to copy than to look at.
_VIEWED_BYTES_MIN: Final = 512


class Outgoing(QuicStreamSender):
    """See the module; offsets and sizes are octets.

    Sent is what lies before `highest_offset`, queued what lies before `queued`; of both, what is in
    `lost` has to be sent again. `ends_at` is where the stream ends, once that is known; `name` is
    the number of the stream as frames have it.
    """

    def __init__(self, stream_id: int, schedule: Schedule) -> None:
        # and not aioquic's: that makes the buffer that this is here to replace
        self.stream_id = stream_id
        self.name = integer(stream_id)
        self.highest_offset = 0
        self.queued = 0
        self.acknowledged = 0
        self.ends_at: int | None = None
        self.is_end_due = False
        self.is_finished = False
        self.reset_pending = False
        self.reset_code: int | None = None
        self.lost: list[tuple[int, int]] = []
        self._schedule = schedule
        self._acked = RangeSet()  # beyond `acknowledged`
        self._is_end_acknowledged = False
        self._chunks: deque[tuple[int, bytes | memoryview]] = deque()
        self._reading = 0  # the chunk that the next unsent octet is in

    @property
    def outstanding(self) -> int:
        """How much is queued or under way."""
        return self.queued - self.acknowledged

    @property
    def is_open(self) -> bool:
        """Whether more may be queued."""
        return self.ends_at is None and self.reset_code is None and not self.is_finished

    @property
    def is_settled(self) -> bool:
        """Whether the peer has acknowledged all that was queued."""
        if self.is_finished:
            return True
        is_ended = self.ends_at is not None or self.reset_code is not None
        return not is_ended and self.acknowledged == self.queued

    @property
    def has_something(self) -> bool:
        """Whether there is anything to send, the peer's windows aside."""
        is_due = self.lost or self.highest_offset < self.queued or self.is_end_due
        return bool(is_due) and self.reset_code is None

    def write(self, data: bytes | memoryview, end_stream: bool = False) -> None:
        """Queue data by reference: it must not change. Only while `is_open`."""
        size = len(data)
        if size:
            if size >= _VIEWED_BYTES_MIN:
                self._chunks.append((self.queued, memoryview(data)))
            else:
                self._append(bytes(data))
            self.queued += size
            self._schedule.outstanding_bytes += size
        if end_stream:
            self.ends_at = self.queued
            self.is_end_due = True
        if size or end_stream:
            self._schedule.add(self.stream_id)

    def _append(self, data: bytes) -> None:
        """Queue little, with the little before it: each chunk costs as much as a hundred octets."""
        chunks = self._chunks
        if self._reading < len(chunks):
            begin, last = chunks[-1]
            if len(last) < _VIEWED_BYTES_MIN:
                chunks[-1] = begin, bytes(last) + data
                return
        chunks.append((self.queued, data))

    def unsent(self, limit: int) -> tuple[int, int]:
        """Return from where to where may be sent next, new octets only before `limit`."""
        if self.lost:
            return self.lost[0]
        return self.highest_offset, min(self.queued, limit)

    def ahead(self, limit: int) -> tuple[bytes | memoryview, int, int]:
        """Return the chunk that the next unsent octet is in, where it begins, where sending stops.

        Of streams with nothing to send or something lost, an empty one: lost octets go first.
        """
        if self.lost or self.highest_offset in {0, self.queued}:
            return b"", 0, 0
        begin, chunk = self._chunks[self._reading]
        return chunk, begin, min(begin + len(chunk), limit)

    def send(self, start: int, stop: int) -> bytes | memoryview:
        """Return octets of what `unsent` named, from its start on, and take them for sent."""
        is_again = bool(self.lost)
        if is_again:
            end = self.lost[0][1]
            if stop < end:
                self.lost[0] = stop, end
            else:
                del self.lost[0]
        if stop == self.ends_at:
            self.is_end_due = False
        if is_again:
            return self._read(start, stop)
        self.highest_offset = stop
        return self._read_on(start, stop)

    def _read_on(self, start: int, stop: int) -> bytes | memoryview:
        """Return octets that were not sent yet: those behind the ones that were."""
        if start == stop:
            return b""
        chunks = self._chunks
        begin, chunk = chunks[self._reading]
        if stop <= begin + len(chunk):
            if stop == begin + len(chunk):
                self._reading += 1
            return chunk[start - begin : stop - begin]
        pieces: list[bytes | memoryview] = [chunk[start - begin :]]
        at = begin + len(chunk)
        while at < stop:
            self._reading += 1
            begin, chunk = chunks[self._reading]
            pieces.append(chunk[: stop - begin])
            at = begin + len(chunk)
        if at == stop:
            self._reading += 1
        return b"".join(pieces)

    def _read(self, start: int, stop: int) -> bytes:
        """Return octets from anywhere."""
        pieces: list[bytes | memoryview] = []
        for begin, chunk in self._chunks:
            if begin >= stop:
                break
            if begin + len(chunk) > start:
                pieces.append(chunk[max(0, start - begin) : stop - begin])
        return b"".join(pieces)

    # --- aioquic's names --------------------------------------------------------------------------

    @property
    def next_offset(self) -> int:
        """Where the next frame begins."""
        return self.lost[0][0] if self.lost else self.highest_offset

    def get_frame(self, max_size: int, max_offset: int | None = None) -> QuicStreamFrame | None:
        """Return the next frame, of up to so many octets; None when there is none that fits."""
        if max_size < 0 or not self.has_something:
            return None
        start, stop = self.unsent(self.queued if max_offset is None else max_offset)
        stop = min(stop, start + max_size)
        if stop <= start and not (self.is_end_due and start == self.ends_at):
            return None
        frame = QuicStreamFrame(data=bytes(self.send(start, stop)), offset=start)
        frame.fin = stop == self.ends_at
        return frame

    def on_data_delivery(
        self, delivery: QuicDeliveryState, start: int, stop: int, fin: bool
    ) -> None:
        """Take note of what became of a frame; it is acknowledged or lost, never both."""
        if self.reset_code is not None or self.is_finished:  # an end may be under way twice
            return
        if delivery is not QuicDeliveryState.ACKED:
            if stop > start:
                self._lose(start, stop)
            if fin:
                self.is_end_due = True
            self._schedule.add(self.stream_id)
            return
        if start == self.acknowledged:
            if stop > start:
                self._advance(stop)
        elif stop > start:
            self._acked.add(start, stop)
        if fin:
            self._is_end_acknowledged = True
        if self._is_end_acknowledged and self.acknowledged == self.ends_at:
            self._finish()

    def _lose(self, start: int, stop: int) -> None:
        lost = self.lost  # of which no two touch, and none overlaps with what was under way
        at = bisect.bisect_left(lost, (start, stop))
        if at < len(lost) and lost[at][0] == stop:
            stop = lost.pop(at)[1]
        if at and lost[at - 1][1] == start:
            lost[at - 1] = lost[at - 1][0], stop
        else:
            lost.insert(at, (start, stop))

    def _advance(self, stop: int) -> None:
        """Let go of what is acknowledged up to there, and of what is behind that if it is, too."""
        if len(self._acked) and self._acked[0].start == stop:
            stop = self._acked.shift().stop
        self._schedule.outstanding_bytes -= stop - self.acknowledged
        self.acknowledged = stop
        chunks = self._chunks
        while chunks:
            begin, chunk = chunks[0]
            if begin + len(chunk) > stop:
                break
            chunks.popleft()
            self._reading -= 1

    def reset(self, error_code: int = QuicErrorCode.NO_ERROR) -> None:
        """Drop what is queued and send RESET_STREAM."""
        if self.reset_code is not None or self.is_finished:
            return
        self.reset_code = error_code
        self.reset_pending = True
        self._drop()
        self._schedule.remove(self.stream_id)
        self._schedule.to_tell[self.stream_id] = None

    def get_reset_frame(self) -> QuicResetStreamFrame:
        """Return the frame that says where the stream was broken off, and why."""
        self.reset_pending = False
        return QuicResetStreamFrame(
            error_code=self.reset_code or 0,
            final_size=self.highest_offset,
            stream_id=self.stream_id,
        )

    def on_reset_delivery(self, delivery: QuicDeliveryState) -> None:
        """Take note of what became of RESET_STREAM."""
        if delivery is QuicDeliveryState.ACKED:
            self._finish()
        else:
            self.reset_pending = True
            self._schedule.to_tell[self.stream_id] = None

    def _finish(self) -> None:
        self.is_finished = True
        self._schedule.over.append(self.stream_id)

    def _drop(self) -> None:
        self._schedule.outstanding_bytes -= self.outstanding
        self.acknowledged = self.queued = self.highest_offset
        self._chunks.clear()
        self.lost.clear()
        self.is_end_due = False
