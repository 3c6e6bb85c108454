"""Open files of large bodies, read by many at places of their own, and what is known of them.

Blocks; raises OSError. Any thread may call it. Decides nothing about what is stored.

Invariants: a descriptor is closed when the last who holds the file lets go, and never under
anybody who reads; the digest of a file is computed once as long as inode, time of change and size
stay what they were.
"""

import hashlib
import os
import stat
import threading
from collections.abc import Iterable
from typing import Final

from cachetools import LRUCache

_HASHED_BYTES: Final = 1024 * 1024
_PROVEN_MAX: Final = 16_384  # some 200 octets each


class SharedFile:
    """A file that is open as long as somebody holds it; whoever opened it does."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._holders = 1
        self._lock = threading.Lock()

    @property
    def status(self) -> os.stat_result:
        """What the system says of it."""
        return os.fstat(self._descriptor)

    def hold(self) -> None:
        """Keep it open until `let_go` is said once more."""
        with self._lock:
            self._holders += 1

    def let_go(self) -> None:
        """Close it, if nobody else holds it."""
        with self._lock:
            self._holders -= 1
            if not self._holders:
                os.close(self._descriptor)

    def read(self, position: int, size: int) -> bytes:
        """Return so many octets from there, fewer only at the end of the file."""
        content = os.pread(self._descriptor, size, position)
        while 0 < len(content) < size:
            more = os.pread(self._descriptor, size - len(content), position + len(content))
            if not more:
                break
            content += more
        return content

    def write(self, position: int, pieces: Iterable[bytes]) -> None:
        """Write all of these, one behind the other."""
        for piece in pieces:
            unwritten = memoryview(piece)
            while unwritten:
                written = os.pwrite(self._descriptor, unwritten, position)
                position += written
                unwritten = unwritten[written:]

    def flush(self) -> None:
        """Wait until the content has reached the disk."""
        os.fdatasync(self._descriptor)

    def digest(self) -> bytes:
        """Read everything and return its SHA-256."""
        return digest_of(self._descriptor)


def digest_of(descriptor: int) -> bytes:
    """Return the SHA-256 of everything in an open file, a megabyte at a time."""
    digest, position = hashlib.sha256(), 0
    while piece := os.pread(descriptor, _HASHED_BYTES, position):
        digest.update(piece)
        position += len(piece)
    return digest.digest()


def is_file_of(status: os.stat_result, length: int) -> bool:
    """Tell whether it is an ordinary file of that length."""
    return stat.S_ISREG(status.st_mode) and status.st_size == length


class Proven:
    """Which files this process knows to hold what their names say."""

    def __init__(self) -> None:
        self._known: LRUCache[bytes, tuple[int, int, int]] = LRUCache(_PROVEN_MAX)
        self._lock = threading.Lock()

    def note(self, digest: bytes, status: os.stat_result) -> None:
        """Remember a file whose content has that digest."""
        with self._lock:
            self._known[digest] = _identity(status)

    def knows(self, digest: bytes, status: os.stat_result) -> bool:
        """Tell whether it is that very file, unchanged."""
        with self._lock:
            return self._known.get(digest) == _identity(status)


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_mtime_ns, status.st_size
