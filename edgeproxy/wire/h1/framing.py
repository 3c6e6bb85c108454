"""How long a request's content is (RFC 9112 section 6).

Decides from the Transfer-Encoding and Content-Length lines alone, and refuses whatever two
recipients could decide differently. Every refusal ends the connection: nobody knows where the
next request would begin.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edgeproxy.errors import DownstreamError
from edgeproxy.wire.h1.grammar import CONTENT_LENGTH


@dataclass(frozen=True, slots=True)
class Framing:
    """`content_length` is None without Content-Length; both unset means no content."""

    content_length: int | None = None
    is_chunked: bool = False


NO_CONTENT = Framing()
CHUNKED = Framing(is_chunked=True)


def framing_of(lengths: Sequence[bytes], codings: Sequence[bytes], *, version: bytes) -> Framing:
    """Return the framing that these Content-Length and Transfer-Encoding lines ask for.

    Raises:
        DownstreamError: 400 or 501, always to be followed by closing.
    """
    if codings:
        return _coded(lengths, codings, version)
    if not lengths:
        return NO_CONTENT
    # Identical repetitions could be folded into one (RFC 9110 section 8.6). No client sends
    # them, and the hop that takes the first is a different hop from the one that takes the list.
    if len(lengths) > 1 or not CONTENT_LENGTH.fullmatch(lengths[0]):
        raise DownstreamError(400, "content-length", close=True)
    return Framing(content_length=int(lengths[0]))


def _coded(lengths: Sequence[bytes], codings: Sequence[bytes], version: bytes) -> Framing:
    if lengths:
        raise DownstreamError(400, "transfer-encoding-and-content-length", close=True)
    if version == b"1.0":
        raise DownstreamError(400, "transfer-encoding-in-http-1.0", close=True)
    names = [name.strip(b" \t").lower() for name in b",".join(codings).split(b",")]
    if names[-1] != b"chunked" or b"chunked" in names[:-1]:
        raise DownstreamError(400, "chunked-not-final", close=True)
    if len(names) > 1:
        raise DownstreamError(501, "transfer-coding", close=True)
    return CHUNKED
