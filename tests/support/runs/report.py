"""How a long run says what it found: a table or JSON, kept under its commit, and an exit code."""

import argparse
import json
from pathlib import Path
from typing import Any

from bench.compare.results import commit, machine

RESULTS = Path(__file__).resolve().parents[3] / "bench" / "results"


def options_of(name: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser of what all runs have in common."""
    parser = argparse.ArgumentParser(
        prog=f"python -m tests.support.{name}", description=description
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--save", action="store_true", help="keep the result under its commit")
    return parser


def conclude(
    name: str, options: argparse.Namespace, summary: dict[str, Any], faults: list[str]
) -> int:
    """Print, keep, and return the exit code: 1 where anything should not have been."""
    asked = {key: value for key, value in vars(options).items() if key not in ("json", "save")}
    document = {
        "commit": commit(),
        "machine": machine(),
        "asked": {key: str(v) if isinstance(v, Path) else v for key, v in asked.items() if v},
        "found": summary,
        "faults": faults,
    }
    text = json.dumps(document, indent=1) + "\n"
    if options.save:
        (RESULTS / f"{name}-{commit()}.json").write_text(text, encoding="utf-8")
    print(text if options.json else _table(summary, faults), end="")
    return 1 if faults else 0


def _table(summary: dict[str, Any], faults: list[str]) -> str:
    rows = "".join(f"| {name} | {value} |\n" for name, value in summary.items())
    return f"| what | found |\n|---|---|\n{rows}" + "".join(f"{each}\n" for each in faults)
