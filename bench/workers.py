"""`python -m bench.workers`: CPU per cache hit of several workers beside one, in one run.

Both run at once and are asked in turns. One worker has a core and h2load another; several workers
and h2load share all of them, so that what is compared is CPU time and not speed.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

from bench.compare.load import Load, Sample, measure
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
                samples: dict[int, list[Sample]] = {one.pid: [], several.pid: []}
                for server in (one, several):
                    for _ in range(_WARMINGS):
                        warm(server, size)
                for _ in range(rounds):
                    for server in (one, several):
                        samples[server.pid].append(_measured(server, size, requests, load))
                sizes.append(_result(size, samples[one.pid], samples[several.pid]))
                print(json.dumps(sizes[-1]), file=sys.stderr)
    return {"commit": commit(), "machine": machine(), "workers": workers, "sizes": sizes}


def _measured(server: Server, size: int, requests: int, load: Load) -> Sample:
    return measure(server.url(size), server.pid, size=size, requests=requests, load=load)


def _result(size: int, one: list[Sample], several: list[Sample]) -> dict[str, object]:
    pairs = zip(one, several, strict=True)
    ratio = median(b.microseconds / a.microseconds for a, b in pairs)
    return {
        "size": size,
        "one": [round(sample.microseconds, 1) for sample in one],
        "several": [round(sample.microseconds, 1) for sample in several],
        "ratio": round(ratio, 3),
        "kept": ratio <= BAR,
    }


def main(argv: list[str] | None = None) -> int:
    """Compare; the result goes to `bench/results` with `--save`."""
    parser = argparse.ArgumentParser(prog="python -m bench.workers", description=__doc__)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--save", action="store_true", help="keep the result under its commit")
    options = parser.parse_args(argv)
    text = json.dumps(run(options.workers, options.rounds), indent=1) + "\n"
    if options.save:
        (RESULTS / f"workers-{commit()}.json").write_text(text, encoding="utf-8")
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
