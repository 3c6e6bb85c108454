"""Content in the chunked transfer coding (RFC 9112 section 7.1).

Extensions are checked, bounded and dropped: none is known. Trailers are checked, bounded and kept
apart: they never become fields (RFC 9111 section 3.1). llhttp could decode this too, but not say
where the content ended, and behind it waits the next request.
"""

from edgeproxy.errors import DownstreamError
from edgeproxy.wire.h1.grammar import CHUNK_LINE, CHUNK_LINE_BEGUN, TRAILER, TRAILER_BEGUN

_LINE_BYTES_MAX = 1024  # a size and its extensions; others take one buffer, 4 to 16 KiB
_EXTENSIONS_BYTES_MAX = 8 * 1024  # of all chunks: else a body is endless and yet has no byte
_TRAILERS_BYTES_MAX = 8 * 1024

_SIZE, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)


class ChunkedDecoder:
    """Decodes the content of one message; the bytes stay in the caller's buffer.

    `trailers` are the lines behind the content so far, names in lower case.
    """

    __slots__ = ("_budget_extensions", "_budget_trailers", "_rest", "_state", "trailers")

    def __init__(self) -> None:
        self._state = _SIZE
        self._rest = 0
        self._budget_extensions = _EXTENSIONS_BYTES_MAX
        self._budget_trailers = _TRAILERS_BYTES_MAX
        self.trailers: list[tuple[bytes, bytes]] = []

    @property
    def is_complete(self) -> bool:
        """Whether the last chunk and the trailer section were decoded."""
        return self._state == _DONE

    @property
    def is_behind_content(self) -> bool:
        """Whether the last chunk was decoded: only trailers can come."""
        return self._state >= _TRAILERS

    def decode(self, data: bytes, position: int) -> tuple[bytes, int]:
        """Return the content that begins at `position`, and the position behind it.

        Small chunks are joined. Without content either more data is needed or all is complete.

        Raises:
            DownstreamError: 400; nothing behind `position` means anything any more.
        """
        pieces: list[bytes] = []
        position = self._advance(data, position, pieces, _DONE)
        return b"".join(pieces), position

    def skip(self, data: bytes, position: int) -> int:
        """Go on as `decode` does, for somebody who has the content already.

        Stops once behind the last chunk: there the trailer section begins.

        Raises:
            DownstreamError: as `decode`.
        """
        return self._advance(data, position, None, _DONE if self.is_behind_content else _TRAILERS)

    def _advance(self, data: bytes, position: int, pieces: list[bytes] | None, until: int) -> int:
        while self._state < until:
            before = position, self._state
            if self._state == _DATA:
                end = min(position + self._rest, len(data))
                if pieces is not None:
                    pieces.append(data[position:end])
                self._rest -= end - position
                position = end
                if not self._rest:
                    self._state = _DATA_END
            else:
                position = self._line(data, position)
            if before == (position, self._state):
                break
        return position

    def _line(self, data: bytes, position: int) -> int:
        """Move over one line between the pieces; stay where it has not arrived whole."""
        if self._state == _SIZE:
            return self._size_line(data, position)
        if data.startswith(b"\r\n", position):
            self._state = _SIZE if self._state == _DATA_END else _DONE
            return position + 2
        if self._state == _TRAILERS:
            return self._trailer_line(data, position)
        if data[position : position + 2] not in (b"", b"\r"):
            raise DownstreamError(400, "chunk-end", close=True)
        return position

    def _size_line(self, data: bytes, position: int) -> int:
        match = CHUNK_LINE.match(data, position)
        if match is None:
            # Up to the CR of a line of the greatest length, without its LF.
            rest = data[position : position + _LINE_BYTES_MAX + 2]
            if len(rest) > _LINE_BYTES_MAX + 1 or not CHUNK_LINE_BEGUN.fullmatch(rest):
                raise DownstreamError(400, "chunk-size", close=True)
            return position
        self._budget_extensions -= len(match[2] or b"")
        if match.end() - position > _LINE_BYTES_MAX + 2 or self._budget_extensions < 0:
            raise DownstreamError(400, "chunk-extensions", close=True)
        self._rest = int(match[1], 16)
        self._state = _DATA if self._rest else _TRAILERS
        return match.end()

    def _trailer_line(self, data: bytes, position: int) -> int:
        match = TRAILER.match(data, position)
        end = match.end() if match else len(data)
        if end - position > self._budget_trailers:
            raise DownstreamError(431, "trailers-size", close=True)
        if match is None:
            if not TRAILER_BEGUN.fullmatch(data, position):
                raise DownstreamError(400, "trailer", close=True)
            return position
        self._budget_trailers -= end - position
        name, _, value = data[position : end - 2].partition(b":")
        self.trailers.append((name.lower(), value.strip(b" \t")))
        return end
