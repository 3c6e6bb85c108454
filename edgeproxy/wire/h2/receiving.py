"""The receiving half of a connection: what a peer may send us, and what it gets back (section 6.9).

The mirror of `sending.py`, and smaller: it keeps no content, only counts it. Every byte of a DATA
frame, its padding included, takes from two windows. The connection's gets it back exactly once:
when the content is used (`credit`), or when its stream is gone (`release`). The stream's gets it
back only when the content is used, so that what waits for a slow reader is bounded.
"""

from collections.abc import Iterable

from edgeproxy.errors import ConnectionFault, StreamFault
from edgeproxy.wire.h2 import codes
from edgeproxy.wire.h2.frames import WINDOW_DEFAULT, window_update_frame
from edgeproxy.wire.h2.sending import Sender
from edgeproxy.wire.h2.streams import Stream

# What all streams together may send us before we take it: 16 full stream windows.
CONNECTION_WINDOW_IN = 1024 * 1024


class Receiver:
    """Both windows of the peer's, and WINDOW_UPDATE frames for half a window at a time.

    `initial_window` is that of new streams: never less than the default before the peer has
    acknowledged our SETTINGS, since until then it may not know better (section 6.9.2).
    """

    __slots__ = ("_credit", "_sender", "_window", "_wished_window", "initial_window")

    def __init__(self, sender: Sender, stream_window: int) -> None:
        self._sender = sender
        self._wished_window = stream_window
        self.initial_window = max(stream_window, WINDOW_DEFAULT)
        self._window = CONNECTION_WINDOW_IN
        self._credit = 0
        sender.append(window_update_frame(0, CONNECTION_WINDOW_IN - WINDOW_DEFAULT))

    def take(self, size: int) -> None:
        """Count a DATA frame's payload against the connection's window."""
        self._window -= size
        if self._window < 0:
            raise ConnectionFault(codes.FLOW_CONTROL_ERROR, "DATA over the connection's window")

    def take_on(self, stream: Stream, size: int) -> None:
        """Count a DATA frame's payload against its stream's window as well."""
        stream.window_in -= size
        stream.unused_bytes += size
        if stream.window_in < 0:
            raise StreamFault(stream.id, codes.FLOW_CONTROL_ERROR, "DATA over the stream's window")

    def credit(self, stream: Stream, size: int) -> None:
        """Give back both windows for content that was used, as far as that is still open."""
        size = min(size, stream.unused_bytes)
        stream.unused_bytes -= size
        stream.credit += size
        if stream.credit * 2 >= self._wished_window and not stream.is_remote_ended:
            self._sender.append(window_update_frame(stream.id, stream.credit))
            stream.window_in += stream.credit
            stream.credit = 0
        self.credit_connection(size)

    def credit_connection(self, size: int) -> None:
        """Give back the connection's window for content that no stream waits for."""
        self._credit += size
        if self._credit * 2 >= CONNECTION_WINDOW_IN:
            self._sender.append(window_update_frame(0, self._credit))
            self._window += self._credit
            self._credit = 0

    def release(self, stream: Stream) -> None:
        """Give back what a stream that is gone has left unused."""
        self.credit_connection(stream.unused_bytes)
        stream.unused_bytes = 0

    def settle(self, streams: Iterable[Stream]) -> None:
        """Put our SETTINGS_INITIAL_WINDOW_SIZE in force: the peer has acknowledged it."""
        change = self._wished_window - self.initial_window
        self.initial_window = self._wished_window
        if change:
            for stream in streams:
                stream.window_in += change
