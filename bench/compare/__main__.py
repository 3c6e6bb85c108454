"""`python -m bench.compare`: CPU per cache hit, the edge beside nginx's proxy_cache, in one run.

Both servers run at once, each with one worker on the same core; h2load asks one of them at a time
from another core, turn by turn, so that what else the machine does falls on both.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import report
from bench.compare.load import BROWSER_FIELDS, Load, LoadError, measure
from bench.compare.results import SizeResult, commit, document
from bench.compare.servers import (
    Server,
    ServerError,
    Setting,
    edge,
    free_port,
    make_certificates,
    nginx,
    origin,
    stand_in,
    warm,
)

RESULTS = Path(__file__).resolve().parent.parent / "results"
SIZES = (1024, 20_480, 102_400, 1_048_576)
# enough of each for one or two seconds of CPU: the kernel counts in hundredths
REQUESTS = {1024: 160_000, 20_480: 80_000, 102_400: 24_000, 1_048_576: 3_000}


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), metavar="BYTES")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, help="per run, instead of the table's by size")
    parser.add_argument("-c", "--clients", type=int, default=20)
    parser.add_argument("-m", "--streams", type=int, default=10)
    parser.add_argument("--browser-fields", action="store_true", help="ask as a browser does")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--save", action="store_true", help="keep the result under its commit")
    parser.add_argument("--gate", action="store_true", help="exit with 1 when a bar is passed")
    parser.add_argument("--stand-in", metavar="COMMAND", help="measure this in the edge's place")
    parser.add_argument("--stand-in-path", default="/{size}", help="its path, with {size}")
    return parser.parse_args(argv)


def requests_for(size: int, asked: int | None) -> int:
    """Return how many requests a run of that size makes."""
    if asked is not None:
        return asked
    return REQUESTS.get(size, max(2_000, min(160_000, 1_600_000_000 // max(size, 10_000))))


@contextmanager
def our_server(setting: Setting, options: argparse.Namespace) -> Iterator[Server]:
    """Run the edge, or what the command line puts in its place."""
    chosen = (
        stand_in(setting, options.stand_in, options.stand_in_path)
        if options.stand_in
        else edge(setting)
    )
    with chosen as server:
        yield server


def compare(
    ours: Server, theirs: Server, options: argparse.Namespace, load: Load
) -> list[SizeResult]:
    """Measure every size in rounds of one run each."""
    results = []
    for size in options.sizes:
        result = SizeResult(size, requests_for(size, options.requests))
        for server in (ours, theirs):
            warm(server, size)
        for number in range(1, options.rounds + 1):
            for server, samples in ((ours, result.ours), (theirs, result.theirs)):
                samples.append(
                    measure(
                        server.url(size),
                        server.pid,
                        size=size,
                        requests=result.requests,
                        load=load,
                    )
                )
            a, b = result.ours[-1].microseconds, result.theirs[-1].microseconds
            print(
                f"{report.size_name(size):>7}, round {number}: {ours.name} {a:.1f} µs, "
                f"{theirs.name} {b:.1f} µs, ratio {a / b:.2f}",
                file=sys.stderr,
            )
        results.append(result)
    return results


def run(options: argparse.Namespace) -> list[SizeResult]:
    """Start everything, measure, print and keep the result."""
    load = Load(
        clients=options.clients,
        streams=options.streams,
        fields=BROWSER_FIELDS if options.browser_fields else (),
        core=options.client_core,
    )
    with tempfile.TemporaryDirectory(prefix="edgeproxy-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker may be another user
        chain, key, ca = make_certificates(folder)
        setting = Setting(folder, chain, key, ca, free_port(), options.server_core)
        with origin(setting), our_server(setting, options) as ours, nginx(setting) as theirs:
            results = compare(ours, theirs, options, load)
    versions = {ours.name: ours.version, theirs.name: theirs.version}
    found = document(results, load=load, versions=versions, server_core=options.server_core)
    text = json.dumps(found, indent=1) + "\n"
    target = RESULTS if options.save else RESULTS / "local"
    target.mkdir(parents=True, exist_ok=True)
    (target / f"compare-{commit()}.json").write_text(text, encoding="utf-8")
    print(text if options.json else report.table(found), end="")
    return results


def main(argv: list[str] | None = None) -> int:
    """Compare; return 1 when a gated bar was passed, 69 when nothing can be measured."""
    options = arguments(argv)
    if len(os.sched_getaffinity(0)) < 2 and options.server_core != options.client_core:
        print("bench: two cores are needed, one for the server and one for h2load", file=sys.stderr)
        return 69
    try:
        results = run(options)
    except (LoadError, ServerError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 69
    passed = [result for result in results if result.ratio > result.bar]
    return 1 if options.gate and passed else 0


if __name__ == "__main__":
    sys.exit(main())
