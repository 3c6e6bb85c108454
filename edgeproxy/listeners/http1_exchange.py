"""One request and its response on an HTTP/1.1 connection.

Keeps what has been promised to the client about the message and frames the body accordingly: a
body that breaks the promise is an error here, before the client could take the next response's
bytes for the rest of this one (RFC 9112 section 11.1). Sends nothing itself.
"""

import asyncio
from collections.abc import AsyncIterator

from edgeproxy.errors import UpstreamError
from edgeproxy.http.messages import Fields, Request, Response
from edgeproxy.http.trailers import accepts_trailers
from edgeproxy.listeners.http1_body import RequestBody
from edgeproxy.wire.h1.encode import Ending, encode_chunk, encode_head, encode_last_chunk
from edgeproxy.wire.h1.head import RequestHead


class Exchange:
    """What is known of one request on its connection.

    `rest` is what remains to be sent of a body that is in memory; `task` runs what cannot be
    answered at once; `response` is None until its turn has come.
    """

    __slots__ = (
        "_length",
        "body",
        "ending",
        "head",
        "interims",
        "keeps_alive",
        "request",
        "response",
        "rest",
        "sent",
        "task",
    )

    def __init__(self, request: Request, head: RequestHead) -> None:
        self.request = request
        self.head = head
        self.body: RequestBody | None = None
        self.response: Response | None = None
        self.task: asyncio.Task[None] | None = None
        self.rest: bytes | memoryview = b""
        self.ending = Ending.NO_CONTENT
        self.keeps_alive = False
        self.sent = 0
        self.interims = 0
        self._length = 0

    def start(self, response: Response, *, keeps_alive: bool) -> bytes:
        """Return the response's head; a body in memory is `rest` from now on.

        Raises:
            ValueError: The body in memory has not the length that the fields say.
        """
        self.response = response
        body = response.body
        head = encode_head(
            response.status,
            response.sections,
            length=len(body) if isinstance(body, bytes | memoryview) else None,
            is_head=self.request.method == b"HEAD",
            is_http_1_0=self.head.version == b"1.0",
            keeps_alive=keeps_alive,
        )
        self.ending = head.ending
        self.keeps_alive = head.keeps_alive
        self._length = head.length
        if isinstance(body, bytes | memoryview) and head.ending is not Ending.NO_CONTENT:
            self.rest = body
        return head.data

    @property
    def stream(self) -> AsyncIterator[bytes] | None:
        """The body of a response that has begun, if it has to be iterated."""
        body = self.response.body if self.response is not None else b""
        return None if isinstance(body, bytes | memoryview) else body

    def take(self, size: int) -> bytes | memoryview:
        """Return at most `size` bytes of `rest`, without copying them."""
        rest = self.rest
        if len(rest) <= size:
            self.rest = b""
            piece = rest
        else:
            view = memoryview(rest)
            piece, self.rest = view[:size], view[size:]
        self.sent += len(piece)
        return piece

    def frame(self, piece: bytes | memoryview) -> list[bytes | memoryview]:
        """Return a piece of a streamed body, not empty, as it goes over the wire.

        Raises:
            UpstreamError: It is more than the head said.
        """
        self.sent += len(piece)
        if self.ending is Ending.CHUNKED:
            return encode_chunk(piece)
        if self.ending is Ending.LENGTH and self.sent > self._length:
            self.sent -= len(piece)
            raise UpstreamError("http_protocol_error", 502, "more content than content-length")
        return [piece]

    def end(self, trailers: Fields = ()) -> list[bytes | memoryview]:
        """Return what ends a streamed body; trailers are for those who said that they look at them.

        Raises:
            UpstreamError: It is less than the head said.
        """
        if self.ending is Ending.CHUNKED:
            is_asked = bool(trailers) and accepts_trailers(self.request.fields)
            return [encode_last_chunk(trailers if is_asked else ())]
        if self.ending is Ending.LENGTH and self.sent != self._length:
            raise UpstreamError("http_response_incomplete", 502, "less content than content-length")
        return []
