"""One connection's requests, out of the bytes that arrive (RFC 9112).

Bytes are fed as they come and pulled as values: a head, then its content piece by piece, then
the next head. What nobody has pulled stays here as bytes, so that `buffered` is all that a
connection can make us hold, and its owner can bound it by not feeding.

Invariants: a head of any size limit is refused before it is buffered whole; after a refusal
nothing is ever pulled again; the same bytes give the same values however they were split.
"""

from edgeproxy.errors import DownstreamError
from edgeproxy.wire.h1.chunked import ChunkedDecoder
from edgeproxy.wire.h1.head import HeadParser, RequestHead, check_begun
from edgeproxy.wire.limits import Limits

# Section 2.2 asks for one; some clients send a CRLF behind every body.
_EMPTY_LINES_MAX = 4


class RequestReader:
    """Reads requests from one connection of that scheme.

    `trailers` are those of the content that was pulled last, once it has ended.
    """

    __slots__ = (
        "_chunked",
        "_data",
        "_empty_lines",
        "_fault",
        "_limits",
        "_parser",
        "_position",
        "_rest",
        "_scanned",
        "trailers",
    )

    def __init__(self, scheme: bytes, limits: Limits) -> None:
        self._limits = limits
        self._parser = HeadParser(scheme, limits)
        self._data = b""
        self._position = 0
        self._scanned = 0
        self._empty_lines = 0
        self._rest = 0
        self._chunked: ChunkedDecoder | None = None
        self._fault: DownstreamError | None = None
        self.trailers: list[tuple[bytes, bytes]] = []

    @property
    def buffered(self) -> int:
        """How many bytes were fed and not pulled."""
        return len(self._data) - self._position

    @property
    def is_in_content(self) -> bool:
        """Whether content of the latest head is still to be pulled."""
        return self._rest > 0 or self._chunked is not None

    @property
    def content_left(self) -> int | None:
        """How many bytes of content are still to come; None where only the client knows."""
        return None if self._chunked is not None else self._rest

    @property
    def is_broken(self) -> bool:
        """Whether something was refused; nothing will be pulled any more."""
        return self._fault is not None

    def count_heads(self) -> int:
        """Count roughly the whole requests that wait, if none of them has content."""
        return self._data.count(b"\r\n\r\n", self._position)

    def feed(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self._data:
            self._scanned = max(0, self._scanned - self._position)
            self._data = self._data[self._position :] + data
            self._position = 0
        else:
            self._data = data

    def _consume(self, position: int) -> None:
        """Go on at `position`; hold no bytes that were pulled, while a connection idles."""
        if position == len(self._data):
            self._data = b""
            position = 0
        self._position = position
        self._scanned = 0

    def next_head(self) -> RequestHead | None:
        """Pull the next request's head; None until all of it has arrived.

        Must not be called while `is_in_content`.

        Raises:
            DownstreamError: The answer that must end the connection.
        """
        if self._fault is not None:
            raise self._fault
        try:
            return self._next_head()
        except DownstreamError as fault:
            self._fault = fault
            raise

    def _next_head(self) -> RequestHead | None:
        if not self._data:
            return None
        if self._data.startswith(b"\r\n", self._position):
            self._skip_empty_lines()
        data, start = self._data, self._position
        scanned = max(start, self._scanned)
        end = data.find(b"\r\n\r\n", scanned)
        if end < 0:
            check_begun(data[start:], self._limits, since=scanned - start)
            self._scanned = max(start, len(data) - 3)
            return None
        self._consume(end + 4)
        self._empty_lines = 0
        self.trailers = []
        head = self._parser.parse(data[start : end + 4])
        if head.framing.is_chunked:
            self._chunked = ChunkedDecoder()
        else:
            self._rest = head.framing.content_length or 0
        return head

    def _skip_empty_lines(self) -> None:
        position = self._position
        while self._data.startswith(b"\r\n", position):
            position += 2
            self._empty_lines += 1
        if self._empty_lines > _EMPTY_LINES_MAX:
            raise DownstreamError(400, "empty-lines", close=True)
        self._consume(position)

    def next_content(self) -> bytes:
        """Pull what has arrived of the content; b"" for nothing yet or nothing more.

        Raises:
            DownstreamError: The content can never become complete.
        """
        if self._fault is not None:
            raise self._fault
        if self._chunked is None:
            piece = self._data[self._position : self._position + self._rest]
            self._consume(self._position + len(piece))
            self._rest -= len(piece)
            return piece
        try:
            piece, position = self._chunked.decode(self._data, self._position)
        except DownstreamError as fault:
            self._fault = fault
            raise
        self._consume(position)
        if self._chunked.is_complete:
            self.trailers = self._chunked.trailers
            self._chunked = None
        return piece
