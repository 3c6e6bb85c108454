"""What may be done to a connection's streams, and how much they may hold.

What is queued and unacknowledged fits windows that the peer cannot open; a stream that had no room
is named when it has some.
"""

from collections.abc import Iterator
from typing import Final

from aioquic.quic.connection import END_STATES

from edgeproxy.quic.outgoing import Outgoing
from edgeproxy.quic.schedule import LANES_OF_TURNS
from edgeproxy.quic.sending import Sending
from edgeproxy.quic.windows import Receipt

# Send windows. What is on its way needs as much as the congestion window, and as much again keeps
# the next packets from waiting for who produces them; more only grows old here. TCP's counterpart
# is `Limits.unsent_bytes_max` and what the kernel holds. Content of the cache is here by reference.
STREAM_BYTES_MIN: Final = 64 * 1024
STREAM_BYTES_MAX: Final = 512 * 1024
CONNECTION_BYTES_MAX: Final = 2 * 1024 * 1024
ROOM_BYTES_MIN: Final = 16 * 1024  # less is too little to wake anybody up for


class Streams(Sending):
    """See the module; a part of `connection.ServerConnection`."""

    def _begin_streams(self) -> None:
        self._starved: set[int] = set()  # those that had too little room

    @property
    def is_over(self) -> bool:
        """Whether it was closed, by either side: nothing more is sent but the farewell."""
        return self._state in END_STATES

    @property
    def is_settled(self) -> bool:
        """Whether the peer has acknowledged all that was queued: no answer is on its way."""
        senders = [stream.sender for stream in self._streams.values()]
        return all(each.is_settled for each in senders if isinstance(each, Outgoing))

    def open_unidirectional(self) -> int:
        """Return the next stream of ours that only we write."""
        stream_id = self.get_next_available_stream_id(is_unidirectional=True)
        self._get_or_create_stream_for_send(stream_id)
        return stream_id

    def queue(self, stream_id: int, data: bytes | memoryview, *, end: bool = False) -> None:
        """Queue data on a stream that takes some."""
        sender = self._writable_sender(stream_id)
        if sender is None:
            return
        sender.write(data, end_stream=end)
        if end:
            self._starved.discard(stream_id)
        elif self._free(sender) < ROOM_BYTES_MIN:
            self._starved.add(stream_id)

    def room(self, stream_id: int) -> int:
        """Return how much may be queued on a stream now; `relieved` names it when it was little."""
        sender = self._writable_sender(stream_id)
        if sender is None:
            return 0
        free = self._free(sender)
        if free < ROOM_BYTES_MIN:
            self._starved.add(stream_id)
        return free

    def relieved(self) -> Iterator[int]:
        """Name the streams that had too little room and have some, most urgent first."""
        if not self._starved or self._free_of_all() < ROOM_BYTES_MIN:
            return
        for stream_id in sorted(self._starved, key=self._rank):
            sender = self._writable_sender(stream_id)
            if sender is None:
                self._starved.discard(stream_id)
            elif self._free(sender) >= ROOM_BYTES_MIN:
                self._starved.discard(stream_id)
                yield stream_id
                if self._free_of_all() < ROOM_BYTES_MIN:
                    return

    def _rank(self, stream_id: int) -> tuple[int, int]:
        """Return what streams that want room are sorted by; who shares and has least goes first."""
        lane = self._schedule.lane(stream_id)
        sender = self._outgoing(stream_id) if lane in LANES_OF_TURNS else None
        return lane, stream_id if sender is None else sender.outstanding

    def abandon(self, stream_id: int, code: int) -> None:
        """Send RESET_STREAM and drop what is queued."""
        sender = self._outgoing(stream_id)
        if sender is not None and not self.is_over:
            sender.reset(code)
            self._starved.discard(stream_id)

    def stop(self, stream_id: int, code: int) -> None:
        """Send STOP_SENDING; what still comes is credited as it comes."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.receiver.is_finished:
            return
        stream.receiver.stop(code)
        self._schedule.to_tell[stream_id] = None
        receipt = self._receipts.setdefault(stream_id, Receipt())
        receipt.is_stopped = True
        self.consumed(stream_id, receipt.delivered)

    def prioritise(self, stream_id: int, urgency: int, *, incremental: bool) -> None:
        """Set a stream's place in the order; of streams that are gone or not there yet, nothing."""
        if stream_id in self._streams:
            self._schedule.prioritise(stream_id, urgency, incremental=incremental)

    def _writable_sender(self, stream_id: int) -> Outgoing | None:
        sender = self._outgoing(stream_id)
        return sender if sender is not None and sender.is_open and not self.is_over else None

    @property
    def _window(self) -> int:
        """How much one stream may hold."""
        return min(max(2 * self._loss.congestion_window, STREAM_BYTES_MIN), STREAM_BYTES_MAX)

    def _free(self, sender: Outgoing) -> int:
        return max(0, min(self._window - sender.outstanding, self._free_of_all()))

    def _free_of_all(self) -> int:
        return CONNECTION_BYTES_MAX - self._schedule.outstanding_bytes
