"""What one connection may cost us: budgets for what is cheap to send, of HTTP/2 and HTTP/3 alike.

Every `spend_*` and `count_*` raises `ConnectionFault` with the protocol's code when its budget is
used up (RFC 9113 section 10.5, RFC 9114 section 10.5). The caller sets `now`, monotonic seconds,
before it handles what it has read.
"""

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.buckets import TokenBucket
from edgeproxy.wire.limits import Limits

# Chromium sends up to two priority frames for each request, for all that are open at once if it
# likes: so many of them do not draw from the bucket.
FRAMES_PER_REQUEST = 4


# What less content than this costs is the frame, not the content. Larger frames pay for some:
# whoever uploads in pieces of 64 KiB and an octet sends one small frame per piece.
SMALL_DATA_BYTES = 64
BYTES_PER_SMALL_DATA = 4096
_EARNED_DATA_BYTES_MAX = 64 * 1024 * 1024


class Budgets:
    """Counts what a peer makes us do; `code` is what it is told when it is too much."""

    __slots__ = (
        "_code",
        "_control",
        "_earned_control",
        "_earned_control_max",
        "_earned_data_bytes",
        "_empty",
        "_empty_max",
        "_resets",
        "_small_data",
        "now",
    )

    def __init__(self, limits: Limits, code: int) -> None:
        self.now = 0.0
        self._code = code
        burst, rate = limits.control_frames_burst, limits.control_frames_per_second
        self._control = TokenBucket(burst, rate)
        self._resets = TokenBucket(limits.resets_burst, limits.resets_per_second)
        burst, rate = limits.small_data_frames_burst, limits.small_data_frames_per_second
        self._small_data = TokenBucket(burst, rate)
        self._earned_control = self._earned_data_bytes = 0
        self._earned_control_max = FRAMES_PER_REQUEST * limits.concurrent_streams_max
        self._empty = 0
        self._empty_max = limits.empty_frames_in_a_row_max

    def spend_control(self, reason: str) -> None:
        """Count a frame about the connection: settings, priorities, unknown ones."""
        if self._earned_control:
            self._earned_control -= 1
        elif not self._control.take(self.now):
            raise ConnectionFault(self._code, reason)

    def spend_reset(self, reason: str) -> None:
        """Count a stream that ended before its response did (CVE-2023-44487, CVE-2025-8671)."""
        if not self._resets.take(self.now):
            raise ConnectionFault(self._code, reason)

    def earn_request(self) -> None:
        """Let a request pay for the frames that commonly come with it."""
        self._empty = 0
        if self._earned_control < self._earned_control_max:
            self._earned_control += FRAMES_PER_REQUEST

    def count_empty(self, payload: bytes | int) -> None:
        """Count frames without payload, or of size 0, in a row (CVE-2019-9518)."""
        if payload:
            self._empty = 0
            return
        self._empty += 1
        if self._empty > self._empty_max:
            raise ConnectionFault(self._code, "empty frames")

    def count_content(self, size: int) -> None:
        """Count a frame of content that goes on: small ones cost far more than they bring.

        An upload that is slow, or of some thousand pieces, is within the budget.
        """
        if size >= SMALL_DATA_BYTES:
            self._earned_data_bytes = min(self._earned_data_bytes + size, _EARNED_DATA_BYTES_MAX)
        elif self._earned_data_bytes >= BYTES_PER_SMALL_DATA:
            self._earned_data_bytes -= BYTES_PER_SMALL_DATA
        elif not self._small_data.take(self.now):
            raise ConnectionFault(self._code, "flood of small DATA frames")
