"""File descriptors of the process: the three standard ones, and how many there may be.

Needs no event loop and must run before anything is opened: a socket that took the place of a closed
standard output would get our log lines, and libuv ends the process when one of its own is below 3.
"""

import logging
import os
import resource
import sys

log = logging.getLogger(__name__)

_STDOUT, _STDERR = 1, 2
_STANDARD = (0, _STDOUT, _STDERR)
# What a process needs beside its clients: listeners, connections to origins, files while loading.
_OWN_DESCRIPTORS = 256


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


def allow_connections(connections_max: int) -> None:
    """Raise the limit of open files for so many clients; say so if there may not be enough."""
    wanted = connections_max + _OWN_DESCRIPTORS
    if (allowed := allow(wanted)) < wanted:
        log.warning("%d open files are allowed, max_connections needs %d", allowed, wanted)


def allow(wanted: int) -> int:
    """Raise the limit of open files to `wanted` as far as we may; return what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted if soft == resource.RLIM_INFINITY else soft
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed
