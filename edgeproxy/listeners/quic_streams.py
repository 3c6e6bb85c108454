"""The seam between a QUIC connection's streams and the HTTP/3 spoken on them (RFC 9114).

`quic/` owns packets, loss, windows and the order of sending and knows no HTTP; `listeners/http3.py`
knows streams and no packets. Neither knows more of the other than stands here. Everything is
synchronous: what a datagram brings is answered before the next transmission.
"""

from collections.abc import Callable
from typing import Protocol

from edgeproxy.http.messages import ConnectionInfo


class QuicStreams(Protocol):
    """One connection, as HTTP/3 sees it. Nothing here raises for the peer's sake.

    What is asked for a stream that is gone, or of a connection that is, is done by doing nothing.
    While `is_early`, all that comes may be somebody else's recording (RFC 8470 section 3): the
    handshake is not complete. It is False from then on.
    """

    info: ConnectionInfo
    is_early: bool

    def open_unidirectional(self) -> int:
        """Return the next unidirectional stream of ours."""

    def room(self, stream_id: int) -> int:
        """Return the octets that may be queued on a stream now.

        Bounded by acknowledgement: what is unacknowledged and what is unsent fit a window, one
        per stream and one per connection.
        """

    def send(self, stream_id: int, data: bytes | memoryview, *, end: bool = False) -> None:
        """Queue data; never more than `room` but for heads of up to 16 KiB."""

    def reset(self, stream_id: int, code: int) -> None:
        """Send RESET_STREAM; what is queued is dropped."""

    def stop(self, stream_id: int, code: int) -> None:
        """Send STOP_SENDING; what still comes is given to `received` until the stream ends."""

    def consumed(self, stream_id: int, octets: int) -> None:
        """Give receive credit back: windows open as content is used, and not before."""

    def prioritise(self, stream_id: int, urgency: int, *, incremental: bool) -> None:
        """Set a stream's place in the order of sending (RFC 9218 section 10)."""

    def close(self, code: int, reason: str = "") -> None:
        """End the connection: CONNECTION_CLOSE with an error code of HTTP/3."""

    def later(self, work: Callable[[], object], seconds: float = 0.0) -> None:
        """Do `work` in this client's turn; see `turns.Turns.later`."""


class Http3Side(Protocol):
    """What a QUIC connection calls. No method blocks and none raises."""

    def received(self, stream_id: int, data: bytes, *, end: bool) -> None:
        """Take a stream's next data, in order; nothing comes behind `end`."""

    def was_reset(self, stream_id: int, code: int) -> None:
        """Take the peer's RESET_STREAM: nothing more comes on that stream."""

    def was_stopped(self, stream_id: int, code: int) -> None:
        """Take the peer's STOP_SENDING: nothing more is read of that stream."""

    def writable(self, stream_id: int) -> None:
        """Go on with a stream whose `room` was too little and is some again."""

    def tick(self, now: float) -> None:
        """Check deadlines; about once a second with a monotonic `now`."""

    def drain(self) -> None:
        """Finish what is in flight, take nothing new, then close."""

    def lost(self) -> None:
        """The connection is gone: cancel what runs for it and release everything."""
