"""`python -m bench.codings`: what content codings cost, once per object and then per request.

One edge, one script of text in front of it, h2load with each Accept-Encoding in turn. "Once" is the
CPU from the first request in a coding until the edge rests again, the best level in the background
included; "per request" is the CPU of warm hits. If a request were coded, the second would be of the
size of the first.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.compare.load import Load, LoadError, cpu_seconds, measure
from bench.compare.servers import (
    Server,
    ServerError,
    Setting,
    edge,
    free_port,
    make_certificates,
    origin,
)

CODINGS = ("identity", "gzip", "zstd", "br")
REST_SECONDS = 0.5
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class CodingResult:
    """One coding of one body: bytes, milliseconds of CPU once, microseconds per request."""

    coding: str
    bytes: int
    once_milliseconds: float
    microseconds: float


def fetch(url: str, coding: str, ca: Path) -> int:
    """Return how many bytes of content one request gets."""
    command = ["curl", "-sS", "--fail", "--http2", "--cacert", str(ca), "-o", "/dev/null"]
    command += ["-w", "%{size_download}", "-H", f"Accept-Encoding: {coding}", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise LoadError(f"{url}: {done.stderr.strip()}")
    return int(done.stdout)


def rest(pid: int) -> None:
    """Return once the process uses no CPU for a while."""
    deadline = time.perf_counter() + PATIENCE_SECONDS
    before = -1.0
    while (now := cpu_seconds(pid)) != before:
        if time.perf_counter() > deadline:
            raise LoadError("the edge does not come to rest")
        before = now
        time.sleep(REST_SECONDS)


def measure_coding(server: Server, size: int, coding: str, requests: int, ca: Path) -> CodingResult:
    """Ask for one coding of one body for the first time, then often."""
    url = server.url(size)
    rest(server.pid)
    before = cpu_seconds(server.pid)
    fetch(url, coding, ca)
    rest(server.pid)
    once = cpu_seconds(server.pid) - before
    length = fetch(url, coding, ca)
    load = Load(fields=(f"accept-encoding: {coding}",))
    sample = measure(url, server.pid, size=length, requests=requests, load=load)
    return CodingResult(coding, length, once * 1000, sample.microseconds)


def table(size: int, results: list[CodingResult]) -> str:
    """Return the results as Markdown."""
    lines = [
        f"A script of {size} bytes; CPU of the edge.",
        "",
        "| coding | bytes sent | once, ms | per request, µs |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {each.coding} | {each.bytes} | {each.once_milliseconds:.0f} | {each.microseconds:.1f} |"
        for each in results
    ]
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Measure and print; return 69 when nothing can be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.codings", description=__doc__)
    parser.add_argument("--size", type=int, default=204_800, metavar="BYTES")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="edgeproxy-bench-") as name:
        folder = Path(name)
        chain, key, ca = make_certificates(folder)
        setting = Setting(folder, chain, key, ca, free_port(), 0)
        try:
            with origin(setting), edge(setting) as plain:
                server = replace(plain, path="/v1.0.0/text/{size}.js")
                fetch(server.url(options.size), "identity", ca)
                results = [
                    measure_coding(server, options.size, coding, options.requests, ca)
                    for coding in CODINGS
                ]
        except (LoadError, ServerError) as error:
            print(f"bench: {error}", file=sys.stderr)
            return 69
    found = {"size": options.size, "codings": [asdict(each) for each in results]}
    print(json.dumps(found, indent=1) if options.json else table(options.size, results), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
