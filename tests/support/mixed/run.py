"""Reloads a PoP every second under a mixed load, and then has it drain, or replaced by another one.

found = await mix(tmp_path, seconds=60, rate=200)
assert found.faults() == []
"""

import asyncio
import re
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.floods.__main__ import percentile
from tests.support.operators import ask
from tests.support.runs.crowds import crowd, goodbye, tell
from tests.support.runs.place import Ground, make_ground
from tests.support.served import Served, attended

_RELOAD_SECONDS = 20.0
_DOWNLOAD_SECONDS_MAX = 15.0  # drain_timeout is 20
_POLL_SECONDS = 0.02
_METRICS = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_RELOADED = re.compile(r'^edge_reloads_total\{result="reloaded"\} (\S+)$', re.MULTILINE)
_TROUBLE = re.compile(r'"level": ?"(?:warning|error|critical)"')
_FAILURES = (
    "failed requests",
    "broken requests",
    "requests without end",
    "refused connections",
    "failed handshakes",
)


@dataclass
class Outcome:
    """What clients saw, and how the PoP took it."""

    rate: float = 0.0
    seconds: float = 0.0
    reload_milliseconds: list[float] = field(default_factory=list)
    drain_seconds: float = 0.0
    upgrade_seconds: float | None = None
    exit_codes: list[int] = field(default_factory=list)
    seen: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, int] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Return the figures."""
        counts, visits = self.seen["counts"], self.seen["milliseconds"]
        late, reloads = self.seen["late_milliseconds"], sorted(self.reload_milliseconds)
        return {
            "seconds of load": round(self.seconds, 1),
            "new connections per second": round(len(late) / self.seconds, 1),
            **{name: counts.get(name, 0) for name in _FAILURES},
            "clients": counts,
            "origin": self.origin,
            "reloads": len(reloads),
            "generations seen": len(self.seen["generations"]),
            "reload ms p50, max": _rounded(reloads, 0.5, 1),
            "visit ms p50, p99, max": _rounded(visits, 0.5, 0.99, 1),
            "client late ms p50, p99, max": _rounded(late, 0.5, 0.99, 1),
            "drain seconds": round(self.drain_seconds, 2),
            "upgrade seconds": self.upgrade_seconds and round(self.upgrade_seconds, 2),
            "exit codes": self.exit_codes,
        }

    def faults(self) -> list[str]:
        """Return what should not have been, in sentences."""
        faults, counts = [*self.seen["faults"]], self.seen["counts"]
        faults += [f"{counts[name]} {name}" for name in _FAILURES if counts.get(name)]
        if any(self.exit_codes):
            faults.append(f"exit codes {self.exit_codes}")
        if not counts.get("downloads in flight at the end"):
            faults.append("no download was in flight at the end")
        missed = set(range(1, len(self.reload_milliseconds))) - set(self.seen["generations"])
        if len(missed) > len(self.reload_milliseconds) // 4:
            faults.append(f"{len(missed)} generations were never seen")
        return faults + self.trouble

    def shortfall(self) -> list[str]:
        """Say so if there were too few connections for a verdict: the machine was busy."""
        begun = len(self.seen["late_milliseconds"]) / self.seconds
        return [f"only {begun:.0f} new connections a second"] if begun < 0.9 * self.rate else []


def _rounded(values: list[float], *shares: float) -> list[float]:
    return [round(percentile(values, share), 1) for share in shares] if values else []


async def mix(
    folder: Path, *, seconds: float, rate: float, reload_seconds: float = 1.0, upgrade: bool = False
) -> Outcome:
    """Load for so many seconds."""
    ground, found = make_ground(folder), Outcome(rate=rate)
    module, downloads = "tests.support.mixed.crowd", min(seconds / 2, _DOWNLOAD_SECONDS_MAX)
    async with ground.origin() as origin, AsyncExitStack() as stack:
        ground.configure(origin.url)
        edge = await stack.enter_async_context(attended(ground.config))
        clients = await stack.enter_async_context(
            crowd(module, ground.port, ground.ca.path, rate, downloads)
        )
        began = time.perf_counter()
        generation = 0
        while time.perf_counter() < began + seconds:
            due = time.perf_counter() + reload_seconds
            generation += 1
            ground.configure(origin.url, generation=generation)
            found.reload_milliseconds.append(await _reload(ground, edge, generation))
            tell(clients, f"floor {generation}")
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        if upgrade:
            edge = await _upgrade(ground, found, edge, stack)
            await asyncio.sleep(min(seconds / 4, 5.0))  # load on the new one alone
        tell(clients, "last")
        await clients.stdout.readline()
        found.seconds = time.perf_counter() - began
        await _drain(found, edge)
        found.seen = await goodbye(clients)
        found.origin = dict(await origin.asked())
    return found


async def _reload(ground: Ground, edge: Served, generation: int) -> float:
    """Have the configuration read again; return how many milliseconds it took to be in force."""
    edge.hang_up()
    told = time.perf_counter()
    async with asyncio.timeout(_RELOAD_SECONDS):
        while await _reloaded(ground) < generation:  # noqa: ASYNC110 - of a process
            await asyncio.sleep(_POLL_SECONDS)
        # A scrape asks all workers, behind what they were told before it: now all have followed.
        await _reloaded(ground)
    return (time.perf_counter() - told) * 1000


async def _reloaded(ground: Ground) -> int:
    metrics = (await ask(ground.metrics_port, _METRICS)).decode()
    return sum(int(float(value)) for value in _RELOADED.findall(metrics))


async def _upgrade(ground: Ground, found: Outcome, edge: Served, stack: AsyncExitStack) -> Served:
    """Begin a second PoP that takes over; return it once the first one has gone."""
    began = time.perf_counter()
    arguments = ("--take-over",)
    other = await stack.enter_async_context(attended(ground.config, arguments=arguments))
    found.exit_codes.append(await edge.left())
    found.upgrade_seconds = time.perf_counter() - began
    found.trouble += _trouble(edge)
    return other


async def _drain(found: Outcome, edge: Served) -> None:
    began = time.perf_counter()
    edge.terminate()
    found.exit_codes.append(await edge.left())
    found.drain_seconds = time.perf_counter() - began
    found.trouble += _trouble(edge)


def _trouble(edge: Served) -> list[str]:
    return [line for line in edge.said.splitlines() if _TROUBLE.search(line)]
