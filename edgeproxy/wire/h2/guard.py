"""What one connection may cost us: budgets for frames that are cheap to send (RFC 9113, 10.5).

Every `spend_*` raises `ConnectionFault` with ENHANCE_YOUR_CALM when its budget is used up. The
caller sets `now`, monotonic seconds, before it handles what it has read.
"""

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.buckets import TokenBucket
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
# Chromium sends up to two priority frames for each request, for all that are open at once if it
# likes: so many of them do not draw from the bucket.
FRAMES_PER_REQUEST = 4


# What less content than this costs is the frame, not the content. Larger frames pay for some:
# whoever uploads in pieces of 64 KiB and an octet sends one small frame per piece.
SMALL_DATA_BYTES = 64
BYTES_PER_SMALL_DATA = 4096
_EARNED_DATA_BYTES_MAX = 64 * 1024 * 1024


class Guard:
    """Counts what a peer makes us do."""

    __slots__ = (
        "_control",
        "_earned_control",
        "_earned_control_max",
        "_earned_data_bytes",
        "_earned_updates",
        "_empty",
        "_empty_max",
        "_resets",
        "_small_data",
        "_updates",
        "_was_reset",
        "now",
    )

    def __init__(self, limits: Limits) -> None:
        self.now = 0.0
        burst, rate = limits.control_frames_burst, limits.control_frames_per_second
        self._control = TokenBucket(burst, rate)
        self._updates = TokenBucket(10 * burst, rate)
        self._resets = TokenBucket(limits.resets_burst, limits.resets_per_second)
        burst, rate = limits.small_data_frames_burst, limits.small_data_frames_per_second
        self._small_data = TokenBucket(burst, rate)
        self._earned_control = self._earned_updates = self._earned_data_bytes = 0
        self._earned_control_max = FRAMES_PER_REQUEST * limits.concurrent_streams_max
        self._empty = 0
        self._empty_max = limits.empty_frames_in_a_row_max
        self._was_reset: dict[int, None] = {}

    def spend_control(self, reason: str) -> None:
        """Count a frame about the connection: PING, SETTINGS, priorities, unknown ones."""
        if self._earned_control:
            self._earned_control -= 1
        elif not self._control.take(self.now):
            raise ConnectionFault(codes.ENHANCE_YOUR_CALM, reason)

    def spend_reset(self, reason: str) -> None:
        """Count a stream that ended before its response did (CVE-2023-44487, CVE-2025-8671)."""
        if not self._resets.take(self.now):
            raise ConnectionFault(codes.ENHANCE_YOUR_CALM, reason)

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

    def count_empty(self, payload: bytes) -> None:
        """Count frames without payload in a row (CVE-2019-9518)."""
        if payload:
            self._empty = 0
            return
        self._empty += 1
        if self._empty > self._empty_max:
            raise ConnectionFault(codes.ENHANCE_YOUR_CALM, "empty frames")

    def count_content(self, size: int) -> None:
        """Count a frame of content that goes on: small ones cost far more than they bring.

        An upload that is slow, or of some thousand pieces, is within the budget.
        """
        if size >= SMALL_DATA_BYTES:
            self._earned_data_bytes = min(self._earned_data_bytes + size, _EARNED_DATA_BYTES_MAX)
        elif self._earned_data_bytes >= BYTES_PER_SMALL_DATA:
            self._earned_data_bytes -= BYTES_PER_SMALL_DATA
        elif not self._small_data.take(self.now):
            raise ConnectionFault(codes.ENHANCE_YOUR_CALM, "flood of small DATA frames")

    def remember_reset(self, stream_id: int) -> None:
        """Note a stream that was reset, so that what is under way for it is no error."""
        self._was_reset[stream_id] = None
        if len(self._was_reset) > RESET_MEMORY:
            del self._was_reset[next(iter(self._was_reset))]

    def was_reset(self, stream_id: int) -> bool:
        """Whether a stream was reset lately."""
        return stream_id in self._was_reset
