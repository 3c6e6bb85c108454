"""`python -m tests.support.mixed`: a mixed load, a reload every second, and then a drain.

New connections over HTTP/1.1 and HTTP/2 ask for hits, misses, what has to be validated, parts and
with conditions; others stay, with streams open, or download slowly. With `--upgrade` another PoP
takes over while all of that goes on. Exits with 1 when any request or connection failed.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.support.mixed.run import mix
from tests.support.runs.report import conclude, options_of


def main(argv: list[str] | None = None) -> int:
    parser = options_of("mixed", __doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=200.0, help="new connections per second")
    parser.add_argument("--upgrade", action="store_true", help="have another PoP take over")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="edgeproxy-mixed-") as folder:
        found = asyncio.run(
            mix(Path(folder), seconds=options.seconds, rate=options.rate, upgrade=options.upgrade)
        )
    return conclude("mixed", options, found.summary(), found.faults() + found.shortfall())


if __name__ == "__main__":
    sys.exit(main())
