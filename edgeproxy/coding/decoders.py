"""Decoders of br, zstd and gzip that a hostile body can neither fill memory with nor confuse.

What is decoded comes in pieces of at most `PIECE_BYTES_MAX`, each checked before the next one is
made, so that a bomb is refused when its first MiB is there and not after its first GB. The codings
end by themselves: content that goes on behind the end, or stops before it, is malformed, and no
part of it may be kept. A body may be several gzip members or zstd frames in a row (RFC 1952 section
2.2, RFC 8878 section 3.1); brotli has one stream. All three libraries release the GIL while they
decode; one decoder belongs to one thread at a time.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import brotli
import zstandard

from edgeproxy.coding.encoders import CODINGS
from edgeproxy.coding.zstd_blocks import BLOCK_BYTES_MAX, BlockEnds
from edgeproxy.errors import CodingError

DECODABLE = frozenset(CODINGS)

PIECE_BYTES_MAX = BLOCK_BYTES_MAX
"""The longest piece that `Decoder.feed` yields: the largest step of the three is zstd's block."""

# What is asked for at once; brotli rounds it up to 96 KiB.
_OUTPUT_STEP = 64 * 1024

# The libraries copy what they could not consume yet, at every step: short slices keep that cheap.
_INPUT_SLICE = 16 * 1024

_RATIO_COUNTS_BEYOND = 1024 * 1024
"""Short bodies may shrink as they like: a page of blanks is no attack."""

ZSTD_WINDOW_BYTES_MAX = 8 * 1024 * 1024
"""What every decoder must have, and none more than (RFC 9659)."""

_GZIP_WRAPPER = 16 + zlib.MAX_WBITS


class _Format(Protocol):
    """One coding, without limits; raises its library's errors."""

    def pieces(self, data: memoryview) -> Iterator[bytes]:
        """Decode a slice that is not empty, step by step."""

    def is_complete(self) -> bool:
        """Tell whether the content may end here."""


class Decoder:
    """Decodes one body within limits; after an error it is of no use any more."""

    def __init__(self, form: _Format, *, bytes_max: int, ratio_max: int) -> None:
        self._format = form
        self._bytes_max = bytes_max
        self._ratio_max = ratio_max
        self._coded_bytes = 0
        self._decoded_bytes = 0

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Decode `data`, as the caller iterates: to the end, before anything else is called.

        Raises:
            CodingError: it is malformed, or becomes larger than the limits allow.
        """
        view = memoryview(data)
        for start in range(0, len(view), _INPUT_SLICE):
            piece = view[start : start + _INPUT_SLICE]
            self._coded_bytes += len(piece)
            yield from self._decoded(piece)

    def _decoded(self, data: memoryview) -> Iterator[bytes]:
        try:
            for piece in self._format.pieces(data):
                self._count(len(piece))
                if piece:
                    yield piece
        except (zlib.error, brotli.error, zstandard.ZstdError) as error:
            raise CodingError(f"malformed: {error}") from error

    def _count(self, decoded_bytes: int) -> None:
        self._decoded_bytes += decoded_bytes
        if self._decoded_bytes > self._bytes_max:
            raise CodingError(f"decodes to more than {self._bytes_max} octets")
        allowed = max(_RATIO_COUNTS_BEYOND, self._ratio_max * self._coded_bytes)
        if self._decoded_bytes > allowed:
            raise CodingError(f"decodes to more than {self._ratio_max} times its length")

    def finish(self) -> None:
        """State that nothing follows.

        Raises:
            CodingError: the content does not end here; no octets at all are no content either.
        """
        if not self._format.is_complete():
            raise CodingError("ends too early")


class _Gzip:
    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_WRAPPER)

    def pieces(self, data: memoryview) -> Iterator[bytes]:
        rest: bytes | memoryview = data
        while True:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP_WRAPPER)
            piece = self._member.decompress(rest, _OUTPUT_STEP)
            yield piece
            rest = self._member.unused_data or self._member.unconsumed_tail
            # A full step may leave output behind, although all input has been read.
            if not rest and (self._member.eof or len(piece) < _OUTPUT_STEP):
                return

    def is_complete(self) -> bool:
        return self._member.eof


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    def pieces(self, data: memoryview) -> Iterator[bytes]:
        # Raises for what follows the end of the stream.
        piece = self._stream.process(data, output_buffer_limit=_OUTPUT_STEP)
        yield piece
        # It tells of input that it could not take, but not of output that it keeps back.
        while not self._stream.is_finished() and (piece or not self._stream.can_accept_more_data()):
            piece = self._stream.process(b"", output_buffer_limit=_OUTPUT_STEP)
            yield piece

    def is_complete(self) -> bool:
        return bool(self._stream.is_finished())


_ZSTD_HEADER_BYTES_MAX = 18  # magic number and frame header (RFC 8878 section 3.1.1)


class _Zstd:
    """zstd has no limit for the output of a call, so that no call may see more than one block.

    Nor does it compare the size that a frame declares with an empty last block's end (RFC 8878
    section 3.1.1.1.4), unless it sees the whole frame at once.
    """

    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES_MAX)
        self._begin()

    def _begin(self) -> None:
        self._frame = self._decompressor.decompressobj()
        self._ends = BlockEnds()
        self._head = b""
        self._made = 0

    def pieces(self, data: memoryview) -> Iterator[bytes]:
        rest: bytes | memoryview = data
        while rest:
            if self._frame.eof:
                self._begin()
            end = self._ends.advance(rest)
            self._head += rest[: min(end, _ZSTD_HEADER_BYTES_MAX - len(self._head))]
            piece = self._frame.decompress(rest[:end])
            self._made += len(piece)
            if self._frame.eof and self._made != self._declared():
                raise zstandard.ZstdError("not of the size that it declares")
            yield piece
            # The frame ends where the library says so.
            rest = rest[end - len(self._frame.unused_data) :]

    def _declared(self) -> int:
        if not self._head.startswith(zstandard.FRAME_HEADER):
            return self._made  # a frame to be skipped
        size = zstandard.get_frame_parameters(self._head).content_size
        return self._made if size == zstandard.CONTENTSIZE_UNKNOWN else size

    def is_complete(self) -> bool:
        return self._frame.eof


_FORMATS: dict[bytes, Callable[[], _Format]] = {b"br": _Brotli, b"zstd": _Zstd, b"gzip": _Gzip}


def decoder(coding: bytes, *, bytes_max: int, ratio_max: int = 100) -> Decoder:
    """Return a new decoder of one of `DECODABLE`.

    It refuses more than `bytes_max` octets of decoded content and, beyond the first MiB, more than
    `ratio_max` times the coded octets seen; 100 is far above what text reaches and a tenth of what
    gzip can do at most.

    Raises:
        ValueError: the coding is none of them.
    """
    if coding not in _FORMATS:
        raise ValueError(f"no decoder for {coding!r}")
    return Decoder(_FORMATS[coding](), bytes_max=bytes_max, ratio_max=ratio_max)


def decode(
    body: bytes | memoryview, coding: bytes, *, bytes_max: int, ratio_max: int = 100
) -> bytes:
    """Return the whole body decoded, under the rules of `decoder`.

    Raises:
        CodingError: it is malformed, not complete, or larger than the limits allow.
    """
    one = decoder(coding, bytes_max=bytes_max, ratio_max=ratio_max)
    decoded = b"".join(one.feed(body))
    one.finish()
    return decoded
