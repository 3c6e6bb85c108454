"""A response while it arrives, whatever carried it, and what is asked for.

Content goes to a sink as it comes and is counted and digested; nothing of it is kept. Judges
nothing but whether it came whole.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from edgeproxy.clock import Clock
from edgeproxy.probe.get.url import Url

Protocol = Literal["http/1.1", "h2", "h3"]
Line = tuple[str, str]

FIELDS_MAX: Final = 1000
"""Lines of one response with its trailers; more is an attack on who asks."""


class BrokenError(Exception):
    """The exchange cannot be completed; its text is a short reason."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request without content; `protocols` is what may be spoken, in order of preference."""

    url: Url
    method: str
    fields: tuple[Line, ...]
    protocols: tuple[Protocol, ...]


@dataclass(slots=True)
class Answer:
    """What came; `first_seconds` and `last_seconds` are moments of the monotonic clock.

    `octets_max` is how much content is taken before it counts as broken.
    """

    clock: Clock
    sink: Callable[[bytes], object]
    octets_max: int
    status: int = 0
    fields: tuple[Line, ...] = ()
    interim: list[tuple[int, tuple[Line, ...]]] = field(default_factory=list)
    trailers: tuple[Line, ...] = ()
    octets: int = 0
    is_whole: bool = False
    first_seconds: float | None = None
    last_seconds: float | None = None
    _digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    @property
    def sha256(self) -> str:
        """Return the digest of the content that came."""
        return self._digest.hexdigest()

    def head(self, status: int, fields: Iterable[tuple[bytes, bytes]]) -> None:
        """Take a status and fields: an interim response, or the final one."""
        lines = _lines(fields)
        if 100 <= status < 200:
            self.interim.append((status, lines))
            if len(self.interim) > FIELDS_MAX:
                raise BrokenError("interim responses without end")
            return
        if self.status:
            raise BrokenError("a second final response")
        self.status, self.fields = status, lines
        self.first_seconds = self.clock.monotonic()

    def content(self, data: bytes) -> None:
        """Take some content."""
        self.octets += len(data)
        if self.octets > self.octets_max:
            raise BrokenError(f"content of more than {self.octets_max} octets")
        self._digest.update(data)
        self.sink(data)

    def end(self, trailers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """The response is whole."""
        if not self.status:
            raise BrokenError("no final response")
        self.trailers = _lines(trailers)
        self.is_whole = True
        self.last_seconds = self.clock.monotonic()


def _lines(fields: Iterable[tuple[bytes, bytes]]) -> tuple[Line, ...]:
    lines = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields)
    if len(lines) > FIELDS_MAX:
        raise BrokenError(f"more than {FIELDS_MAX} field lines")
    return lines
