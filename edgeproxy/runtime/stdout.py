"""Standard output, as several processes write the access log to it: whole lines, one after another.

Knows nothing of what the lines say. Blocks as long as the reader does, so it is for threads only.
"""

import fcntl
import os

_STDOUT = 1


def write(lines: str) -> None:
    """Write all of it.

    Not through `sys.stdout`: blocked by a full pipe it would hold a lock that the interpreter needs
    to end.
    """
    unwritten = memoryview(lines.encode())
    while unwritten:
        unwritten = unwritten[os.write(_STDOUT, unwritten) :]


class SharedStdout:
    """Standard output of several processes; made before they are forked.

    The kernel keeps only 4 KiB together in a pipe (PIPE_BUF), and a line may be longer. Who writes
    holds a lock, which the kernel takes back from a process that ends.
    """

    def __init__(self) -> None:
        self._lock = os.memfd_create("access-log")

    def write(self, lines: str) -> None:
        """Write all of it, and nobody else's in between."""
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            write(lines)
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the lock."""
        os.close(self._lock)
