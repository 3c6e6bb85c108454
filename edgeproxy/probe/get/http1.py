"""The request over HTTP/1.1 (RFC 9112), parsed by httptools."""

from typing import Final

import httptools

from edgeproxy.probe.get.answer import Answer, Asked, BrokenError
from edgeproxy.probe.stream import TlsStream

_WITHOUT_CONTENT: Final = frozenset({204, 304})


async def ask(stream: TlsStream, asked: Asked, answer: Answer) -> None:
    """Send the request and take the response; the connection is not used again.

    Raises:
        BrokenError: what came is no HTTP/1.1, or not all of a response.
        EOFError: the server went in the middle of it.
    """
    lines = [("Host", asked.url.authority), *asked.fields, ("Connection", "close")]
    head = [f"{asked.method} {asked.url.target} HTTP/1.1", *(f"{n}: {v}" for n, v in lines)]
    await stream.send("\r\n".join([*head, "", ""]).encode("latin-1"))
    reading = _Reading(answer, has_content=asked.method != "HEAD")
    parser = httptools.HttpResponseParser(reading)
    reading.parser = parser
    while not answer.is_whole:
        data = await _received(stream, reading)
        try:
            parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            raise _cause(error) from error
        except httptools.HttpParserUpgrade:
            raise BrokenError("the server switches protocols") from None
        except httptools.HttpParserError as error:
            raise BrokenError(f"no HTTP/1.1: {error}") from error
        if not data:
            reading.ended()


async def _received(stream: TlsStream, reading: "_Reading") -> bytes:
    data = await stream.receive()
    if not data and not reading.ends_with_connection:
        raise EOFError("the server closed the connection")
    return data


def _cause(error: httptools.HttpParserCallbackError) -> BrokenError:
    cause = error.__context__
    return cause if isinstance(cause, BrokenError) else BrokenError("no HTTP/1.1")


class _Reading:
    """What the parser finds, told the answer."""

    def __init__(self, answer: Answer, *, has_content: bool) -> None:
        self.parser: httptools.HttpResponseParser
        self._answer = answer
        self._has_content = has_content
        self._fields: list[tuple[bytes, bytes]] = []
        self._is_in_content = False
        self._is_delimited = False

    @property
    def ends_with_connection(self) -> bool:
        """Whether the end of the connection is the end of the content (RFC 9112 section 6.3)."""
        return self._is_in_content and not self._is_delimited

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        status, fields, self._fields = self.parser.get_status_code(), self._fields, []
        self._answer.head(status, fields)
        if not self._answer.status:
            return
        names = {name.lower() for name, _ in fields}
        self._is_delimited = not names.isdisjoint({b"content-length", b"transfer-encoding"})
        self._is_in_content = True
        if not self._has_content or status in _WITHOUT_CONTENT:
            self._answer.end()

    def on_body(self, data: bytes) -> None:
        if not self._answer.is_whole:
            self._answer.content(data)

    def on_message_complete(self) -> None:
        if self._answer.status and not self._answer.is_whole and self._is_delimited:
            self._answer.end(self._fields)

    def ended(self) -> None:
        if not self._answer.is_whole:
            self._answer.end()
