"""`python -m tests.support.warm`: how soon a PoP that is started again answers from disk.

Fills the disk tier through the edge, then starts it again and again: the first whole answer must be
there within 2 s of the exec, and no answer may need the origin. Exits with 1 otherwise.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.support.runs.report import conclude, options_of
from tests.support.warm.run import warm


def main(argv: list[str] | None = None) -> int:
    parser = options_of("warm", __doc__)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--mean", type=int, default=214_748, help="mean size of a body in octets")
    parser.add_argument("--restarts", type=int, default=6, help="every other one with cold files")
    parser.add_argument("--asked", type=int, default=200, help="random objects at each start")
    parser.add_argument("--folder", type=Path, help="where files are; default: a temporary one")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="edgeproxy-warm-", dir=options.folder) as folder:
        found = asyncio.run(
            warm(
                Path(folder),
                objects=options.objects,
                mean_bytes=options.mean,
                restarts=options.restarts,
                asked=options.asked,
            )
        )
    return conclude("warm", options, found.summary(), found.faults())


if __name__ == "__main__":
    sys.exit(main())
