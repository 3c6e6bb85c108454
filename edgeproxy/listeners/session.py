"""The seam between a connection's bytes and the protocol spoken on it.

`listeners/tcp.py` owns the socket and TLS and drives a `Session`; the session answers through its
`Channel`. Neither knows more of the other than stands here.
"""

from collections.abc import Callable
from typing import Protocol

from edgeproxy.http.messages import ConnectionInfo

# Interim responses of one exchange; ours, as towards origins: a page sends one or two.
INTERIM_MAX = 16


class Channel(Protocol):
    """A byte stream to one peer, as its session sees it."""

    info: ConnectionInfo
    is_paused: bool  # above the high-water mark: produce nothing until `Session.writable`

    @property
    def unsent_bytes(self) -> int:
        """How much of what was written still waits in this process for the peer to take it."""

    def write(self, chunks: list[bytes | memoryview]) -> None:
        """Send all chunks, in order; the list may be reused by the caller afterwards."""

    def close(self) -> None:
        """End the stream in order: what was written is sent, then close_notify and FIN."""

    def abort(self) -> None:
        """Drop the connection at once; unsent bytes are lost."""

    def pause_reading(self) -> None:
        """Take no more bytes from the peer until `resume_reading`: back-pressure."""

    def resume_reading(self) -> None:
        """Take bytes from the peer again."""

    def later(self, work: Callable[[], object], seconds: float = 0.0) -> None:
        """Do `work` after what waits of other connections, though this one may be gone by then.

        `seconds` is what it starts and does not do itself; see `turns.Turns.later`.
        """


class Session(Protocol):
    """One protocol version on one connection. No method blocks and none raises."""

    def receive(self, data: bytes) -> None:
        """Take plaintext from the peer."""

    def writable(self) -> None:
        """The channel fell below its low-water mark: produce again."""

    def peer_closed(self) -> None:
        """The peer will send nothing more; it may still read."""

    def lost(self) -> None:
        """The connection is gone: cancel what runs for it and release everything."""

    def tick(self, now: float) -> None:
        """Check deadlines; about once a second with a monotonic `now`."""

    def drain(self) -> None:
        """Finish what is in flight, take nothing new, then close."""
