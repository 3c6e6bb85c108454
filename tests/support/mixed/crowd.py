"""Clients of a PoP that is reloaded again and again: new ones all the time, and some that stay.

python -m tests.support.mixed.crowd PORT CA_FILE RATE DOWNLOAD_SECONDS

Says "ready" when those who stay are there. Is told on standard input: `floor N` (from now on
responses show that generation of the configuration, or a later one), `last` (nobody new comes; says
"no more" when the last of those has gone) and `enough`: whoever still downloads does so to the end.
Then it prints JSON.
"""

import asyncio
import itertools
import json
import random
import ssl
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import uvloop

from tests.support.mixed.questions import Question, Questions, UnexpectedError
from tests.support.runs.clients import (
    BrokenError,
    Clients,
    Protocol,
    StatusError,
    UnansweredError,
    begin,
    check,
    whole,
)
from tests.support.runs.clients import ask as ask_for
from tests.support.runs.content import Thing, WrongError

REGULARS = 4
STREAMS = 2
HTTP1_DOWNLOADS = 3
SLOW_READERS = 2
PIECE_BYTES, PIECE_SECONDS = 65536, 0.25  # as the origin sends what is slow
_TRIES = 3
_PATIENCE_SECONDS = 30.0
_FAULTS_MAX = 20
_REGULAR_PAUSE_SECONDS = 0.25
# Of those who come and go, at one time: a process that cannot keep up must not drown itself.
_VISITS_MAX = 64


class Crowd:
    """What all clients saw."""

    def __init__(self, clients: Clients, download_seconds: float) -> None:
        self._clients = clients
        self._download_bytes = int(download_seconds / PIECE_SECONDS) * PIECE_BYTES
        self._download_seconds = download_seconds
        self._numbers = itertools.count(1)
        self.questions = Questions()
        self.is_last = asyncio.Event()
        self.is_over = asyncio.Event()
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self.milliseconds: list[float] = []
        self.late_milliseconds: list[float] = []
        self.downloading = 0

    # --- those who come and go ------------------------------------------------------------------

    async def newcomers(self, rate: float) -> None:
        """Begin so many connections a second, whatever they take."""
        began, room = time.perf_counter(), asyncio.Semaphore(_VISITS_MAX)
        async with asyncio.TaskGroup() as group:
            for number in itertools.count():
                planned = began + number / rate
                await asyncio.sleep(max(0.0, planned - time.perf_counter()))
                await room.acquire()
                if self.is_last.is_set() or self.is_over.is_set():
                    break
                self.late_milliseconds.append((time.perf_counter() - planned) * 1000)
                protocol = "h2" if number % 2 else "h1"
                task = group.create_task(self._guarded(self._visit, protocol))
                task.add_done_callback(lambda _: room.release())
        print("no more", flush=True)

    async def _visit(self, protocol: Protocol) -> None:
        """Come with some questions, and come again with what was not answered."""
        began = time.perf_counter()
        left = [self.questions.choose() for _ in range(random.randint(1, 2))]
        for _ in range(_TRIES):
            async with self._clients.connection(protocol) as client:
                self.counts[f"{protocol} connections"] += 1
                left = await self._ask_all(client, left)
            if not left:
                self.milliseconds.append((time.perf_counter() - began) * 1000)
                return
            self.counts["asked again"] += len(left)
        raise BrokenError(f"not answered in {_TRIES} tries")

    async def _ask_all(self, client: Any, questions: list[Question]) -> list[Question]:
        """Ask one after the other; return those that the edge did nothing about."""
        for number, question in enumerate(questions):
            try:
                reply = await self._ask(client, question)
            except UnansweredError:
                return questions[number:]
            if "close" in reply["connection"]:
                return questions[number + 1 :]
        return []

    async def _ask(self, client: Any, question: Question) -> Any:
        floor = self.questions.floor
        reply = await ask_for(client, question.thing.path, question.fields)
        question.check(reply, floor)
        self.counts["requests"] += 1
        self.counts[f"asked: {question.kind}"] += 1
        self.counts[f"answered: {_outcome_of(reply['cache-status'])}"] += 1
        return reply

    # --- those who stay -------------------------------------------------------------------------

    async def regular(self) -> None:
        """Ask and download over one connection of HTTP/2, until the edge takes leave."""
        while not self.is_over.is_set():
            async with self._clients.connection("h2") as client, asyncio.TaskGroup() as group:
                self.counts["regular connections"] += 1
                for _ in range(STREAMS):
                    group.create_task(self._guarded(self._download_h2, client))
                group.create_task(self._guarded(self._converse, client))
            if self.is_last.is_set():
                return

    async def _converse(self, client: Any) -> None:
        while not self.is_over.is_set():
            try:
                await self._ask(client, self.questions.choose())
            except UnansweredError:
                return
            await asyncio.sleep(_REGULAR_PAUSE_SECONDS)

    async def _download_h2(self, client: Any) -> None:
        while not self.is_over.is_set():
            thing = Thing("slow", next(self._numbers), self._download_bytes)
            try:
                reply = begin(client, thing.path)
                with self._downloads():
                    check(thing, await whole(client, reply))
            except UnansweredError:
                return

    async def http1_downloads(self) -> None:
        """Download what the origin sends slowly, each over a connection of its own."""
        while not self.is_over.is_set() and not self.is_last.is_set():
            await self._guarded(self._download_h1)

    async def _download_h1(self) -> None:
        thing = Thing("slow", next(self._numbers), self._download_bytes)
        async with self._clients.connection("h1") as client:
            with self._downloads():
                check(thing, await ask_for(client, thing.path))

    async def slow_reader(self) -> None:
        """Read slowly what is stored and would come at once."""
        while not self.is_over.is_set() and not self.is_last.is_set():
            await self._guarded(self._read_slowly)

    async def _read_slowly(self) -> None:
        thing = Thing("fixed", 9_000_000, min(self._download_bytes, 7_000_000))
        async with self._clients.connection("h2", window=PIECE_BYTES) as client:
            client.grants_windows = False
            reply = begin(client, thing.path)
            with self._downloads():
                taken = 0
                while not reply.ended.is_set():
                    await asyncio.sleep(PIECE_SECONDS)  # this is what makes it slow
                    if (new := len(reply.body) - taken) and not reply.ended.is_set():
                        client.h2.acknowledge_received_data(new, reply.stream_id)
                        client._flush()
                        taken += new
                check(thing, await whole(client, reply))

    def _downloads(self) -> "_Counted":
        return _Counted(self)

    # --- faults ---------------------------------------------------------------------------------

    async def _guarded(
        self, work: Callable[..., Coroutine[Any, Any, None]], *arguments: object
    ) -> None:
        """Do it, and count what came in the way; none of it should."""
        try:
            await work(*arguments)
        except ConnectionRefusedError:
            self._blame("refused connections", work.__name__)
        except (UnexpectedError, WrongError, StatusError) as error:
            self._blame("failed requests", error)
        except BrokenError as error:
            self._blame("broken requests", f"{work.__name__}{arguments!r:.20}: {error}")
        except TimeoutError:
            self._blame("requests without end", work.__name__)
        except (OSError, ssl.SSLError) as error:
            self._blame("failed handshakes", repr(error))

    def _blame(self, kind: str, what: object) -> None:
        self.counts[kind] += 1
        if len(self.faults) < _FAULTS_MAX:
            self.faults.append(f"{kind}: {what}")


class _Counted:
    """Counts a download, as long as it takes and once it has ended well."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd

    def __enter__(self) -> None:
        self._crowd.downloading += 1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._crowd.downloading -= 1
        self._crowd.counts["downloads"] += kind is None


def _outcome_of(cache_status: str) -> str:
    """Return what the edge says that it did: "hit", "fwd=stale" ..."""
    words = [part.strip() for part in cache_status.split(";")[1:]]
    return next((word for word in words if word == "hit" or word.startswith("fwd=")), "no outcome")


async def hear(crowd: Crowd) -> None:
    """Follow what is told on standard input."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        word, _, rest = line.strip().partition(" ")
        if word == "floor":
            crowd.questions.floor = int(rest)
        elif word == "last":
            crowd.is_last.set()
            crowd.counts["downloads in flight at the end"] = crowd.downloading
        elif word == "enough":
            crowd.is_over.set()
            return


async def run(port: int, ca_file: Path, rate: float, download_seconds: float) -> dict:
    crowd = Crowd(Clients(port, ca_file), download_seconds)
    async with asyncio.TaskGroup() as group:
        for _ in range(REGULARS):
            group.create_task(crowd._guarded(crowd.regular))
        for _ in range(HTTP1_DOWNLOADS):
            group.create_task(crowd.http1_downloads())
        for _ in range(SLOW_READERS):
            group.create_task(crowd.slow_reader())
        group.create_task(crowd.newcomers(rate))
        print("ready", flush=True)
        await hear(crowd)
    return {
        "counts": crowd.counts,
        "faults": crowd.faults,
        "generations": sorted(crowd.questions.seen),
        "milliseconds": sorted(crowd.milliseconds),
        "late_milliseconds": sorted(crowd.late_milliseconds),
    }


if __name__ == "__main__":
    found = uvloop.run(run(int(sys.argv[1]), Path(sys.argv[2]), *map(float, sys.argv[3:])))
    print(json.dumps(found))
