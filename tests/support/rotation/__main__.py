"""`python -m tests.support.rotation`: certificates are replaced while clients keep coming.

One `edgeproxy serve`, a responder and an origin; a process of clients beside it. Each swap is over
before the next one begins. Exits with 1 when anything failed.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from bench.compare.results import commit, machine
from tests.support.rotation.run import Outcome, rotate

RESULTS = Path(__file__).resolve().parents[3] / "bench" / "results"


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.support.rotation", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=200.0, help="new connections per second")
    parser.add_argument("--requests", type=float, default=100.0, help="per second, over HTTP/2")
    parser.add_argument("--swaps", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--save", action="store_true", help="keep the result under its commit")
    return parser.parse_args(argv)


def table(found: Outcome) -> str:
    rows = "".join(f"| {name} | {value} |\n" for name, value in found.summary().items())
    return f"| what | found |\n|---|---|\n{rows}" + "".join(f"{each}\n" for each in found.faults())


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    with tempfile.TemporaryDirectory(prefix="edgeproxy-rotation-") as folder:
        found = asyncio.run(
            rotate(
                Path(folder),
                seconds=options.seconds,
                handshake_rate=options.rate,
                request_rate=options.requests,
                swaps=options.swaps,
            )
        )
    document = {
        "commit": commit(),
        "machine": machine(),
        "asked": {
            "seconds": options.seconds,
            "handshakes_per_second": options.rate,
            "requests_per_second": options.requests,
            "swaps": options.swaps,
        },
        "found": found.summary(),
        "faults": found.faults(),
        "swaps": found.swaps,
    }
    text = json.dumps(document, indent=1) + "\n"
    if options.save:
        (RESULTS / f"rotation-{commit()}.json").write_text(text, encoding="utf-8")
    print(text if options.json else table(found), end="")
    return 1 if found.faults() else 0


if __name__ == "__main__":
    sys.exit(main())
