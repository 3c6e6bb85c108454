"""`python -m bench.http3`: CPU per cache hit over HTTP/3, the edge beside stock aioquic and nginx.

All servers run at once, each with one worker on the same core; ngtcp2's client asks one of them at
a time from another core, turn by turn. A run is one connection with many streams at once. Exits
with 1 when a bar is passed and `--gate` was given, with 69 when nothing can be measured.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench import report
from bench.compare.load import LoadError
from bench.compare.results import commit, machine
from bench.compare.servers import (
    Server,
    ServerError,
    Setting,
    free_port,
    make_certificates,
    origin,
    warm,
)
from bench.http3.load import Programs, ask, check, cpu_seconds, loopback_octets
from bench.http3.servers import edge, nginx, stock

RESULTS = Path(__file__).resolve().parent.parent / "results"
# size: (requests on a connection, times stock aioquic's cost that a hit may cost)
SIZES = {1024: (1000, 1 / 4), 20_480: (300, 1 / 8), 102_400: (100, 1 / 5), 1_048_576: (20, 1 / 5)}
# Connections of one run: a hundred milliseconds of CPU are enough to tell.
CONNECTIONS = 2


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.http3", description=__doc__)
    parser.add_argument(
        "--sizes", type=int, nargs="+", choices=SIZES, default=list(SIZES), metavar="BYTES"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--programs", type=Path, help="folder of bench/http3/programs.sh")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--save", action="store_true", help="keep the result under its commit")
    parser.add_argument("--gate", action="store_true", help="exit with 1 when a bar is passed")
    return parser.parse_args(argv)


def measure(server: Server, client: Sequence[str], size: int, core: int) -> float:
    """Return the microseconds that each request of one run cost the server."""
    requests = SIZES[size][0]
    path = server.path.format(size=size)
    before, heard = cpu_seconds(server.pid), loopback_octets()
    for _ in range(CONNECTIONS):
        ask(client, server.port, path, requests, core)
    spent, heard = cpu_seconds(server.pid) - before, loopback_octets() - heard
    total = CONNECTIONS * requests
    if heard < total * size:
        raise LoadError(f"{heard} octets came, of {total * size} that were asked of {server.name}")
    return spent / total * 1e6


def compare(
    servers: Sequence[Server], client: Sequence[str], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Measure every size in rounds of one run of each server."""
    rows = []
    for size in options.sizes:
        for server in servers:
            if server.hit:
                warm(server, size)
            check(client, server.port, server.path.format(size=size), 3, options.client_core)
        samples: dict[str, list[float]] = {server.name: [] for server in servers}
        for number in range(options.rounds):
            for server in servers if number % 2 else reversed(servers):
                cost = measure(server, client, size, options.client_core)
                samples[server.name].append(cost)
            said = ", ".join(f"{name} {each[-1]:.0f} µs" for name, each in samples.items())
            print(f"{report.size_name(size):>7}, round {number + 1}: {said}", file=sys.stderr)
        rows.append(row(size, samples))
    return rows


def row(size: int, samples: dict[str, list[float]]) -> dict[str, Any]:
    """Judge one size: the medians over the rounds of what neighbours in time cost."""
    ours = samples["edgeproxy"]
    requests, bar = SIZES[size]
    ratios = {
        name: round(median(a / b for a, b in zip(ours, theirs, strict=True)), 4)
        for name, theirs in samples.items()
        if theirs is not ours
    }
    return {
        "size": size,
        "requests_per_connection": requests,
        "microseconds": {name: round(median(each), 1) for name, each in samples.items()},
        "samples": {name: [round(each, 1) for each in found] for name, found in samples.items()},
        "ratios": ratios,
        "bar": bar,
        "kept": ratios["aioquic"] <= bar,
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Start everything, measure, return everything that a reader needs to repeat it."""
    programs = Programs(options.programs)
    client = programs.client()
    if client is None:
        raise ServerError("no client of ngtcp2 found; see bench/http3/programs.sh")
    with tempfile.TemporaryDirectory(prefix="edgeproxy-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker may be another user
        chain, key, ca = make_certificates(folder)
        setting = Setting(folder, chain, key, ca, free_port(), options.server_core)
        stack.enter_context(origin(setting))
        found = [edge(setting), stock(setting), nginx(setting, programs)]
        started = [stack.enter_context(each) for each in found]
        servers = [each for each in started if each is not None]
        rows = compare(servers, client, options)
    return {
        "what": "server CPU microseconds per HTTP/3 request; of the edge and nginx, a cache hit",
        "commit": commit(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": {server.name: server.version for server in servers},
        "missing": [] if len(servers) == len(found) else ["nginx with HTTP/3"],
        "rounds": options.rounds,
        "sizes": rows,
    }


def table(found: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    versions = found["versions"]
    others = [name for name in versions if name != "edgeproxy"]
    heads = [*(f"{name} {version}" for name, version in versions.items())]
    heads = ["body", "requests", *heads, *(f"ratio to {name}" for name in others), "bar", "kept"]
    lines = [
        (
            f"Commit {found['commit']}, {found['time']}, {found['machine']['cpu']}, "
            f"Python {found['machine']['python']}."
        ),
        (
            "Server CPU µs per HTTP/3 request, one worker on one core, ngtcp2's client on another, "
            f"all requests at once on a connection, {found['rounds']} rounds in turns (medians)."
        ),
        *(f"Missing: {each}." for each in found["missing"]),
        "",
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
    ]
    for each in found["sizes"]:
        cells = [report.size_name(each["size"]), str(each["requests_per_connection"])]
        cells += [f"{each['microseconds'][name]:.1f}" for name in versions]
        cells += [f"{each['ratios'][name]:.3f}" for name in others]
        cells += [f"{each['bar']:g}", "yes" if each["kept"] else "NO"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Compare; see the module for the exit code."""
    options = arguments(argv)
    try:
        found = run(options)
    except (LoadError, ServerError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 69
    text = json.dumps(found, indent=1) + "\n"
    target = RESULTS if options.save else RESULTS / "local"
    target.mkdir(parents=True, exist_ok=True)
    (target / f"http3-{commit()}.json").write_text(text, encoding="utf-8")
    print(text if options.json else table(found), end="")
    return 1 if options.gate and not all(each["kept"] for each in found["sizes"]) else 0


if __name__ == "__main__":
    sys.exit(main())
