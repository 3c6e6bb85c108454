"""Check that no file and no function has grown past what a reader can hold.

Files of more than 500 lines and functions of more than 60 fail; tests included. A file may be
longer only with a written reason, here.
"""

import ast
import sys
from pathlib import Path

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
# path from the root of the repository: the reason why it may be longer
EXCUSED: dict[str, str] = {}


def long_functions(source: str) -> list[tuple[int, str, int]]:
    """Return (line, name, length) of every function that is too long."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                found.append((node.lineno, node.name, length))
    return sorted(found)


def findings(path: str, source: str) -> list[str]:
    """Say, one line each, what is too long in one file."""
    lines = source.count("\n")
    found = []
    if lines > FILE_LINES_MAX and path not in EXCUSED:
        found.append(f"{path}: {lines} lines, at most {FILE_LINES_MAX}")
    found += [
        f"{path}:{line}: {name} has {length} lines, at most {FUNCTION_LINES_MAX}"
        for line, name, length in long_functions(source)
    ]
    return found


def main(root: Path) -> int:
    """Print the findings of a checkout; return 1 when there are any."""
    found: list[str] = []
    for folder in ("edgeproxy", "tests", "bench", "scripts"):
        for path in sorted((root / folder).rglob("*.py")):
            name = str(path.relative_to(root))
            found += findings(name, path.read_text(encoding="utf-8"))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent))
