"""Chunked content of an origin, walked beside aiohttp's parser, for what that throws away.

aiohttp drops trailers, though not before it took some of them for framing, and takes chunk lines
that other recipients read differently (a bare LF, blanks behind the size). So our own decoder goes
over the framing first: aiohttp gets no octet that it refused, no trailer, and nothing behind the
end that it found (RFC 9112 sections 7.1 and 9.2). Pure.
"""

from edgeproxy.errors import DownstreamError
from edgeproxy.http.messages import Field
from edgeproxy.origin.faults import fault
from edgeproxy.wire.h1.chunked import ChunkedDecoder


class ChunkWalker:
    """Finds the end of one message's content; keeps no more than one unfinished line."""

    __slots__ = ("_decoder", "_line")

    def __init__(self) -> None:
        self._decoder = ChunkedDecoder()
        self._line = b""

    @property
    def is_complete(self) -> bool:
        """Whether the last chunk and the trailer section have come."""
        return self._decoder.is_complete

    @property
    def trailers(self) -> list[Field]:
        """The lines behind the content so far, names in lower case."""
        return self._decoder.trailers

    def walk(self, data: bytes) -> tuple[int, int]:
        """Go over what comes next.

        Returns where in it the chunks end, and where the trailer section behind them does; both
        are its length while there is more to come, and 0 where there was nothing.

        Raises:
            UpstreamError: chunks or trailers that we do not believe.
        """
        decoder, behind, size = self._decoder, len(self._line), len(data)
        data = self._line + data
        try:
            chunks_end = 0 if decoder.is_behind_content else decoder.skip(data, 0)
            end = decoder.skip(data, chunks_end) if decoder.is_behind_content else chunks_end
        except DownstreamError as error:  # the decoder was made for requests
            if error.reason == "trailers-size":
                word = "http_response_trailer_section_size"
                raise fault(word, "the trailers do not end") from None
            raise fault("http_protocol_error", f"not chunked content: {error.reason}") from None
        if decoder.is_complete:
            return max(chunks_end - behind, 0), end - behind
        self._line = data[end:]
        return max(chunks_end - behind, 0) if decoder.is_behind_content else size, size
