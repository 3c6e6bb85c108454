"""Check that unit tests mirror the package, in both directions.

`edgeproxy/a/b.py` has `tests/unit/a/test_b.py`, and every `tests/unit/**/test_*.py` has its
module. A module's tests that are too many for one file go on in `test_b_<topic>.py` beside it.
`__init__.py` and `__main__.py` are left out: they hold no behaviour of their own.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

WITHOUT_TESTS = frozenset({"__init__.py", "__main__.py"})


def expected_test(module: Path) -> Path:
    """Return the unit test file (below tests/unit) of a module (below the package)."""
    return module.with_name(f"test_{module.name}")


def continues(test: Path, expected: Iterable[Path]) -> bool:
    """Whether a test file is one more, `test_b_<topic>.py`, beside an expected `test_b.py`."""
    return any(
        test.parent == first.parent and test.name.startswith(f"{first.stem}_") for first in expected
    )


def differences(modules: Iterable[Path], tests: Iterable[Path]) -> list[str]:
    """Say, one line each, which modules have no test file and which test files no module.

    Paths are relative: modules to the package, tests to tests/unit.
    """
    wanted = {expected_test(module): module for module in modules}
    present = set(tests)
    missing = [
        f"edgeproxy/{module} has no tests/unit/{test}"
        for test, module in sorted(wanted.items())
        if test not in present
    ]
    orphaned = [
        f"tests/unit/{test} has no edgeproxy/{test.with_name(test.name.removeprefix('test_'))}"
        for test in sorted(present - wanted.keys())
        if not continues(test, wanted)
    ]
    return missing + orphaned


def main(root: Path) -> int:
    """Print the differences of a checkout; return 1 when there are any."""
    package, tests = root / "edgeproxy", root / "tests" / "unit"
    found = differences(
        (p.relative_to(package) for p in package.rglob("*.py") if p.name not in WITHOUT_TESTS),
        (p.relative_to(tests) for p in tests.rglob("test_*.py")),
    )
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent))
