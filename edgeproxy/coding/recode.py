"""From one content coding to another in one pass, identity being one of them.

The identity form between two codings exists only a piece at a time. Releases the GIL as the
libraries do (`encoders`, `decoders`); one `Recoder` belongs to one thread at a time.
"""

from collections.abc import Iterable

from edgeproxy.coding.decoders import decode, decoder
from edgeproxy.coding.encoders import Level, encode, encoder
from edgeproxy.http.codings import IDENTITY


class Recoder:
    """Turns one body that comes in `source` into `target`, piece by piece.

    `bytes_max` bounds the decoded content of a coded source. A `feed` returns all that its octets
    make: with identity as target that may be many times their number, within the limits of
    `decoders`.

    Raises:
        ValueError: there is nothing to do, or a coding is none of `CODINGS`.
    """

    def __init__(self, source: bytes, target: bytes, *, level: Level, bytes_max: int) -> None:
        if source == target:
            raise ValueError(f"recoding {source!r} into itself")
        self._decoder = None if source == IDENTITY else decoder(source, bytes_max=bytes_max)
        self._encoder = None if target == IDENTITY else encoder(target, level=level)

    def feed(self, data: bytes | memoryview) -> bytes:
        """Take octets of the source and return what of the target is ready.

        Raises:
            CodingError: the source is malformed, or larger than the limits allow.
        """
        pieces: Iterable[bytes | memoryview] = (
            self._decoder.feed(data) if self._decoder else (data,)
        )
        if self._encoder:
            pieces = map(self._encoder.feed, pieces)
        return b"".join(pieces)

    def flush(self) -> bytes:
        """Return what makes everything fed so far decodable."""
        return self._encoder.flush() if self._encoder else b""

    def finish(self) -> bytes:
        """Return the rest of the target.

        Raises:
            CodingError: the source does not end here.
        """
        if self._decoder:
            self._decoder.finish()
        return self._encoder.finish() if self._encoder else b""


def recode(
    body: bytes | memoryview, source: bytes, target: bytes, *, level: Level, bytes_max: int
) -> bytes:
    """Return the whole body recoded, under the rules of `Recoder`.

    What comes out depends on the identity form, `target` and `level` only, so that it is the same
    wherever the body came from; with a coded source the whole identity form is held meanwhile.

    Raises:
        CodingError: the body is malformed, not complete, or larger than the limits allow.
        ValueError: there is nothing to do, or a coding is none of `CODINGS`.
    """
    if source == target:
        raise ValueError(f"recoding {source!r} into itself")
    if source != IDENTITY:
        body = decode(body, source, bytes_max=bytes_max)
    return bytes(body) if target == IDENTITY else encode(body, target, level=level)
