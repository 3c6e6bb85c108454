"""Responses as bytes (RFC 9112 sections 4, 6 and 7.1).

Decides how the end of a message is marked, and encodes heads and chunks. A field section that is
sent many times is encoded once and kept in its `h1` memo. No value can end its line: one that
holds CR, LF or NUL is left out, whatever let it come so far.
"""

import re
from collections.abc import Sequence
from enum import Enum, auto
from http import HTTPStatus
from typing import Protocol

Field = tuple[bytes, bytes]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

_STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode("ascii"))
    for status in HTTPStatus
}
_LENGTH_LINE = re.compile(rb"\r\ncontent-length: ([0-9]{1,18})(?=\r\n)")
_UNSAFE = re.compile(rb"[\r\n\x00]")


class Section(Protocol):
    """What we need of `http.messages.FieldSection`."""

    h1: bytes | None

    @property
    def fields(self) -> tuple[Field, ...]:
        """The lines."""


class Ending(Enum):
    """How the recipient finds the end of the message (RFC 9112 section 6.3)."""

    NO_CONTENT = auto()
    LENGTH = auto()
    CHUNKED = auto()
    CLOSE = auto()


class EncodedHead:
    """A response's head: `length` is what LENGTH promises; `keeps_alive` is what was said."""

    __slots__ = ("data", "ending", "keeps_alive", "length")

    def __init__(self, data: bytes, ending: Ending, length: int, *, keeps_alive: bool) -> None:
        self.data = data
        self.ending = ending
        self.length = length
        self.keeps_alive = keeps_alive


def encode_fields(fields: Sequence[Field]) -> bytes:
    """Return the lines, each with its CRLF."""
    block = b"".join([b"%b: %b\r\n" % line for line in fields])
    lines = len(fields)
    if block.count(b"\n") == lines and block.count(b"\r") == lines and b"\0" not in block:
        return block
    return b"".join([b"%b: %b\r\n" % line for line in fields if not _UNSAFE.search(b"".join(line))])


def encode_section(section: Section) -> bytes:
    """Return the section's lines, encoded at most once."""
    encoded = section.h1
    if encoded is None:
        encoded = section.h1 = encode_fields(section.fields)
    return encoded


def status_line(status: int) -> bytes:
    """Return the status line; a code without a registered phrase has an empty one."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def encode_head(
    status: int,
    sections: Sequence[Section],
    *,
    length: int | None,
    is_head: bool = False,
    is_http_1_0: bool = False,
    keeps_alive: bool = True,
) -> EncodedHead:
    """Return the head and how its content must be framed.

    `length` is the body's, None while it is unknown; `keeps_alive` asks for another request,
    which an HTTP/1.0 client is never offered.

    Raises:
        ValueError: The body is known and has another length than the fields say.
    """
    data = status_line(status) + b"".join([encode_section(section) for section in sections])
    match = _LENGTH_LINE.search(data)
    declared = int(match[1]) if match else None
    if status == 204 and match:
        data = data[: match.start()] + data[match.end() :]
    if is_head or status in (204, 304):
        ending, promised, line = Ending.NO_CONTENT, 0, b""
    elif length is not None:
        ending, promised, line = _known(length, declared)
    else:
        ending, promised, line = _unknown(declared, is_http_1_0=is_http_1_0)
    keeps_alive = keeps_alive and not is_http_1_0
    last = b"\r\n" if keeps_alive else b"connection: close\r\n\r\n"
    return EncodedHead(data + line + last, ending, promised, keeps_alive=keeps_alive)


def encode_interim(status: int, section: Section) -> bytes:
    """Return an interim response, which is nothing but a head (RFC 9110 section 15.2)."""
    return status_line(status) + encode_section(section) + b"\r\n"


def _known(length: int, declared: int | None) -> tuple[Ending, int, bytes]:
    """Return the ending, the length promised and the framing line still missing."""
    if declared is None:
        return Ending.LENGTH, length, b"content-length: %d\r\n" % length
    if declared != length:
        raise ValueError(f"a body of {length} bytes with content-length {declared}")
    return Ending.LENGTH, length, b""


def _unknown(declared: int | None, *, is_http_1_0: bool) -> tuple[Ending, int, bytes]:
    if declared is not None:
        return Ending.LENGTH, declared, b""
    if is_http_1_0:
        return Ending.CLOSE, 0, b""
    return Ending.CHUNKED, 0, b"transfer-encoding: chunked\r\n"


def encode_refusal(status: int, date: bytes) -> bytes:
    """Return a whole response to something that was no request, and the last one."""
    body = b"%d %b\n" % (status, HTTPStatus(status).phrase.encode("ascii"))
    fields = (
        (b"date", date),
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        # Some of these statuses are cacheable by heuristics: 414, 501 (RFC 9110 section 15.1).
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    )
    return status_line(status) + encode_fields(fields) + b"\r\n" + body


def encode_last_chunk(trailers: Sequence[Field]) -> bytes:
    """Return what ends chunked content, with the trailers in it (RFC 9112 section 7.1.2)."""
    return b"0\r\n" + encode_fields(trailers) + b"\r\n" if trailers else LAST_CHUNK


def encode_chunk(data: bytes | memoryview) -> list[bytes | memoryview]:
    """Return one chunk's pieces; `data` must not be empty, for that would end the message."""
    return [b"%x\r\n" % len(data), data, b"\r\n"]
