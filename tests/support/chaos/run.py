"""Fills a PoP's disk tier beyond its budget, and kills a worker or all of it at random moments.

found = await chaos(tmp_path, rounds=50)
assert found.faults() == []
"""

import asyncio
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.chaos.usage import Usage, Watcher
from tests.support.runs.clients import BrokenError, Clients, ask, check
from tests.support.runs.content import Thing
from tests.support.runs.crowds import crowd, goodbye
from tests.support.runs.place import Ground, make_ground
from tests.support.runs.tree import children_of, serves, workers_of
from tests.support.served import Served, attended, run

BUDGET = 64 * 2**20
_PATIENCE_SECONDS = 60.0
_PROOF = Thing("o", 1, 1000)


@dataclass
class Outcome:
    """What happened, and what was seen of it."""

    kills: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    replaced_seconds: list[float] = field(default_factory=list)
    restarted_seconds: list[float] = field(default_factory=list)
    verified: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    most: Usage = field(default_factory=Usage)
    stored: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, int] = field(default_factory=dict)
    said: Counter[str] = field(default_factory=Counter)

    def summary(self) -> dict[str, Any]:
        return {
            "seconds": round(self.seconds, 1),
            "kills": dict(self.kills),
            "clients": self.seen["counts"],
            "origin": self.origin,
            "seconds until a new worker served, longest": _longest(self.replaced_seconds),
            "seconds until a new PoP served, longest": _longest(self.restarted_seconds),
            "verified": dict(self.verified),
            "budget": BUDGET,
            "most on disk, by blocks": self.most.blocks,
            "most on disk, by length": self.most.lengths,
            "most files": self.most.files,
            "looks at the disk": self.most.looks,
            "stored in the end": self.stored,
            "log": dict(self.said),
        }

    def faults(self) -> list[str]:
        """Return what should not have been, in sentences."""
        faults = [*self.seen["faults"], *self.findings]
        counts = self.seen["counts"]
        faults += [f"{n} answers with {name}" for name, n in counts.items() if "status" in name]
        if counts.get("wrong"):
            faults.append(f"{counts['wrong']} wrong bodies")
        if max(self.most.blocks, self.most.lengths) > BUDGET:
            faults.append(f"{self.most.blocks} octets on disk, {self.most.lengths} by length")
        if not self.stored.get("objects"):
            faults.append("nothing was stored")
        return faults


def _longest(seconds: list[float]) -> float:
    return round(max(seconds, default=0.0), 2)


async def chaos(
    folder: Path, *, rounds: int, http1: int = 6, http2: int = 3, kinds: Sequence[str] = ()
) -> Outcome:
    """Kill so many times, at random what is not said in `kinds`."""
    ground = make_ground(folder)
    found = Outcome()
    began = time.perf_counter()
    async with ground.origin() as origin:
        ground.configure(origin.url)
        module = "tests.support.chaos.crowd"
        with Watcher(ground.cache) as watcher:
            async with crowd(module, ground.port, ground.ca.path, http1, http2) as clients:
                left = [*kinds, *random.choices(("worker", "PoP"), k=rounds - len(kinds))]
                while left:
                    await _life(ground, found, left)
                found.seen = await goodbye(clients)
        code, said, _ = await run("cache", "stats", "-c", ground.config, "--json")
        found.stored = json.loads(said) if code == 0 else {}
        found.origin = dict(await origin.asked())
    found.most = watcher.most
    found.seconds = time.perf_counter() - began
    return found


async def _life(ground: Ground, found: Outcome, left: list[str]) -> None:
    """Run a PoP until it is killed, and look at what it left."""
    began = time.perf_counter()
    async with attended(ground.config) as edge:
        for pid in workers_of(edge.pid).values():
            await _serves(ground, pid)
        found.restarted_seconds.append(time.perf_counter() - began)
        await _verify(ground, found, "beside a restarted PoP")
        while left:
            await asyncio.sleep(random.uniform(0.1, 1.5))  # the moment of the kill, not a wait
            kind = left.pop(0)
            found.kills[kind] += 1
            if kind == "PoP":
                await _kill_all(edge)
                break
            await _kill_worker(ground, edge, found)
            await _verify(ground, found, "beside a new worker")
    for line in edge.said.splitlines():
        if line.startswith("{"):
            found.said[_kind_of(json.loads(line)["message"])] += 1
    if ground.cache.exists():
        await _verify(ground, found, "at rest")


def _kind_of(message: str) -> str:
    """Return a message without what is different each time."""
    words = [word for word in message.split() if not any(map(str.isdigit, word))]
    return " ".join(word for word in words if not word.startswith("/"))[:120]


async def _kill_all(edge: Served) -> None:
    pids = [edge.pid, *children_of(edge.pid).values()]
    edge.kill()
    await edge.left()
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while any(_is_alive(pid) for pid in pids):
            await asyncio.to_thread(os.sched_yield)


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def _kill_worker(ground: Ground, edge: Served, found: Outcome) -> None:
    """Kill one, and wait until the one in its place serves somebody."""
    name, pid = random.choice(sorted(workers_of(edge.pid).items()))
    os.kill(pid, signal.SIGKILL)
    killed = time.perf_counter()
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while (new := workers_of(edge.pid).get(name, pid)) == pid:
            await asyncio.to_thread(os.sched_yield)
        await _serves(ground, new)
    found.replaced_seconds.append(time.perf_counter() - killed)


async def _serves(ground: Ground, pid: int) -> None:
    """Connect until it is this process that answers, and answers right."""
    clients = Clients(ground.port, ground.ca.path)
    async with asyncio.timeout(_PATIENCE_SECONDS), AsyncExitStack() as stack:
        while True:
            client = await stack.enter_async_context(clients.connection("h1"))
            try:
                reply = await ask(client, _PROOF.path)
            except BrokenError:
                continue
            check(_PROOF, reply)
            if serves(pid, client.writer):
                return


async def _verify(ground: Ground, found: Outcome, when: str) -> None:
    code, said, err = await run("cache", "verify", "-c", ground.config, "--json")
    found.verified[f"{when}, exit code {code}"] += 1
    if code:
        findings = json.loads(said)["findings"] if said.startswith("{") else [err[-500:]]
        found.findings += [f"{when}: {each}" for each in findings[:5]]
