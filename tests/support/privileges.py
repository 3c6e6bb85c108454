"""Tests about permissions, for root too: root may read everything, so it steps down for a while."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

NOBODY = 65534
_READS_EVERYTHING = "-dac_override,-dac_read_search"


def without_reading_everything() -> tuple[str, ...]:
    """Return a command under which a program may not read what is closed to its user.

    The user stays the same, so that everything else is as open as before.
    """
    if os.geteuid() != 0:
        return ()
    drop = _READS_EVERYTHING
    return ("setpriv", "--inh-caps", drop, "--bounding-set", drop, "--")


@contextmanager
def without_privileges() -> Iterator[None]:
    """Run the block as a user who may not read what is closed to him."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
