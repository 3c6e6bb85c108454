"""Fills the disk tier of a PoP through its front door, and starts it again.

found = await warm(tmp_path, objects=10_000, mean_bytes=214_748, restarts=6, asked=200)
assert found.faults() == []
"""

import asyncio
import json
import os
import random
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.floods.__main__ import percentile
from tests.support.operators import ask as ask_plainly
from tests.support.runs.clients import Clients, Protocol, check
from tests.support.runs.clients import ask as ask_for
from tests.support.runs.content import Thing
from tests.support.runs.place import Ground, make_ground
from tests.support.served import attended, run

FIRST_HIT_SECONDS_MAX = 2.0
_SMALLEST_BYTES = 20_000
_PASSES_MAX = 4
_ROOM = 1.3  # of what objects take: rows, blocks, the log of the index
_FILL_SECONDS = 900.0
_METRICS = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass
class Start:
    """One start: milliseconds from the exec until then; `is_cold`: files are not in memory."""

    is_cold: bool
    ready: float
    first_byte: float
    whole: float
    hits: int
    origin_requests: int
    hit_milliseconds: list[float]


@dataclass
class Outcome:
    """What is on disk, and how starts went."""

    stored: dict[str, Any] = field(default_factory=dict)
    fill_seconds: float = 0.0
    passes: int = 0
    asked: int = 0
    starts: list[Start] = field(default_factory=list)
    wanted: int = 0

    def summary(self) -> dict[str, Any]:
        """Return the figures."""
        found: dict[str, Any] = {
            "objects": self.stored["objects"],
            "octets": self.stored["body_bytes"],
            "seconds to fill": round(self.fill_seconds, 1),
            "passes to fill": self.passes,
        }
        for name, is_cold in (("cold", True), ("warm", False)):
            starts = [each for each in self.starts if each.is_cold is is_cold]
            for what in ("ready", "first_byte", "whole") if starts else ():
                values = [getattr(each, what) for each in starts]
                label = f"ms from exec to {what.replace('_', ' ')}, files {name}: median, longest"
                found[label] = [round(median(values)), round(max(values))]
            hits = sorted(ms for each in starts for ms in each.hit_milliseconds)
            if hits:
                label = f"ms of a hit from disk, files {name}: p50, p99, max"
                found[label] = [round(percentile(hits, share), 1) for share in (0.5, 0.99, 1)]
        found["hits"] = sum(each.hits for each in self.starts)
        found["requests to the origin"] = sum(each.origin_requests for each in self.starts)
        return found

    def faults(self) -> list[str]:
        """Return what should not have been, in sentences."""
        faults = []
        if self.stored["objects"] != self.wanted:
            faults.append(f"{self.stored['objects']} objects on disk, not {self.wanted}")
        for number, each in enumerate(self.starts):
            if each.whole > FIRST_HIT_SECONDS_MAX * 1000:
                faults.append(f"start {number}: the first hit took {each.whole:.0f} ms")
            if each.hits != self.asked:
                faults.append(f"start {number}: {each.hits} hits of {self.asked}")
            if each.origin_requests:
                faults.append(f"start {number}: {each.origin_requests} requests to the origin")
        return faults


async def warm(
    folder: Path, *, objects: int, mean_bytes: int, restarts: int, asked: int
) -> Outcome:
    """Fill, and start so many times; with every other start, no file is in memory any more."""
    ground, found = make_ground(folder), Outcome(wanted=objects, asked=asked)
    room = int(objects * mean_bytes * _ROOM) + 2**26
    if shutil.disk_usage(folder).free < 2 * room:
        raise RuntimeError(f"{folder} has no room for {2 * room} octets")
    things = [_thing(number, mean_bytes) for number in range(objects)]
    async with ground.origin() as origin:
        ground.configure(origin.url, memory="256MiB", disk=f"{room // 2**20}MiB")
        await _fill(ground, things, found)
        for number in range(restarts):
            is_cold = number % 2 == 0
            if is_cold:
                await asyncio.to_thread(_drop_pages, ground.cache)
            before = (await origin.asked()).total()
            start = await _start(ground, random.sample(things, asked), is_cold=is_cold)
            start.origin_requests += (await origin.asked()).total() - before
            found.starts.append(start)
    return found


def _thing(number: int, mean_bytes: int) -> Thing:
    spread = 2 * max(mean_bytes - _SMALLEST_BYTES, 1)
    return Thing("fixed", number, _SMALLEST_BYTES + number * 7919 % spread)


async def _fill(ground: Ground, things: list[Thing], found: Outcome) -> None:
    """Ask for everything; again by a new process for what was not written in time."""
    uris = ground.folder / "uris"
    uris.write_text("".join(f"https://localhost:{ground.port}{each.path}\n" for each in things))
    began = time.perf_counter()
    while found.passes < _PASSES_MAX and found.stored.get("objects") != len(things):
        found.passes += 1
        async with attended(ground.config) as edge:
            command = ("h2load", "-c", "1", "-m", "4", "-n", str(len(things)), "-i", str(uris))
            process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            async with asyncio.timeout(_FILL_SECONDS):
                said, _ = await process.communicate()
            if f"{len(things)} succeeded" not in said.decode():
                raise RuntimeError(said.decode())
            edge.terminate()
            await edge.left()
        _, said, _ = await run("cache", "stats", "-c", ground.config, "--json")
        found.stored = json.loads(said)
    found.fill_seconds = time.perf_counter() - began


def _drop_pages(folder: Path) -> None:
    """Have the kernel keep nothing of these files in memory; nobody else's are touched."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


async def _start(ground: Ground, things: list[Thing], *, is_cold: bool) -> Start:
    """Start, ask for the first thing as soon as there is somebody, and then for the others."""
    clients = Clients(ground.port, ground.ca.path)
    first, *others = things
    began = time.perf_counter()

    def since() -> float:
        return (time.perf_counter() - began) * 1000

    async with attended(ground.config) as edge:
        ready = since()
        async with clients.connection("h1") as client:
            client.send("GET", first.path)
            reply = await client.reply()
            first_byte = since()
            await reply.whole()
            whole = since()
        check(first, reply)
        hits = int("; hit" in reply["cache-status"])
        taken = []
        for number, thing in enumerate(others):
            asked = since()
            protocol: Protocol = "h2" if number % 2 else "h1"
            async with clients.connection(protocol) as client:
                reply = await ask_for(client, thing.path)
            taken.append(since() - asked)
            check(thing, reply)
            hits += "; hit" in reply["cache-status"]
        metrics = (await ask_plainly(ground.metrics_port, _METRICS)).decode()
        edge.terminate()
        await edge.left()
    counted = next(
        float(line.split()[1])
        for line in metrics.splitlines()
        if line.startswith("edge_origin_requests_total")
    )
    return Start(is_cold, ready, first_byte, whole, hits, int(counted), taken)
