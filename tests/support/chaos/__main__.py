"""`python -m tests.support.chaos`: a PoP's processes are killed while clients fill its disk tier.

One `edgeproxy serve` with two workers and 64 MiB on disk, an origin, and a process of clients that
check every whole answer. Each round SIGKILLs a worker or everything; then what is there is
verified. Exits with 1 when anything was not as it should be.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.support.chaos.run import chaos
from tests.support.runs.report import conclude, options_of


def main(argv: list[str] | None = None) -> int:
    parser = options_of("chaos", __doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--folder", type=Path, help="where files are; default: a temporary one")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="edgeproxy-chaos-", dir=options.folder) as folder:
        found = asyncio.run(chaos(Path(folder), rounds=options.rounds))
    return conclude("chaos", options, found.summary(), found.faults())


if __name__ == "__main__":
    sys.exit(main())
