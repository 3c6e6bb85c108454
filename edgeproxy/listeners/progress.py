"""Whether a peer moves: deadlines for readers that take too little (CVE-2019-9511, 9517).

Pure bookkeeping over what a tick sees; about once a second, never per request.
"""

from collections.abc import Sequence

from edgeproxy.wire.h2.sending import Sender
from edgeproxy.wire.h2.streams import Stream
from edgeproxy.wire.limits import Limits


class Progress:
    """Remembers since when a connection owes bytes, and how many went out since then."""

    __slots__ = ("_base", "_limits", "_owing_since", "_shut_since", "_shut_window")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._owing_since = 0.0
        self._shut_since = 0.0
        self._base = 0
        self._shut_window = 0

    def check(self, now: float, streams: Sequence[Stream], sender: Sender) -> str:
        """Return why the connection must end, or ""."""
        owing = [stream for stream in streams if stream.queued_bytes]
        if not owing:
            self._owing_since = self._shut_since = 0.0
            return ""
        if not self._owing_since:
            self._owing_since, self._base = now, sender.sent_bytes
        return self._check_window(now, owing, sender) or self._check_rate(now, sender)

    def _check_window(self, now: float, owing: list[Stream], sender: Sender) -> str:
        if sender.window > 0 and any(stream.window > 0 for stream in owing):
            self._shut_since = 0.0
            return ""
        if not self._shut_since or self._shut_window != sender.sent_bytes:
            self._shut_since, self._shut_window = now, sender.sent_bytes
        if now - self._shut_since > self._limits.zero_window_seconds:
            return "flow-control window shut for too long"
        return ""

    def _check_rate(self, now: float, sender: Sender) -> str:
        elapsed = now - self._owing_since
        if elapsed <= self._limits.minimum_rate_after_seconds:
            return ""
        if sender.sent_bytes - self._base < elapsed * self._limits.minimum_rate_bytes_per_second:
            # A window that is shut has the longer deadline of its own.
            return "" if self._shut_since else "response read too slowly"
        return ""
