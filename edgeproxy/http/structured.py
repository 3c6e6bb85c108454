"""The part of Structured Field Values that the edge needs (RFC 9651).

A strict parser of Dictionaries (CDN-Cache-Control, RFC 9213) and the serialisation of tokens,
strings and integers (Cache-Status, Proxy-Status). A dictionary that breaks the grammar anywhere is
None as a whole, never half a dictionary (RFC 9651 section 4.2). Does not know any field.
"""

import binascii
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from urllib.parse import unquote_to_bytes


class Token(str):
    """A Token, as opposed to a String."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Date:
    """A Date: seconds since the epoch."""

    seconds: int


@dataclass(frozen=True, slots=True)
class DisplayString:
    """A Display String: Unicode text."""

    text: str


BareItem = bool | int | Decimal | str | Token | bytes | Date | DisplayString


@dataclass(frozen=True, slots=True)
class Item:
    """A bare item with its parameters."""

    value: BareItem
    parameters: dict[str, BareItem] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InnerList:
    """Items in parentheses, with the parameters of the list."""

    items: tuple[Item, ...]
    parameters: dict[str, BareItem] = field(default_factory=dict)


Dictionary = dict[str, Item | InnerList]

_KEY = re.compile(rb"[a-z*][a-z0-9_\-.*]*+")
_TOKEN = re.compile(rb"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*+")
_STRING = re.compile(rb'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]++|\\["\\])*)"')
_ESCAPED = re.compile(r"\\(.)")
_SPACES = re.compile(rb" *+")
_OWS = re.compile(rb"[ \t]*+")
# 15 digits, or 12 with a fraction of up to 3; a longer run of digits is not cut short but invalid.
_DECIMAL = re.compile(rb"-?[0-9]{1,12}\.[0-9]{1,3}(?![0-9])")
_INTEGER = re.compile(rb"-?[0-9]{1,15}(?![0-9.])")
_DATE = re.compile(rb"@(-?[0-9]{1,15})(?![0-9.])")
_BYTES = re.compile(rb":([A-Za-z0-9+/]*+={0,2}):")
_BOOLEAN = re.compile(rb"\?([01])")
_DISPLAY = re.compile(rb'%"((?:[\x20\x21\x23\x24\x26-\x7e]++|%[0-9a-f]{2})*)"')

_INTEGER_MAX = 10**15 - 1


class _InvalidError(ValueError):
    pass


def _bytes(match: re.Match[bytes]) -> bytes:
    encoded = match[1].rstrip(b"=")
    try:
        return binascii.a2b_base64(encoded + b"=" * (-len(encoded) % 4))
    except binascii.Error:
        raise _InvalidError from None


def _display_string(match: re.Match[bytes]) -> DisplayString:
    try:
        return DisplayString(unquote_to_bytes(match[1]).decode())
    except UnicodeDecodeError:
        raise _InvalidError from None


# Tried in order; a decimal before an integer, because it begins with one.
_BARE_ITEMS: tuple[tuple[re.Pattern[bytes], Callable[[re.Match[bytes]], BareItem]], ...] = (
    (_DECIMAL, lambda match: Decimal(match[0].decode())),
    (_INTEGER, lambda match: int(match[0])),
    (_STRING, lambda match: _ESCAPED.sub(r"\1", match[1].decode())),
    (_TOKEN, lambda match: Token(match[0].decode())),
    (_BYTES, _bytes),
    (_BOOLEAN, lambda match: match[1] == b"1"),
    (_DATE, lambda match: Date(int(match[1]))),
    (_DISPLAY, _display_string),
)


class _Reader:
    """A position in a field value; every method moves it or raises `_InvalidError`."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def at_end(self) -> bool:
        return self.position >= len(self.data)

    def take(self, pattern: re.Pattern[bytes]) -> bytes:
        match = pattern.match(self.data, self.position)
        if match is None:
            raise _InvalidError
        self.position = match.end()
        return match[0]

    def accept(self, literal: bytes) -> bool:
        if not self.data.startswith(literal, self.position):
            return False
        self.position += len(literal)
        return True

    def bare_item(self) -> BareItem:
        for pattern, convert in _BARE_ITEMS:
            if match := pattern.match(self.data, self.position):
                self.position = match.end()
                return convert(match)
        raise _InvalidError

    def parameters(self) -> dict[str, BareItem]:
        parameters: dict[str, BareItem] = {}
        while self.accept(b";"):
            self.take(_SPACES)
            key = self.take(_KEY).decode()
            parameters[key] = self.bare_item() if self.accept(b"=") else True
        return parameters

    def member(self) -> Item | InnerList:
        if self.accept(b"("):
            return self.inner_list()
        return Item(self.bare_item(), self.parameters())

    def inner_list(self) -> InnerList:
        items: list[Item] = []
        while True:
            separated = bool(self.take(_SPACES))
            if self.accept(b")"):
                return InnerList(tuple(items), self.parameters())
            if items and not separated:
                raise _InvalidError
            items.append(Item(self.bare_item(), self.parameters()))

    def dictionary(self) -> Dictionary:
        members: Dictionary = {}
        while True:
            key = self.take(_KEY).decode()
            if self.accept(b"="):
                members[key] = self.member()
            else:
                members[key] = Item(value=True, parameters=self.parameters())
            self.take(_OWS)
            if self.at_end():
                return members
            if not self.accept(b","):
                raise _InvalidError
            self.take(_OWS)


def parse_dictionary(values: Iterable[bytes]) -> Dictionary | None:
    """Parse the lines of a Dictionary field; None if they are not one, {} if they are empty."""
    data = b", ".join(values).strip(b" ")
    if not data:
        return {}
    try:
        return _Reader(data).dictionary()
    except _InvalidError:
        return None


def serialise_token(value: str) -> bytes:
    """Serialise a Token; ValueError if it cannot be one."""
    data = value.encode()
    if _TOKEN.fullmatch(data) is None:
        raise ValueError(f"not a token: {value!r}")
    return data


def serialise_string(value: str) -> bytes:
    """Serialise a String; ValueError if it holds more than visible ASCII and SP."""
    if not (value.isascii() and value.isprintable()):
        raise ValueError(f"not a string of visible ASCII: {value!r}")
    return b'"%s"' % value.replace("\\", "\\\\").replace('"', '\\"').encode()


def serialise_integer(value: int) -> bytes:
    """Serialise an Integer; ValueError beyond 15 digits."""
    if abs(value) > _INTEGER_MAX:
        raise ValueError(f"integer out of range: {value}")
    return b"%d" % value


def serialise_token_or_string(value: str) -> bytes:
    """Serialise as a Token where that is possible, else as a String.

    Characters that a String cannot hold become `?`: the value is a remark for people.
    """
    try:
        return serialise_token(value)
    except ValueError:
        shown = (c if c.isascii() and c.isprintable() else "?" for c in value)
        return serialise_string("".join(shown))
