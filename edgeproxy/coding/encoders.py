"""Encoders of br (RFC 7932), zstd (RFC 8878) and gzip (RFC 1952) behind one shape.

Decides nothing about what is coded and when. The same body always comes out the same, however it is
divided, so that a strong entity tag may stand for it: no time or name goes into a coded body. Only
a `flush`, and for zstd whether the size is known, makes a difference. All three libraries release
the GIL while they code, so that an encoder may run in a thread beside the event loop; one encoder
belongs to one thread at a time.
"""

import zlib
from collections.abc import Callable
from typing import Literal, Protocol

import brotli
import zstandard

Level = Literal["fast", "best"]
"""`fast` keeps up with a fill; `best` takes seconds for a megabyte and is for the background."""

_QUALITY = {"fast": 5, "best": 11}
"""brotli. Its window stays at 4 MiB: a larger one costs every client that memory."""

_ZSTD_LEVEL = {"fast": 3, "best": 19}
"""Levels above 19 ask for more than the 8 MiB of window that RFC 9659 allows."""

_DEFLATE_LEVEL = {"fast": 6, "best": 9}

_GZIP_WRAPPER = 16 + zlib.MAX_WBITS

# Given megabytes at once, the libraries choose other matches than for the same in pieces.
_PIECE_BYTES = 64 * 1024


class Encoder(Protocol):
    """Codes one body, piece by piece; nothing may be called after `finish`."""

    def feed(self, data: bytes | memoryview) -> bytes:
        """Take octets and return what of the coded body is ready, often nothing."""

    def flush(self) -> bytes:
        """Return what makes everything fed so far decodable, at the price of a worse ratio."""

    def finish(self) -> bytes:
        """Return the rest of the coded body."""


class _Brotli:
    def __init__(self, level: Level, _size: int | None) -> None:
        self._compressor = brotli.Compressor(quality=_QUALITY[level])

    def feed(self, data: bytes | memoryview) -> bytes:
        coded: bytes = self._compressor.process(data)
        return coded

    def flush(self) -> bytes:
        coded: bytes = self._compressor.flush()
        return coded

    def finish(self) -> bytes:
        coded: bytes = self._compressor.finish()
        return coded


class _Zstd:
    def __init__(self, level: Level, size: int | None) -> None:
        compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL[level])
        self._frame = compressor.compressobj() if size is None else compressor.compressobj(size)

    def feed(self, data: bytes | memoryview) -> bytes:
        return self._frame.compress(data)

    def flush(self) -> bytes:
        return self._frame.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def finish(self) -> bytes:
        return self._frame.flush()


class _Gzip:
    def __init__(self, level: Level, _size: int | None) -> None:
        # zlib's own wrapper leaves the time of modification at 0.
        self._member = zlib.compressobj(_DEFLATE_LEVEL[level], zlib.DEFLATED, _GZIP_WRAPPER)

    def feed(self, data: bytes | memoryview) -> bytes:
        return self._member.compress(data)

    def flush(self) -> bytes:
        return self._member.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._member.flush()


_ENCODERS: dict[bytes, Callable[[Level, int | None], Encoder]] = {
    b"br": _Brotli,
    b"zstd": _Zstd,
    b"gzip": _Gzip,
}

CODINGS: tuple[bytes, ...] = tuple(_ENCODERS)
"""What can be coded, in the order of preference: br is the densest, gzip the most widely known."""


def encoder(coding: bytes, *, level: Level, size: int | None = None) -> Encoder:
    """Return a new encoder of one of `CODINGS`.

    `size` is exactly how many octets will be fed, where that is known: zstd states it, and spares
    80 MiB of memory and 90 ms for a short body at the best level.

    Raises:
        ValueError: the coding is none of them.
    """
    if coding not in _ENCODERS:
        raise ValueError(f"no encoder for {coding!r}")
    return _ENCODERS[coding](level, size)


def encode(body: bytes | memoryview, coding: bytes, *, level: Level) -> bytes:
    """Return the whole body coded: what an `encoder` of its size returns that is never flushed."""
    one = encoder(coding, level=level, size=len(body))
    view = memoryview(body)
    pieces = [one.feed(view[at : at + _PIECE_BYTES]) for at in range(0, len(view), _PIECE_BYTES)]
    return b"".join(pieces) + one.finish()
