"""What one connection may cost us, and what only HTTP/2 has of it (RFC 9113 section 10.5)."""

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.buckets import TokenBucket
from edgeproxy.wire.budgets import FRAMES_PER_REQUEST, Budgets
from edgeproxy.wire.h2 import codes
from edgeproxy.wire.limits import Limits

# Streams that we reset: frames of theirs may still be under way and are then no error (5.1).
RESET_MEMORY = 256
# A peer that reads must send WINDOW_UPDATEs: every KiB that we send earns it one. Clients send one
# or two per 32 KiB (nghttp2, Chromium), the busiest two per 4 KiB (Go). What is earned does not
# expire: Go reads what fits its windows of some MiB first, and sends the updates afterwards.
SENT_BYTES_PER_UPDATE = 1024
# A window may be opened byte by byte: legal, and held to the minimum rate by the listener. Every
# piece that such a window lets out is worth an update of the stream's and one of the connection's.
UPDATES_PER_PIECE = 2


class Guard(Budgets):
    """Counts what a peer makes us do; too much of it is ENHANCE_YOUR_CALM."""

    __slots__ = ("_earned_updates", "_updates", "_was_reset")

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits, codes.ENHANCE_YOUR_CALM)
        self._updates = TokenBucket(
            10 * limits.control_frames_burst, limits.control_frames_per_second
        )
        self._earned_updates = 0
        self._was_reset: dict[int, None] = {}

    def spend_update(self, reason: str, sent_bytes: int, sent_pieces: int = 0) -> None:
        """Count a frame that answers content: WINDOW_UPDATE, or RST_STREAM when it came too late.

        `sent_bytes` is all that we have sent on the connection, in at least `sent_pieces` frames.
        """
        earned = self._earned_updates + sent_bytes // SENT_BYTES_PER_UPDATE
        if earned + UPDATES_PER_PIECE * sent_pieces > 0:
            self._earned_updates -= 1
        elif not self._updates.take(self.now):
            raise ConnectionFault(codes.ENHANCE_YOUR_CALM, reason)

    def earn_request(self) -> None:
        """Let a request pay for the frames that commonly come with it."""
        self._empty = 0
        self._earned_updates += FRAMES_PER_REQUEST
        if self._earned_control < self._earned_control_max:
            self._earned_control += FRAMES_PER_REQUEST

    def remember_reset(self, stream_id: int) -> None:
        """Note a stream that was reset, so that what is under way for it is no error."""
        self._was_reset[stream_id] = None
        if len(self._was_reset) > RESET_MEMORY:
            del self._was_reset[next(iter(self._was_reset))]

    def was_reset(self, stream_id: int) -> bool:
        """Whether a stream was reset lately."""
        return stream_id in self._was_reset
