"""Content that only the disk holds, for one client: opened before its fields go out.

Decides nothing about caching. A body that is not there, or is not what was stored, is found out
before the first octet is promised; what goes wrong behind that breaks the message off.
"""

from typing import Final

from edgeproxy.edge.deliver import Part, select
from edgeproxy.edge.view import View
from edgeproxy.errors import StoreError, UpstreamError
from edgeproxy.http.conditionals import Precondition
from edgeproxy.http.messages import Request
from edgeproxy.store.large import OpenBody
from edgeproxy.store.memory import MemoryStore

PIECE_BYTES: Final = 256 * 1024
"""Read at once, and held for a client at most, as much as listeners hold: half of it costs twice
the CPU, since most of that is the way to a thread and back."""


class LargeContent:
    """One client's reading of a large body; whoever is given it closes it."""

    __slots__ = ("_body", "_end", "_position")

    def __init__(self, body: OpenBody, length: int) -> None:
        self._body = body
        self._position = 0
        self._end = length

    def only(self, first: int, last: int) -> "LargeContent":
        """Narrow to the bytes from `first` to `last`, both inclusive; before the first read."""
        self._position, self._end = first, last + 1
        return self

    def __aiter__(self) -> "LargeContent":
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece; raises `UpstreamError` where the disk fails."""
        size = min(PIECE_BYTES, self._end - self._position)
        if size <= 0:
            self.close()
            raise StopAsyncIteration
        try:
            piece = await self._body.read(self._position, size)
        except StoreError as error:
            raise UpstreamError("proxy_internal_error", 500, str(error)) from error
        self._position += size
        return piece

    def close(self) -> None:
        """Read no more; may be said twice."""
        self._body.close()

    async def aclose(self) -> None:
        """Read no more, as listeners say it."""
        self.close()


async def content_of(
    store: MemoryStore, request: Request, view: View
) -> bytes | LargeContent | None:
    """Return what answers are cut from, opened if any of it is to be sent; None: it is gone."""
    length = view.large_length
    if length is None:
        return view.body
    if not _is_sent(request, view, length):
        return b""
    body = await store.open(view.stored)
    return None if body is None else LargeContent(body, length)


def _is_sent(request: Request, view: View, length: int) -> bool:
    selected = select(request, view.representation, length)
    return request.method == b"GET" and (
        selected is Precondition.PASS or isinstance(selected, Part)
    )
