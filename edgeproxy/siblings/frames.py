"""What the owner of a key says to a sibling that asked: frames on a stream of their own.

Pure. A frame is an octet that names its kind, four of length, and as much of JSON or of content.
An exchange is::

    HERE* INTERIM* HEAD (DATA | HERE)* (END | ERROR)      an answer
    HERE* ERROR | HERE* REFUSED                           none
    FORGOTTEN                                             to what was to be forgotten

An end of the stream anywhere else is the end of the one who spoke. As in `packets` there is no
version, and what cannot be understood is a fault of ours.
"""

import json
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from edgeproxy.errors import UpstreamError
from edgeproxy.http.messages import Fields
from edgeproxy.siblings.packets import pack_fields, unpack_fields

PREFIX: Final = struct.Struct("!BI")
DATA_BYTES_MAX: Final = 64 * 1024
"""The pieces in which an origin's content is read."""
_PAYLOAD_BYTES_MAX: Final = 1024 * 1024
"""Ours: far more than the largest field section of an origin, in JSON."""


class Kind(IntEnum):
    """The first octet."""

    HERE = 1
    INTERIM = 2
    HEAD = 3
    DATA = 4
    END = 5
    ERROR = 6
    REFUSED = 7
    FORGOTTEN = 8


@dataclass(frozen=True, slots=True)
class Here:
    """Nothing yet, but somebody is at work."""


@dataclass(frozen=True, slots=True)
class Hint:
    """An interim response."""

    status: int
    fields: Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Everything of an `OriginResponse` but its content."""

    status: int
    fields: Fields
    content_length: int | None
    is_delimited: bool
    request_time: float
    response_time: float


@dataclass(frozen=True, slots=True)
class Data:
    """A piece of the content."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The content is whole."""

    trailers: Fields


@dataclass(frozen=True, slots=True)
class Failed:
    """There is no response, or its content broke off."""

    word: str
    status: int
    detail: str

    def error(self) -> "ToldError":
        """Return what to raise."""
        return ToldError(self.word, self.status, self.detail)


@dataclass(frozen=True, slots=True)
class Refused:
    """The asker is to ask the origin itself; `reason` is a word for counters."""

    reason: str


@dataclass(frozen=True, slots=True)
class Forgotten:
    """It is done."""


Frame = Here | Hint | Head | Data | End | Failed | Refused | Forgotten


class ToldError(UpstreamError):
    """The next hop's fault, as told by a sibling who has counted it."""


def encode(frame: Frame) -> bytes:
    """Return a frame as it is sent."""
    kind, payload = _packed(frame)
    octets = payload if isinstance(payload, bytes) else _json(payload)
    return PREFIX.pack(kind, len(octets)) + octets


def _json(payload: object) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def _packed(frame: Frame) -> tuple[Kind, bytes | list[Any]]:
    match frame:
        case Data(octets):
            return Kind.DATA, octets
        case Here():
            return Kind.HERE, b""
        case Forgotten():
            return Kind.FORGOTTEN, b""
        case Hint(status, fields):
            return Kind.INTERIM, [status, pack_fields(fields)]
        case Head():
            return Kind.HEAD, [
                frame.status,
                pack_fields(frame.fields),
                frame.content_length,
                frame.is_delimited,
                frame.request_time,
                frame.response_time,
            ]
        case End(trailers):
            return Kind.END, [pack_fields(trailers)]
        case Failed(word, status, detail):
            return Kind.ERROR, [word, status, detail]
        case Refused(reason):
            return Kind.REFUSED, [reason]


def measure(prefix: bytes) -> tuple[Kind, int]:
    """Return the kind of a frame and how much of it is to come.

    Raises:
        ValueError: this is no frame, or one beyond the bounds.
    """
    number, size = PREFIX.unpack(prefix)
    kind = Kind(number)
    if size > (DATA_BYTES_MAX if kind is Kind.DATA else _PAYLOAD_BYTES_MAX):
        raise ValueError(f"a frame {kind.name} of {size} octets")
    return kind, size


def decode(kind: Kind, payload: bytes) -> Frame:
    """Return the frame of this kind.

    Raises:
        ValueError: the payload is not one of it.
    """
    if kind is Kind.DATA:
        return Data(payload)
    if kind is Kind.HERE:
        return Here()
    if kind is Kind.FORGOTTEN:
        return Forgotten()
    said = json.loads(payload)
    if kind is Kind.INTERIM:
        return Hint(said[0], unpack_fields(said[1]))
    if kind is Kind.HEAD:
        status, fields, length, is_delimited, request_time, response_time = said
        return Head(
            status=status,
            fields=unpack_fields(fields),
            content_length=length,
            is_delimited=is_delimited,
            request_time=request_time,
            response_time=response_time,
        )
    if kind is Kind.END:
        return End(unpack_fields(said[0]))
    return Failed(*said) if kind is Kind.ERROR else Refused(*said)
