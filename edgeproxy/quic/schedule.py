"""Which streams of a connection have something to send, and whose turn it is (RFC 9218 section 10).

By urgency; of one urgency first those that are not incremental, each to its end in the order of
their numbers, then the incremental ones in turns of one packet. Streams of our own come first: they
carry what the connection itself has to say. Knows numbers, and nothing of packets or content.

Invariants: a stream stands in one lane at most, and once; what is kept grows with the streams that
are open.
"""

import bisect
from collections import deque
from typing import Final

URGENCY_DEFAULT: Final = 3
_LANES: Final = 1 + 2 * 8
_DEFAULT: Final = 1 + 2 * URGENCY_DEFAULT
LANES_OF_TURNS: Final = range(2, _LANES, 2)  # those of incremental streams
_UNIDIRECTIONAL: Final = 0x02


class Schedule:
    """See the module.

    Streams also note here what their connection has to know of them. `outstanding_bytes` counts
    what they hold unacknowledged; `over` names those that the peer has acknowledged to their end;
    `to_tell` those with a RESET_STREAM or a STOP_SENDING to send, in order.
    """

    __slots__ = (
        "_lane_of",
        "_occupied",
        "_queued",
        "_streams",
        "outstanding_bytes",
        "over",
        "to_tell",
    )

    def __init__(self) -> None:
        self.outstanding_bytes = 0
        self.over: list[int] = []
        self.to_tell: dict[int, None] = {}
        self._streams: list[deque[int]] = [deque() for _ in range(_LANES)]
        self._occupied = 0  # bit n: lane n has a stream
        self._queued: dict[int, int] = {}  # the lane that a stream stands in
        self._lane_of: dict[int, int] = {}  # of streams with a priority that is not the usual one

    def __len__(self) -> int:
        return len(self._queued)

    def __contains__(self, stream_id: int) -> bool:
        return stream_id in self._queued

    def add(self, stream_id: int) -> None:
        """Take note that a stream has something to send."""
        if stream_id in self._queued:
            return
        lane = self.lane(stream_id)
        streams = self._streams[lane]
        if lane in LANES_OF_TURNS or not streams or streams[-1] < stream_id:
            streams.append(stream_id)
        else:
            bisect.insort(streams, stream_id)
        self._queued[stream_id] = lane
        self._occupied |= 1 << lane

    def first(self) -> int | None:
        """Return the stream whose turn it is."""
        occupied = self._occupied
        if not occupied:
            return None
        return self._streams[(occupied & -occupied).bit_length() - 1][0]

    @property
    def is_in_order(self) -> bool:
        """Whether the first keeps its turn: it shares it with nobody."""
        occupied = self._occupied
        lane = (occupied & -occupied).bit_length() - 1
        return lane not in LANES_OF_TURNS or len(self._streams[lane]) == 1

    def served(self) -> None:
        """Let the next one have its turn, if streams like the first take turns."""
        occupied = self._occupied
        lane = (occupied & -occupied).bit_length() - 1
        if lane in LANES_OF_TURNS:
            self._streams[lane].rotate(-1)

    def remove(self, stream_id: int) -> None:
        """Take note that a stream has nothing to send now."""
        lane = self._queued.pop(stream_id, None)
        if lane is None:
            return
        streams = self._streams[lane]
        if streams[0] == stream_id:
            streams.popleft()
        else:
            streams.remove(stream_id)
        if not streams:
            self._occupied &= ~(1 << lane)

    def prioritise(self, stream_id: int, urgency: int, *, incremental: bool) -> None:
        """Give a stream another place in the order; urgencies are 0 to 7, 0 goes first."""
        lane = 1 + 2 * urgency + incremental
        if lane == _DEFAULT:
            self._lane_of.pop(stream_id, None)
        else:
            self._lane_of[stream_id] = lane
        if stream_id in self._queued:
            self.remove(stream_id)
            self.add(stream_id)

    def forget(self, stream_id: int) -> None:
        """Forget all of a stream."""
        self.remove(stream_id)
        self._lane_of.pop(stream_id, None)
        self.to_tell.pop(stream_id, None)

    def lane(self, stream_id: int) -> int:
        """Return a stream's lane: the lower, the sooner."""
        return 0 if stream_id & _UNIDIRECTIONAL else self._lane_of.get(stream_id, _DEFAULT)
