import resource
import subprocess
import sys

import pytest

from edgeproxy.runtime import descriptors

CLOSED = """
import os, sys
{close}
from edgeproxy.runtime.descriptors import occupy_standard
occupy_standard()
with open(__file__ if "__file__" in globals() else os.devnull) as opened:
    assert opened.fileno() > 2
os.write(1, b"out")
print("err", file=sys.stderr)
"""


@pytest.mark.parametrize("missing", [(), (0,), (1,), (2,), (0, 1, 2)])
def test_nothing_else_takes_a_standard_descriptor(missing) -> None:
    program = CLOSED.format(close=f"for fd in {missing}: os.close(fd)")
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == (b"" if 1 in missing else b"out")
    assert ran.stderr == (b"" if 2 in missing else b"err\n")


def test_an_interpreter_without_standard_error_gets_one(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    descriptors.occupy_standard()
    with sys.stderr:
        assert sys.stderr.fileno() == 2


def test_standard_output_can_be_given_up() -> None:
    program = (
        "from edgeproxy.runtime.descriptors import give_up_stdout\n"
        "print('heard', flush=True)\n"
        "give_up_stdout()\n"
        "print('not heard', flush=True)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ran.stdout == b"heard\n"


@pytest.mark.parametrize(
    ("limits", "wanted", "expected", "is_set"),
    [
        ((1024, 4096), 2000, 2000, True),
        ((1024, 1500), 2000, 1500, True),
        ((1024, resource.RLIM_INFINITY), 2000, 2000, True),
        ((3000, 4096), 2000, 3000, False),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), 2000, 2000, False),
    ],
)
def test_the_limit_is_raised_as_far_as_it_goes(
    monkeypatch, limits, wanted, expected, is_set
) -> None:
    calls = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _which, value: calls.append(value))
    assert descriptors.allow(wanted) == expected
    assert calls == ([(expected, limits[1])] if is_set else [])
