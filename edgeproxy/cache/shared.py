"""One object for equal fields of many stored responses.

Most lines of most responses are the same few, and each costs some 130 bytes beside its octets. Must
not change any value: what comes back equals what went in. Bounded, and whatever is forgotten is
merely kept twice from then on.
"""

from collections.abc import Hashable, Iterable
from typing import Final, Generic, TypeVar

from edgeproxy.cache.freshness import Freshness
from edgeproxy.http.messages import Field, Fields

_T = TypeVar("_T", bound=Hashable)

# Ours: what a thousand lines of many kinds bring in again stays, single ones pass through.
_VALUES_MAX: Final = 1024
_LINE_BYTES_MAX: Final = 256


class Pool(Generic[_T]):
    """Values that were seen lately: two generations, of which the older one goes as a whole."""

    __slots__ = ("_old", "_values_max", "_young")

    def __init__(self, values_max: int) -> None:
        self._values_max = values_max
        self._young: dict[_T, _T] = {}
        self._old: dict[_T, _T] = {}

    def share(self, value: _T) -> _T:
        """Return the object to keep for this value: one that was seen, or this one."""
        known = self._young.get(value)
        if known is not None:
            return known
        if len(self._young) >= self._values_max:
            self._old, self._young = self._young, {}
        return self._young.setdefault(value, self._old.get(value, value))


_names: Pool[bytes] = Pool(_VALUES_MAX)
_lines: Pool[Field] = Pool(_VALUES_MAX)
_lifetimes: Pool[Freshness] = Pool(_VALUES_MAX)


def shared_fields(fields: Iterable[Field]) -> Fields:
    """Return equal fields, made of lines that other responses have too, where there are any."""
    return tuple(_shared_line(name, value) for name, value in fields)


def _shared_line(name: bytes, value: bytes) -> Field:
    if len(name) + len(value) > _LINE_BYTES_MAX:
        return name, value
    return _lines.share((_names.share(name), value))


def shared_freshness(freshness: Freshness) -> Freshness:
    """Return an equal one that other responses have too, if there is any."""
    return _lifetimes.share(freshness)
