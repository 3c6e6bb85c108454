"""Clients of a PoP whose processes are killed: they come back, and check every whole answer.

python -m tests.support.chaos.crowd PORT CA_FILE HTTP1_CLIENTS HTTP2_CLIENTS

Says "ready" at once, and goes on until a line comes on standard input. Prints JSON.
"""

import asyncio
import json
import random
import ssl
import sys
from collections import Counter
from pathlib import Path

import uvloop

from tests.support.runs.clients import BrokenError, Client, Clients, Protocol, StatusError, check
from tests.support.runs.clients import ask as ask_for
from tests.support.runs.content import Thing, WrongError

STREAMS = 4
_AGAIN_SECONDS = 0.02
_WRITES = 0.01
_FAULTS_MAX = 20
# Shares of requests and the largest size: most are small, some are larger than memory takes
# (8 MiB), and very few larger than the whole disk tier (64 MiB).
_SIZES = (
    (0.75, 30_000),
    (0.20, 200_000),
    (0.0479, 1_000_000),
    (0.002, 12_000_000),
    (0.0001, 70_000_000),
)
_NUMBERS = 3000


def choose() -> Thing:
    """Choose what to ask for: its size follows from its number, so that it is asked for again."""
    [(_, largest)] = random.choices(_SIZES, [share for share, _ in _SIZES])
    number = int(_NUMBERS * random.random() ** 4)
    size = largest - number * 7919 % (largest // 2)
    return Thing("fixed" if number % 3 == 0 else "o", number, size)


class Crowd:
    """What all clients saw."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self.is_over = asyncio.Event()
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []

    async def guest(self, protocol: Protocol) -> None:
        """Ask as long as there is a connection, and make another one."""
        while not self.is_over.is_set():
            try:
                async with self._clients.connection(protocol) as client:
                    self.counts["connections"] += 1
                    await self._stay(client, STREAMS if protocol == "h2" else 1)
            except ConnectionRefusedError:
                self.counts["refused connections"] += 1
            except TimeoutError:
                self._blame(f"{protocol}: no end of a handshake or of a connection")
            except (OSError, ssl.SSLError):
                self.counts["broken handshakes"] += 1
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _stay(self, client: Client, streams: int) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(streams):
                group.create_task(self._ask_on(client))

    async def _ask_on(self, client: Client) -> None:
        while not self.is_over.is_set():
            thing = choose()
            try:
                await self._ask(client, thing)
            except BrokenError:
                self.counts["broken requests"] += 1
                return
            except StatusError as error:
                self.counts[str(error).rpartition(": ")[2]] += 1
            except WrongError as error:
                self.counts["wrong"] += 1
                self._blame(str(error))
            except TimeoutError:
                self._blame(f"{thing.path}: no end of a response")
                return

    async def _ask(self, client: Client, thing: Thing) -> None:
        self.counts["requests"] += 1
        if random.random() < _WRITES:
            await ask_for(client, thing.path, method="POST")
            self.counts["writes"] += 1
            return
        reply = await ask_for(client, thing.path)
        check(thing, reply)
        self.counts["whole"] += 1
        self.counts["octets"] += thing.size
        self.counts["hits"] += "; hit" in reply["cache-status"]

    def _blame(self, what: str) -> None:
        if len(self.faults) < _FAULTS_MAX:
            self.faults.append(what)


async def run(port: int, ca_file: Path, http1: int, http2: int) -> dict:
    crowd = Crowd(Clients(port, ca_file))
    async with asyncio.TaskGroup() as group:
        for protocol, count in (("h1", http1), ("h2", http2)):
            for _ in range(count):
                group.create_task(crowd.guest(protocol))
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        crowd.is_over.set()
    return {"counts": crowd.counts, "faults": crowd.faults}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(int(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:])))))
