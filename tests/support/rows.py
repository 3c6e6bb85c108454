"""Rows for tables of caching behaviour: what an origin answers, and whether it is reused.

    Row("9111 4.2.1", "s-maxage goes before max-age",
        [("cache-control", "max-age=1, s-maxage=60")], REUSED)

A row runs against a whole point of presence over real sockets, once per protocol, each time at a
target of its own. The clock stands still but for what a row lets pass.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import count
from typing import Any

from edgeproxy.http.dates import format_date
from tests.support.clock import ManualClock
from tests.support.pop import RunningPop

REUSED, ASKED_AGAIN = True, False

PROTOCOLS = ("h1", "h2")


@dataclass(frozen=True)
class At:
    """An HTTP-date, so many seconds from when the row begins."""

    offset: int


Line = tuple[str, str | At]
Lines = Sequence[Line]

_numbers = count()


def target() -> str:
    """Return a target that no other row has."""
    return f"/row/{next(_numbers)}"


@dataclass
class Stage:
    """A point of presence, its clock, and one protocol to ask it in."""

    pop: RunningPop
    clock: ManualClock
    protocol: str = "h2"

    def resolved(self, lines: Iterable[Line]) -> list[tuple[str, str]]:
        now = int(self.clock.now())
        return [
            (name, format_date(now + value.offset).decode() if isinstance(value, At) else value)
            for name, value in lines
        ]

    def reply(
        self, path: str, body: bytes, lines: Lines, *, status: int = 200, method: str = "GET"
    ) -> Any:
        fields = [(n.encode(), v.encode("latin-1")) for n, v in self.resolved(lines)]
        return self.pop.origin.on(method, path).reply(status, body, fields=fields)

    async def ask(self, path: str, lines: Lines = (), *, method: str = "GET") -> Any:
        """Ask on a connection of its own, so that no deadline of an old one matters."""
        client: AbstractAsyncContextManager[Any] = getattr(self.pop, self.protocol)()
        async with client as connection:
            sent = connection.send(method, path, self.resolved(lines))
            reply = await connection.reply() if self.protocol == "h1" else sent
            return await reply.whole()

    @property
    def asked(self) -> int:
        return self.pop.origin.requests

    def received(self, name: str) -> list[str]:
        """Every value of a field of the last request that reached the origin."""
        values = self.pop.origin.received[-1].values(name.encode())
        return [value.decode("latin-1") for value in values]


@dataclass(frozen=True)
class Row:
    """Two requests, `after` seconds apart: is the first one's answer reused for the second?"""

    section: str
    says: str
    answer: Lines
    is_reused: bool
    ask: Lines = ()
    then: Lines | None = None
    after: float = 3
    status: int = 200
    method: str = "GET"

    def __str__(self) -> str:
        return f"{self.section}: {self.says}"

    async def run(self, stage: Stage) -> None:
        path = target()
        stage.reply(path, b"first", self.answer, status=self.status)
        stage.reply(path, b"second", self.answer, status=self.status)
        stage.reply(path, b"second", self.answer, status=self.status, method="HEAD")
        before = stage.asked
        first = await stage.ask(path, self.ask)
        assert (first.status, bytes(first.body)) == (self.status, b"first")
        stage.clock.advance(self.after)
        then = self.ask if self.then is None else self.then
        again = await stage.ask(path, then, method=self.method)
        assert stage.asked - before == (1 if self.is_reused else 2)
        assert again.status == self.status
        if self.method == "GET":
            assert bytes(again.body) == (b"first" if self.is_reused else b"second")
        own = again["cache-status"]
        assert (own.startswith("fra1; hit")) is self.is_reused
        assert bool(again["age"]) or not self.is_reused
