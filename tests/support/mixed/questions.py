"""What clients of a mixed load ask, and what they may be answered."""

import itertools
import random
from dataclasses import dataclass
from typing import Any

from tests.support.runs.content import Thing, judge, judge_part

KINDS = ("hit", "miss", "validated", "condition", "range")
BROWSER_SECONDS = 1000
"""Responses of generation N let browsers keep them for so many seconds and N."""

_HITS = 50


class UnexpectedError(Exception):
    """An answer that does not belong to the question."""


@dataclass(frozen=True)
class Question:
    """One request."""

    kind: str
    thing: Thing
    fields: tuple[tuple[str, str], ...]
    questions: "Questions"

    def check(self, reply: Any, floor: int) -> None:
        """Raise unless that answers it by the configuration of `floor` or a later one."""
        if self.kind == "condition":
            self._expect(reply, 304)
        elif self.kind == "range":
            self._expect(reply, 206)
            first, last = map(int, self.fields[0][1].removeprefix("bytes=").split("-"))
            judge_part(self.thing, reply["etag"], first, last, reply.body)
        else:
            self._expect(reply, 200)
            judge(self.thing, reply["etag"], reply.body)
        if self.thing.kind == "o":
            self._check_generation(reply, floor)

    def _expect(self, reply: Any, status: int) -> None:
        if reply.status != status:
            raise UnexpectedError(f"{self.kind} {self.thing.path}: status {reply.status}")

    def _check_generation(self, reply: Any, floor: int) -> None:
        shown = int(reply["x-generation"])
        self.questions.seen.add(shown)
        if shown < floor:
            raise UnexpectedError(f"{self.thing.path}: generation {shown}, {floor} was in force")
        if reply["cache-control"] != f"public, max-age={BROWSER_SECONDS + shown}":
            raise UnexpectedError(f"{self.thing.path}: {reply['cache-control']} of {shown}")


class Questions:
    """Chooses them; `floor` is the oldest generation that may be seen, `seen` are all that were."""

    def __init__(self) -> None:
        self._unique = itertools.count(1_000_000)
        self.floor = 0
        self.seen: set[int] = set()

    def choose(self) -> Question:
        kind = random.choice(KINDS)
        number = random.randrange(_HITS)
        if kind == "validated":
            return Question(kind, Thing("o", number, 5000), (), self)
        if kind == "miss":
            return Question(kind, Thing("fixed", next(self._unique), 8000), (), self)
        thing = Thing("fixed", number, 20_000 + number)
        fields: tuple[tuple[str, str], ...] = ()
        if kind == "condition":
            fields = (("if-none-match", thing.tag(0)),)
        elif kind == "range":
            first = random.randrange(thing.size - 2000)
            fields = (("range", f"bytes={first}-{first + 1999}"),)
        return Question(kind, thing, fields, self)
