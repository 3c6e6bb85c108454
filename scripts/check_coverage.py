"""Check the coverage of each package against its floor.

    python scripts/check_coverage.py COVERAGE.json

A floor counts lines and branches together, over all files of a package: one well-tested package
does not pay for another. The pure packages decide everything, so nothing in them goes untested.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

# per cent; a package is a folder below edgeproxy/, "" the modules beside them
FLOORS: dict[str, float] = {"http": 100.0, "wire": 100.0, "cache": 100.0}
FLOOR_ELSEWHERE = 90.0


def by_package(report: dict[str, Any]) -> dict[str, float]:
    """Return the covered percentage of each package from coverage's JSON report."""
    covered: dict[str, int] = defaultdict(int)
    total: dict[str, int] = defaultdict(int)
    for name, file in report["files"].items():
        parts = Path(name).parts
        package = parts[1] if len(parts) > 2 else ""
        summary = file["summary"]
        covered[package] += summary["covered_lines"] + summary.get("covered_branches", 0)
        total[package] += summary["num_statements"] + summary.get("num_branches", 0)
    return {
        package: 100.0 * covered[package] / total[package] if total[package] else 100.0
        for package in sorted(total)
    }


def below_floor(percentages: dict[str, float]) -> list[str]:
    """Say, one line each, which packages are below their floor."""
    return [
        f"edgeproxy/{package}: {percent:.2f} % covered, at least {floor:g} % asked"
        for package, percent in percentages.items()
        if percent < (floor := FLOORS.get(package, FLOOR_ELSEWHERE))
    ]


def main(path: Path) -> int:
    """Print the packages below their floor; return 1 when there are any."""
    percentages = by_package(json.loads(path.read_text(encoding="utf-8")))
    for package, percent in percentages.items():
        print(f"  {package or '(top)':<10} {percent:6.2f} %")
    failures = below_floor(percentages)
    for line in failures:
        print(line)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
