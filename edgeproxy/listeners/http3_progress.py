"""Whether a peer moves: the deadlines of an HTTP/3 connection (slowloris, CVE-2019-9517's twins).

Pure bookkeeping over what a tick sees; about once a second, never per request. What the transport
holds unacknowledged is its own to bound: here counts what it took.
"""

from edgeproxy.wire.h3.connection import Connection
from edgeproxy.wire.limits import Limits


class Progress:
    """Remembers since when a connection owes bytes, and how many the peer took since then.

    A peer that takes nothing at all has a deadline of its own; who takes anything is held to the
    minimum rate.
    """

    __slots__ = (
        "_base",
        "_began",
        "_busy_at",
        "_h3",
        "_limits",
        "_moved_at",
        "_owing_since",
        "_requests",
        "_taken",
    )

    def __init__(self, h3: Connection, limits: Limits, now: float) -> None:
        self._h3 = h3
        self._limits = limits
        self._began = self._busy_at = now
        self._requests = 0
        self._owing_since = self._moved_at = 0.0
        self._base = self._taken = 0

    def quiet_seconds(self, now: float) -> float:
        """Return for how long there has been no request: only requests are a life."""
        h3 = self._h3
        if h3.streams or h3.requests != self._requests:
            self._busy_at, self._requests = now, h3.requests
        return now - self._busy_at

    def is_used_up(self, now: float) -> bool:
        """Whether the connection has lived or idled long enough."""
        limits = self._limits
        return (
            now - self._began > limits.connection_age_seconds
            or self._h3.requests >= limits.requests_per_connection_max
            or self.quiet_seconds(now) > limits.idle_seconds
        )

    def overdue(self, now: float) -> str:
        """Return why the connection must end at once, or ""."""
        limits = self._limits
        if not self._h3.is_settled and now - self._began > limits.preface_seconds:
            return "SETTINGS too slow"
        if not any(stream.queued_bytes for stream in self._h3.streams.values()):
            self._owing_since = 0.0
            return ""
        taken = self._h3.sender.sent_bytes
        if not self._owing_since:
            self._owing_since, self._base = now, taken
            self._moved_at, self._taken = now, taken
        if taken != self._taken:
            self._moved_at, self._taken = now, taken
        if now - self._moved_at > limits.zero_window_seconds:
            return "nothing taken for too long"
        seconds = now - self._owing_since
        if seconds <= limits.minimum_rate_after_seconds:
            return ""
        is_slow = taken - self._base < seconds * limits.minimum_rate_bytes_per_second
        return "response read too slowly" if is_slow else ""
