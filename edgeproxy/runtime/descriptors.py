"""File descriptors of the process: the three standard ones, and how many there may be.

Needs no event loop and must run before anything is opened: a socket that took the place of a closed
standard output would get our log lines, and libuv ends the process when one of its own is below 3.
"""

import os
import resource
import sys

_STDOUT, _STDERR = 1, 2
_STANDARD = (0, _STDOUT, _STDERR)


def occupy_standard() -> None:
    """Open the standard descriptors that we were started without, on nothing."""
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number free, which is this one
    if sys.stderr is None:
        sys.stderr = os.fdopen(_STDERR, "w", closefd=False)


def give_up_stdout() -> None:
    """Let standard output end in nothing, once its reader has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _STDOUT)
    os.close(nowhere)


def allow(wanted: int) -> int:
    """Raise the limit of open files to `wanted` as far as we may; return what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted if soft == resource.RLIM_INFINITY else soft
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed
