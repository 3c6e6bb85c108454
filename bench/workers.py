"""`python -m bench.workers`: CPU per cache hit of several workers beside one, in one run.

Both run at once and are asked in turns, which change places each round. One worker has a core and
h2load another; several workers and h2load share all of them, so that what is compared is CPU time
and not speed. Exits with 1 when a worker serves (almost) nobody or a request costs more than the
bar allows.
"""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.compare.load import TICKS_PER_SECOND, Load, Sample, family, measure
from bench.compare.results import commit, machine
from bench.compare.servers import (
    Server,
    Setting,
    edge,
    free_port,
    make_certificates,
    origin,
    warm,
)

RESULTS = Path(__file__).resolve().parent / "results"
SIZES = {1024: 120_000, 20_480: 60_000, 102_400: 16_000}
BAR = 1.1
# Each worker has a memory of its own, and the kernel deals connections out by chance.
_WARMINGS = 24
# With 40 connections a share below this is no chance: one in 100,000 runs of two workers has it.
SHARE_MIN = 0.15


@dataclass(frozen=True, slots=True)
class Split:
    """One run over several workers, and which part of their CPU time each of them took."""

    sample: Sample
    shares: dict[str, float]


def run(workers: int, rounds: int) -> dict[str, object]:
    """Measure every size in rounds of one run each; return plain values."""
    load = Load(clients=40)
    sizes = []
    with tempfile.TemporaryDirectory(prefix="edgeproxy-workers-") as name:
        folder = Path(name)
        chain, key, ca = make_certificates(folder)
        setting = Setting(folder, chain, key, ca, free_port(), 0)
        with origin(setting), edge(setting) as one, edge(setting, workers=workers) as several:
            for size, requests in SIZES.items():
                for server in (one, several):
                    for _ in range(_WARMINGS):
                        warm(server, size)
                alone: list[Sample] = []
                split: list[Split] = []
                for number in range(rounds):
                    if number % 2:
                        split.append(_split(several, size, requests, load))
                    alone.append(_split(one, size, requests, load).sample)
                    if not number % 2:
                        split.append(_split(several, size, requests, load))
                sizes.append(result(size, alone, split, workers))
                print(json.dumps(sizes[-1]), file=sys.stderr)
    return {"commit": commit(), "machine": machine(), "workers": workers, "sizes": sizes}


def _split(server: Server, size: int, requests: int, load: Load) -> Split:
    before = _worker_seconds(server.pid)
    sample = measure(server.url(size), server.pid, size=size, requests=requests, load=load)
    after = _worker_seconds(server.pid)
    spent = {name: after[name] - before.get(name, 0.0) for name in after}
    total = sum(spent.values()) or 1.0
    return Split(sample, {name: each / total for name, each in sorted(spent.items())})


def _worker_seconds(root: int) -> dict[str, float]:
    """Return the CPU time of each worker so far, by the name that it gave itself."""
    found: dict[str, float] = {}
    for pid in family(root):
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
        if name.startswith("edge worker"):
            fields = rest.split()
            found[name] = (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND
    return found


def result(size: int, one: list[Sample], several: list[Split], workers: int) -> dict[str, object]:
    """Judge one size by the median of what neighbours in time cost beside each other."""
    pairs = zip(one, several, strict=True)
    ratio = median(b.sample.microseconds / a.microseconds for a, b in pairs)
    least = min(min(each.shares.values(), default=0.0) for each in several)
    have_all_served = least >= SHARE_MIN * 2 / workers and all(
        len(each.shares) == workers for each in several
    )
    return {
        "size": size,
        "one": [round(sample.microseconds, 1) for sample in one],
        "several": [round(each.sample.microseconds, 1) for each in several],
        "requests_per_second": {
            "one": round(median(sample.requests_per_second for sample in one)),
            "several": round(median(each.sample.requests_per_second for each in several)),
        },
        "shares": [[round(share, 2) for share in each.shares.values()] for each in several],
        "all_served": have_all_served,
        "ratio": round(ratio, 3),
        "kept": ratio <= BAR and have_all_served,
    }


def main(argv: list[str] | None = None) -> int:
    """Compare; the result goes to `bench/results` with `--save`."""
    parser = argparse.ArgumentParser(prog="python -m bench.workers", description=__doc__)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--save", action="store_true", help="keep the result under its commit")
    options = parser.parse_args(argv)
    found = run(options.workers, options.rounds)
    text = json.dumps(found, indent=1) + "\n"
    if options.save:
        (RESULTS / f"workers-{commit()}.json").write_text(text, encoding="utf-8")
    print(text, end="")
    sizes = found["sizes"]
    assert isinstance(sizes, list)
    return 0 if all(each["kept"] for each in sizes) else 1


if __name__ == "__main__":
    sys.exit(main())
