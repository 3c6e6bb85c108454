"""Check that docs/rfc.md keeps its word: every requirement a row, every name in it something real.

A row is a line of a table that begins with a number:

    | 17 | 9111 4 | M | ... | `cache/freshness.lifetime` | `unit/cache/test_freshness.py::test_a` |

*Function* names things below edgeproxy/ (`path/of/module.name`, `...module.Class.method`), *test*
functions below tests/ (`path/of/test_file.py::test_name`; `::test_name` alone is in the file named
before). Both are whatever stands in backquotes; the words around them are for people. A row that is
not met says "not done" and why in place of a function, which a MUST never may.

The table of hostile vectors in docs/verification.md is held to the same for its tests.
"""

import ast
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

NUMBERS = range(1, 157)
"""Those that must be there; rows beyond are checked like the others."""

VECTORS = range(1, 24)
"""The hostile vectors that docs/verification.md has to list."""

NOT_DONE = "not done"
_CELLS = 6
_ROW = re.compile(r"\|\s*[0-9]+\s*\|")
_QUOTED = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Row:
    """One requirement; the last two cells as they are written."""

    number: int
    level: str
    function: str
    test: str


def rows(text: str) -> list[Row | str]:
    """Return the rows of the document; what is wrong with a line instead where it is no row."""
    found: list[Row | str] = []
    for line_number, line in enumerate(text.splitlines(), start=1):
        if _ROW.match(line) is None:
            continue
        cells = [cell.strip() for cell in line.strip().split("|")[1:-1]]
        if len(cells) != _CELLS:
            found.append(f"line {line_number}: {len(cells)} cells, {_CELLS} asked")
            continue
        number, _section, level, _requirement, function, test = cells
        found.append(Row(int(number), level, function, test))
    return found


def numbering(found: Iterable[Row], numbers: Iterable[int]) -> list[str]:
    """Say which numbers are missing and which are there more than once."""
    present = [row.number for row in found]
    missing = [f"{number}: no row" for number in sorted(set(numbers).difference(present))]
    twice = sorted({number for number in present if present.count(number) > 1})
    return missing + [f"{number}: more than one row" for number in twice]


def faults(row: Row, root: Path) -> list[str]:
    """Say what is wrong with one row of a checkout at `root`."""
    if NOT_DONE in row.function:
        return [f"{row.number}: a MUST is not done"] if "M" in row.level else []
    functions = _QUOTED.findall(row.function)
    tests = _QUOTED.findall(row.test)
    said = [] if functions else [f"{row.number}: no function"]
    if not tests:
        said.append(f"{row.number}: no test")
    for name in functions:
        path, _, inside = name.partition(".")
        if not _is_defined(root / "edgeproxy" / f"{path}.py", inside):
            said.append(f"{row.number}: no function {name}")
    return said + [f"{row.number}: {line}" for line in missing_tests(row.test, root)]


def missing_tests(cell: str, root: Path) -> list[str]:
    """Return the tests that a cell names and that are not there."""
    said = []
    file = ""
    for name in _QUOTED.findall(cell):
        own, _, inside = name.partition("::")
        file = own or file
        if not inside.startswith("test_") or not _is_defined(root / "tests" / file, inside):
            said.append(f"no test {file}::{inside}")
    return said


def vectors(text: str, root: Path) -> list[str]:
    """Say what is wrong with the table of hostile vectors: | number | vector | result | test |."""
    cells = [line.strip().split("|")[1:-1] for line in text.splitlines() if _ROW.match(line)]
    present = [int(row[0]) for row in cells]
    said = [] if present == list(VECTORS) else [f"vectors {present}, not 1 to {VECTORS[-1]}"]
    for number, *_, tests in cells:
        said += [f"{int(number)}: {line}" for line in missing_tests(tests, root)]
        if not _QUOTED.search(tests):
            said.append(f"{int(number)}: no test")
    return said


def _is_defined(path: Path, name: str) -> bool:
    return path.is_file() and name in _names(path)


@cache
def _names(path: Path) -> frozenset[str]:
    """Return what a module defines: functions, classes, constants, and `Class.member`."""
    return frozenset(_defined(ast.parse(path.read_text(encoding="utf-8")).body))


def _defined(body: list[ast.stmt]) -> Iterable[str]:
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name, body=members):
                yield name
                yield from (f"{name}.{member}" for member in _defined(members))
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case _:
                pass


def main(root: Path) -> int:
    """Print what is wrong with a checkout's docs/rfc.md; return 1 when anything is."""
    found = rows((root / "docs" / "rfc.md").read_text(encoding="utf-8"))
    whole = [row for row in found if isinstance(row, Row)]
    said = [line for line in found if isinstance(line, str)] + numbering(whole, NUMBERS)
    for row in whole:
        said += faults(row, root)
    hostile = vectors((root / "docs" / "verification.md").read_text(encoding="utf-8"), root)
    for line in said:
        print(f"docs/rfc.md: {line}")
    for line in hostile:
        print(f"docs/verification.md: {line}")
    return 1 if said or hostile else 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent))
