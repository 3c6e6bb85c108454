"""`python -m bench.memory`: what a small object costs beside its octets, and where churn ends.

Overhead is resident memory of the worker (PSS) beyond what it held before, without the octets of
the bodies: per object, once with the octets of the fields and once without. The worker is a real
one, filled through HTTP/2 from an origin on loopback.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.compare.results import commit, machine
from bench.memory.churn import BASE_MIB, GROWTH_MIB, Churn, churn
from bench.memory.origin import octets
from bench.memory.worker import MIB, Resident, Worker, ask, resident, worker

RESULTS = Path(__file__).resolve().parent.parent / "results"
BAR_BYTES = 1536.0
"""What an object may cost beside its octets, after a fill (bodies not counted)."""

_FILL_BUDGET = 512 * MIB
_WARMING = 10_000  # more than there are routes remembered
_SETTLE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Overhead:
    """Bytes per object beside its body; `bare` is without the octets of its fields, too."""

    place: str
    objects: int
    body: float
    fields: float
    filled: float
    filled_bare: float
    hit: float
    hit_bare: float
    rss_before_mib: float
    rss_filled_mib: float
    rss_hit_mib: float
    origin_requests: int

    @property
    def is_kept(self) -> bool:
        """Whether it is within the bar, with field octets and all."""
        return self.filled <= BAR_BYTES


def size_of(number: int) -> int:
    """Return the size of a small object: 200 to 1000 octets."""
    return 200 + number * 7919 % 801


def fill(edge: Worker, place: str, objects: int) -> Overhead:
    """Fill, then hit each once, and look at the process each time."""
    warming = [edge.url(place, number, size_of(number)) for number in range(_WARMING)]
    ask(edge, warming)
    ask(edge, warming[:100])  # hits, but next to no memos of them
    numbers = range(_WARMING, _WARMING + objects)
    urls = [edge.url(place, number, size_of(number)) for number in numbers]
    seen, asked = [_settled(edge)], edge.asked_of_the_origin()
    for _ in range(2):
        ask(edge, urls)
        seen.append(_settled(edge))
    body = sum(size_of(number) for number in numbers) / objects
    fields = sum(octets(number, size_of(number)) for number in numbers) / objects
    before, filled, hit = seen
    of_filled = (filled.pss - before.pss) / objects - body
    of_hit = (hit.pss - before.pss) / objects - body
    return Overhead(
        place,
        objects,
        body,
        fields,
        of_filled,
        of_filled - fields,
        of_hit,
        of_hit - fields,
        before.rss / MIB,
        filled.rss / MIB,
        hit.rss / MIB,
        edge.asked_of_the_origin() - asked,
    )


def _settled(edge: Worker) -> Resident:
    time.sleep(_SETTLE_SECONDS)
    return resident(edge.pid)


def fill_row(found: Overhead) -> str:
    """Return one line of the first table."""
    return (
        f"| {found.place} | {found.objects} | {found.body:.0f} + {found.fields:.0f} "
        f"| {found.filled:.0f} ({found.filled_bare:.0f}) | {found.hit:.0f} ({found.hit_bare:.0f}) "
        f"| {found.rss_before_mib:.0f} → {found.rss_filled_mib:.0f} → {found.rss_hit_mib:.0f} "
        f"| {'yes' if found.is_kept else 'NO'} |"
    )


_FILL_HEAD = (
    "| objects under | number | octets of body + fields | overhead after a fill (without fields) "
    "| after a hit of each | RSS MiB | kept |\n|---|---|---|---|---|---|---|"
)
_CHURN_HEAD = (
    "| budget MiB | seconds | requests | filled | RSS MiB start → end (most) | above the budget "
    "| slope KiB/min | KiB per 1,000 requests | CPU | kept |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


_VERDICTS = {True: "yes", False: "NO", None: "base only"}


def churn_row(found: Churn) -> str:
    """Return one line of the second table."""
    return (
        f"| {found.budget / MIB:.0f} | {found.seconds:.0f} "
        f"| {found.requests} | {found.origin_requests} "
        f"| {found.rss_mib[0]:.0f} → {found.rss_mib[-1]:.0f} ({max(found.rss_mib):.0f}) "
        f"| {found.base_mib:.0f} | {found.slope_kib_per_minute:.0f} "
        f"| {found.slope_kib_per_thousand:.2f} | {found.cpu_seconds / found.seconds:.0%} "
        f"| {_VERDICTS[found.is_kept]} |"
    )


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--objects", type=int, default=100_000, help="to fill with; 0 for none")
    parser.add_argument("--place", action="append", choices=("rule", "no rule"))
    parser.add_argument("--seconds", type=float, default=120.0, help="of churn; 0 for none")
    parser.add_argument("--rate", type=int, default=0, help="requests a second; 0: as many as go")
    parser.add_argument("--budget", type=int, default=64, metavar="MIB", help="of the churn")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--save", action="store_true", help="keep the result under its commit")
    parser.add_argument("--gate", action="store_true", help="exit with 1 when a bar is passed")
    return parser.parse_args(argv)


def run(options: argparse.Namespace) -> tuple[list[Overhead], list[Churn]]:
    """Measure both, each with a worker of its own."""
    fills, churns = [], []
    for place in (options.place or ("rule", "no rule")) if options.objects else ():
        with _folder() as name, worker(Path(name), _FILL_BUDGET) as edge:
            fills.append(fill(edge, place, options.objects))
            print(fill_row(fills[-1]), file=sys.stderr, flush=True)
    if options.seconds:
        with _folder() as name, worker(Path(name), options.budget * MIB) as edge:
            churns.append(churn(edge, options.budget * MIB, options.seconds, options.rate))
            print(churn_row(churns[-1]), file=sys.stderr, flush=True)
    return fills, churns


def _folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="edgeproxy-memory-")


def main(argv: list[str] | None = None) -> int:
    """Measure; return 1 when a gated bar was passed."""
    options = arguments(argv)
    fills, churns = run(options)
    document = {
        "commit": commit(),
        "machine": machine(),
        "bar_bytes": BAR_BYTES,
        "bars_of_churn": {"base_mib": BASE_MIB, "growth_mib": GROWTH_MIB},
        "fills": [asdict(each) for each in fills],
        "churns": [each.document() for each in churns],
    }
    text = json.dumps(document, indent=1) + "\n"
    if options.save:
        (RESULTS / f"memory-{commit()}.json").write_text(text, encoding="utf-8")
    rows = [_FILL_HEAD, *map(fill_row, fills), "", _CHURN_HEAD, *map(churn_row, churns)]
    print(text if options.json else "\n".join(rows) + "\n", end="")
    # what is too short for a level is judged by its base alone
    is_missed = not all(each.is_kept for each in fills) or False in (c.is_kept for c in churns)
    return 1 if options.gate and is_missed else 0


if __name__ == "__main__":
    sys.exit(main())
