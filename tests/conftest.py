"""What counts as covered is what tests of the parts, of the whole edge and of its processes reach.

Attacks and properties go over the same lines thousands of times more, and the tracer takes two
thirds of the CPU on top of theirs: it is set aside meanwhile, and the programs that they start have
none. The floors of `scripts/check_coverage.py` are kept without them.
"""

import os
import sys
import threading
from pathlib import Path

import pytest

# what peers of HTTP/2 do wrong is tested in `hostile` only
COUNTED = ("unit/", "scenarios/", "protocol/", "hostile/test_h2_")
# by which coverage lets the programs that a test starts be measured
_PROGRAMS = "COVERAGE_PROCESS_CONFIG"
_HERE = Path(__file__).parent


class Tracer:
    """What coverage has put into this process, which is taken out and put back."""

    def __init__(self) -> None:
        self._here, self._threads = sys.gettrace(), threading.gettrace()
        self._programs = os.environ.get(_PROGRAMS)
        self._is_on = True

    def turn(self, *, on: bool) -> None:
        if on is self._is_on or self._here is None:
            return
        self._is_on = on
        sys.settrace(self._here if on else None)
        threading.settrace(self._threads if on else None)
        if on and self._programs is not None:
            os.environ[_PROGRAMS] = self._programs
        else:
            os.environ.pop(_PROGRAMS, None)


_TRACER = Tracer()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    module = item.path.relative_to(_HERE).as_posix()
    _TRACER.turn(on=module.startswith(COUNTED))
    try:
        return (yield)
    finally:
        _TRACER.turn(on=True)
