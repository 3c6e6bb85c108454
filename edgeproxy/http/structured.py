"""The part of Structured Field Values that the edge needs (RFC 9651).

A strict parser of Dictionaries (CDN-Cache-Control, RFC 9213) and the serialisation of tokens,
strings and integers (Cache-Status, Proxy-Status). A dictionary that breaks the grammar anywhere is
None as a whole, never half a dictionary (RFC 9651 section 4.2).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal


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


def parse_dictionary(values: Iterable[bytes]) -> Dictionary | None:
    """Parse the lines of a Dictionary field; None if they are not one, {} if they are empty."""
    raise NotImplementedError


def serialise_token(value: str) -> bytes:
    """Serialise a Token; ValueError if it cannot be one."""
    raise NotImplementedError


def serialise_string(value: str) -> bytes:
    """Serialise a String; ValueError if it holds more than visible ASCII and SP."""
    raise NotImplementedError


def serialise_integer(value: int) -> bytes:
    """Serialise an Integer; ValueError beyond 15 digits."""
    raise NotImplementedError


def serialise_token_or_string(value: str) -> bytes:
    """Serialise as a Token where that is possible, else as a String.

    Bytes that a String cannot hold become `?`: the value is a remark for people.
    """
    raise NotImplementedError
