"""What a comparison found, as a value that goes to JSON and back, and whether it keeps the bars."""

import platform
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench.compare.load import Load, Sample

# times nginx's cost that a hit may cost, by body size in bytes; the bars of the first storey
BARS = {1024: 1.3, 20_480: 1.3, 102_400: 1.1, 1_048_576: 1.1}
BAR_ELSEWHERE = 1.3


@dataclass(slots=True)
class SizeResult:
    """All rounds of one body size, in order; a round is one run of ours and one of theirs."""

    size: int
    requests: int
    ours: list[Sample] = field(default_factory=list)
    theirs: list[Sample] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The median over the rounds of ours to theirs: neighbours in time are compared."""
        pairs = zip(self.ours, self.theirs, strict=True)
        return median(a.microseconds / b.microseconds for a, b in pairs)

    @property
    def bar(self) -> float:
        """The ratio that must not be passed."""
        return BARS.get(self.size, BAR_ELSEWHERE)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "size": self.size,
            "requests": self.requests,
            "ratio": round(self.ratio, 4),
            "bar": self.bar,
            "kept": self.ratio <= self.bar,
            "ours": summary(self.ours),
            "theirs": summary(self.theirs),
        }


def summary(samples: list[Sample]) -> dict[str, Any]:
    """Return the median cost and every sample behind it."""
    return {
        "microseconds": round(median(sample.microseconds for sample in samples), 2),
        "samples": [asdict(sample) for sample in samples],
    }


def machine() -> dict[str, str]:
    """Describe the machine, by what changes results and nothing that names it."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {"cpu": model, "kernel": platform.release(), "python": platform.python_version()}


def commit() -> str:
    """Return the commit that is checked out, with `-dirty` when it was changed, or `unknown`."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def document(
    results: list[SizeResult], *, load: Load, versions: dict[str, str], server_core: int
) -> dict[str, Any]:
    """Return everything that a reader needs to believe, or repeat, the comparison."""
    return {
        "what": "server CPU microseconds per HTTP/2 request, cache hit, ours beside theirs",
        "commit": commit(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions,
        "load": {**asdict(load), "server_core": server_core},
        "sizes": [result.to_json() for result in results],
    }
