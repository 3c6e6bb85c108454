"""Objects of mixed sizes through a small budget, for a while, and what the process holds meanwhile.

More objects than there is room for, a few of them asked for much more often than the rest; over
HTTP/2 and HTTP/1.1, in several codings, on connections that come and go. As fast as the worker can,
or at a rate, so that an hour of it leaves the machine to others.
"""

import random
import re
import subprocess
import time
from dataclasses import asdict, dataclass
from statistics import median

from bench.memory.worker import KIB, MIB, Worker, cpu_seconds, h2load, resident, stored

_OBJECTS = 40_000
_SIZES = (300, 700, 2_000, 2_000, 9_000, 30_000, 120_000)
_ROUND = 1_500  # requests of one client process, before it connects anew
_SAMPLES_MAX = 600
_DONE = re.compile(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded")
# connections, and what each does
_CLIENTS = (
    (4, ("-m10", "-H", "accept-encoding: gzip, deflate, br, zstd")),
    (4, ("-m10", "-H", "accept-encoding: gzip")),
    (8, ("-m1", "--h1")),
)

BASE_MIB = 110.0
"""What a worker may hold beside its budget, at any budget: stated in docs/design/store.md."""

GROWTH_MIB = 6.0
"""What the line through the second half may rise by. It swings by as much: all routes of a site go
at once, some 4 MiB, and codings come and go. In an hour a leak of 200 KiB a minute shows."""

JUDGED_SECONDS = 1800.0
"""Below that the swing makes any slope."""


@dataclass(frozen=True, slots=True)
class Churn:
    """A run; `rss_mib` has a value for every `every_seconds`, `requests` those that were answered.

    `rate` is how many requests a second were wanted, 0 for as many as can be; `stored_bytes` what
    the memory tier says it holds in the end.
    """

    budget: int
    seconds: float
    rate: int
    every_seconds: float
    requests: int
    failed: int
    origin_requests: int
    cpu_seconds: float
    stored_objects: int
    stored_bytes: int
    rss_mib: list[float]
    pss_mib: list[float]

    @property
    def base_mib(self) -> float:
        """What the process held in the end beyond the budget: the median of the last tenth."""
        last = self.rss_mib[-max(1, len(self.rss_mib) // 10) :]
        return median(last) - self.budget / MIB

    @property
    def slope_kib_per_minute(self) -> float:
        """The slope over the second half, by least squares."""
        half = self.rss_mib[len(self.rss_mib) // 2 :]
        return slope(half) / self.every_seconds * 60 * MIB / KIB

    @property
    def growth_mib(self) -> float:
        """What that line rises by in the second half."""
        return self.slope_kib_per_minute * KIB / MIB * self.seconds / 2 / 60

    @property
    def slope_kib_per_thousand(self) -> float:
        """The same per 1,000 requests."""
        return self.slope_kib_per_minute / 60 * self.seconds / max(1, self.requests) * 1000

    @property
    def is_kept(self) -> bool | None:
        """Whether it ends within budget and base, on a level; None: too short to tell of a level.

        A tier that is not full says nothing of either.
        """
        is_full = self.stored_bytes >= 0.9 * self.budget
        if self.base_mib > BASE_MIB:
            return False
        if self.seconds < JUDGED_SECONDS or not is_full:
            return None
        return self.growth_mib <= GROWTH_MIB

    def document(self) -> dict[str, object]:
        """Return it as plain values."""
        return asdict(self) | {
            "is_kept": self.is_kept,
            "growth_mib": self.growth_mib,
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


def _urls(edge: Worker, chance: random.Random, number_of: int) -> list[str]:
    """Return the addresses of one round: the n-th object is asked for about as 1/n."""
    urls = []
    for _ in range(number_of):
        number = int(_OBJECTS ** chance.random())
        if chance.random() < 0.3:
            number = chance.randrange(_OBJECTS)
        size = _SIZES[number % len(_SIZES)]
        place = "rule" if number % 3 else "no rule"
        urls.append(edge.url(place, number, size, "text/" if number % 2 else ""))
    return urls


def _begin(edge: Worker, chance: random.Random, kind: int, rate: int) -> "subprocess.Popen[str]":
    """Start a round of one kind of client; each of its connections asks for the same, in order."""
    connections, words = _CLIENTS[kind]
    if rate:
        words = (*words, f"--rps={rate / len(_CLIENTS) / connections:.3f}")
    command = h2load(
        f"-c{connections}",
        *words,
        "-n",
        _ROUND,
        urls=_urls(edge, chance, _ROUND // connections),
        name=edge.folder / f"urls-{kind}",
    )
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def churn(edge: Worker, budget: int, seconds: float, rate: int = 0) -> Churn:
    """Keep every kind of client busy for so long, and look at the process now and then."""
    chance, heard = random.Random(7), [0, 0]
    running: dict[int, subprocess.Popen[str]] = {}
    every = max(1.0, seconds / _SAMPLES_MAX)
    seen, start, busy = [resident(edge.pid)], time.perf_counter(), cpu_seconds(edge.pid)
    while time.perf_counter() - start < seconds:
        for kind in range(len(_CLIENTS)):
            if kind in running and running[kind].poll() is None:
                continue
            if kind in running:
                _count(running[kind], heard)
            running[kind] = _begin(edge, chance, kind, rate)
        pause = start + len(seen) * every - time.perf_counter()
        time.sleep(min(1.0, max(0.0, pause)))
        if pause <= 1.0:
            seen.append(resident(edge.pid))
    for client in running.values():
        _count(client, heard)
    elapsed, (objects, size) = time.perf_counter() - start, stored(edge)
    return Churn(
        budget,
        elapsed,
        rate,
        every,
        heard[1],
        heard[0] - heard[1],
        edge.asked_of_the_origin(),
        cpu_seconds(edge.pid) - busy,
        objects,
        size,
        [each.rss / MIB for each in seen],
        [each.pss / MIB for each in seen],
    )


def _count(client: "subprocess.Popen[str]", heard: list[int]) -> None:
    said, _ = client.communicate(timeout=1800)
    found = _DONE.search(said)
    if found is not None:
        heard[0] += int(found[1])
        heard[1] += int(found[2])
