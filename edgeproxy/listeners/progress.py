"""Whether a peer moves: the deadlines of an HTTP/2 connection (CVE-2019-9511, 9517, slowloris).

Pure bookkeeping over what a tick sees; about once a second, never per request.
"""

from collections.abc import Iterable

from edgeproxy.wire.h2.connection import Connection
from edgeproxy.wire.h2.streams import Stream
from edgeproxy.wire.limits import Limits


class Progress:
    """Remembers since when a connection owes bytes, and how many the peer took since then.

    A flow-control window that stays shut while nothing moves has a deadline of its own. One that
    is opened byte by byte has not: who takes anything is held to the minimum rate.
    """

    __slots__ = (
        "_base",
        "_began",
        "_busy_at",
        "_h2",
        "_limits",
        "_owing_since",
        "_requests",
        "_shut_since",
        "_shut_taken",
    )

    def __init__(self, h2: Connection, limits: Limits, now: float) -> None:
        self._h2 = h2
        self._limits = limits
        self._began = self._busy_at = now
        self._requests = 0
        self._owing_since = 0.0
        self._shut_since = 0.0
        self._base = 0
        self._shut_taken = 0

    def is_used_up(self, now: float) -> bool:
        """Whether the connection has lived or idled long enough; only requests are a life.

        A PING keeps a way through middleboxes open, and is no reason to keep the connection.
        """
        limits, h2 = self._limits, self._h2
        if h2.streams or h2.mid_block_since or h2.requests != self._requests:
            self._busy_at, self._requests = now, h2.requests
        return (
            now - self._began > limits.connection_age_seconds
            or h2.requests >= limits.requests_per_connection_max
            or now - self._busy_at > limits.idle_seconds
        )

    def overdue(self, now: float, unsent_bytes: int) -> str:
        """Return why the connection must end at once, or "".

        `unsent_bytes` wait in this process, so the peer has not taken them.
        """
        limits, h2 = self._limits, self._h2
        if not h2.is_settled:
            return "preface too slow" if now - self._began > limits.preface_seconds else ""
        if h2.mid_block_since and now - h2.mid_block_since > limits.headers_seconds:
            return "field block too slow"
        return self._check_reader(now, h2.streams.values(), h2.sender.sent_bytes - unsent_bytes)

    def _check_reader(self, now: float, streams: Iterable[Stream], taken: int) -> str:
        owing = [stream for stream in streams if stream.queued_bytes]
        if not owing:
            self._owing_since = self._shut_since = 0.0
            return ""
        if not self._owing_since:
            self._owing_since, self._base = now, taken
        if self._h2.sender.window > 0 and any(stream.window > 0 for stream in owing):
            self._shut_since = 0.0
        elif self._shut_since and taken == self._shut_taken:
            is_late = now - self._shut_since > self._limits.zero_window_seconds
            return "flow-control window shut for too long" if is_late else ""
        else:
            self._shut_since, self._shut_taken = now, taken
        return self._check_rate(now - self._owing_since, taken - self._base)

    def _check_rate(self, seconds: float, taken: int) -> str:
        limits = self._limits
        if seconds <= limits.minimum_rate_after_seconds:
            return ""
        is_slow = taken < seconds * limits.minimum_rate_bytes_per_second
        return "response read too slowly" if is_slow else ""
