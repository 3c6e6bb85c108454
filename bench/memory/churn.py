"""Objects of mixed sizes through a small budget, for a while, and what the process holds meanwhile.

More objects than there is room for, a few of them asked for much more often than the rest; over
HTTP/2 and HTTP/1.1, in several codings, on connections that come and go.
"""

import random
import re
import subprocess
import time
from dataclasses import asdict, dataclass

from bench.memory.worker import KIB, MIB, Worker, h2load, resident

_OBJECTS = 40_000
_SIZES = (300, 700, 2_000, 2_000, 9_000, 30_000, 120_000)
_ROUND = 6_000  # requests of one client process, before it connects anew
_DONE = re.compile(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded")
_CLIENTS = (
    ("-c4", "-m10", "-H", "accept-encoding: gzip, deflate, br, zstd"),
    ("-c4", "-m10", "-H", "accept-encoding: gzip"),
    ("-c8", "-m1", "--h1"),
)


@dataclass(frozen=True, slots=True)
class Churn:
    """A run; `rss_mib` has a value for each second, `requests` those that were answered."""

    budget: int
    seconds: float
    requests: int
    failed: int
    origin_requests: int
    rss_mib: list[float]

    @property
    def base_mib(self) -> float:
        """What the process held in the end beyond the budget."""
        return self.rss_mib[-1] - self.budget / MIB

    @property
    def slope_kib_per_minute(self) -> float:
        """The slope over the second half, by least squares."""
        half = self.rss_mib[len(self.rss_mib) // 2 :]
        return slope(half) * 60 * MIB / KIB

    @property
    def slope_kib_per_thousand(self) -> float:
        """The same per 1,000 requests."""
        return self.slope_kib_per_minute / 60 * self.seconds / max(1, self.requests) * 1000

    def document(self) -> dict[str, object]:
        """Return it as plain values."""
        return asdict(self) | {
            "base_mib": self.base_mib,
            "slope_kib_per_minute": self.slope_kib_per_minute,
            "slope_kib_per_thousand": self.slope_kib_per_thousand,
        }


def slope(values: list[float]) -> float:
    """Return how much a value grows per step, by least squares; 0 for fewer than two."""
    middle, mean = (len(values) - 1) / 2, sum(values) / max(1, len(values))
    spread = sum((at - middle) ** 2 for at in range(len(values)))
    found = sum((at - middle) * (value - mean) for at, value in enumerate(values))
    return found / spread if spread else 0.0


def _urls(edge: Worker, chance: random.Random) -> list[str]:
    """Return the addresses of one round: the n-th object is asked for about as 1/n."""
    urls = []
    for _ in range(_ROUND):
        number = int(_OBJECTS ** chance.random())
        if chance.random() < 0.3:
            number = chance.randrange(_OBJECTS)
        size = _SIZES[number % len(_SIZES)]
        place = "rule" if number % 3 else "no rule"
        urls.append(edge.url(place, number, size, "text/" if number % 2 else ""))
    return urls


def churn(edge: Worker, budget: int, seconds: float) -> Churn:
    """Keep every kind of client busy for so long, and look at the process every second."""
    chance, heard = random.Random(7), [0, 0]
    running: dict[int, subprocess.Popen[str]] = {}
    values, start = [resident(edge.pid).rss / MIB], time.perf_counter()
    while time.perf_counter() - start < seconds:
        for place, words in enumerate(_CLIENTS):
            if place in running and running[place].poll() is None:
                continue
            if place in running:
                _count(running[place], heard)
            command = h2load(
                *words,
                "-n",
                _ROUND,
                urls=_urls(edge, chance),
                name=edge.folder / f"urls-{place}",
            )
            running[place] = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        time.sleep(max(0.0, start + len(values) - time.perf_counter()))
        values.append(resident(edge.pid).rss / MIB)
    for client in running.values():
        _count(client, heard)
    elapsed = time.perf_counter() - start
    return Churn(budget, elapsed, heard[1], heard[0] - heard[1], edge.asked_of_the_origin(), values)


def _count(client: "subprocess.Popen[str]", heard: list[int]) -> None:
    said, _ = client.communicate(timeout=120)
    found = _DONE.search(said)
    if found is not None:
        heard[0] += int(found[1])
        heard[1] += int(found[2])
