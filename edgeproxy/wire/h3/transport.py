"""What HTTP/3 needs of QUIC: the streams of one connection (RFC 9114 section 6, RFC 9000).

A part of `listeners/quic_streams.QuicStreams`, which says the same with more of a connection.
"""

from typing import Protocol

# What may be sent beyond `room`: a field section of the usual size, and never content.
HEAD_BYTES_MAX = 16 * 1024


class Transport(Protocol):
    """One connection's streams; nothing here raises, and what is gone is left alone."""

    def open_unidirectional(self) -> int:
        """Return the next unidirectional stream of ours."""

    def room(self, stream_id: int) -> int:
        """Return the octets that may be queued on a stream now."""

    def send(self, stream_id: int, data: bytes | memoryview, *, end: bool = False) -> None:
        """Queue data; never more than `room` but for heads of up to `HEAD_BYTES_MAX`."""

    def reset(self, stream_id: int, code: int) -> None:
        """Break off what we send."""

    def stop(self, stream_id: int, code: int) -> None:
        """Refuse what the peer sends."""

    def consumed(self, stream_id: int, octets: int) -> None:
        """Give receive credit back."""

    def prioritise(self, stream_id: int, urgency: int, *, incremental: bool) -> None:
        """Set a stream's place in the order of sending."""

    def close(self, code: int, reason: str = "") -> None:
        """End the connection."""
