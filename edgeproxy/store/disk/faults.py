"""What can be wrong with a disk, in one word each, and how long to leave it alone afterwards.

Decides nothing about what is stored. Every fault is counted; the log hears of a part of the tier
once when it fails and once when it is well again, however often that is tried in between.
"""

import errno
import logging
import sqlite3
import threading
from collections import Counter
from typing import Final, Literal

from edgeproxy.clock import Clock
from edgeproxy.errors import StoreError

_log = logging.getLogger(__name__)

Part = Literal["index", "bodies"]

# Ours: a disk that is full for a moment is soon asked again, a dead one costs next to nothing.
BACKOFF_SECONDS_MIN: Final = 1.0
BACKOFF_SECONDS_MAX: Final = 60.0

_BY_ERRNO: Final = {
    errno.ENOSPC: "no_space",
    errno.EDQUOT: "no_space",
    errno.EFBIG: "no_space",
    errno.EROFS: "read_only",
    errno.EACCES: "read_only",
    errno.EPERM: "read_only",
}
_BY_RESULT_CODE: Final = {
    sqlite3.SQLITE_FULL: "no_space",
    sqlite3.SQLITE_READONLY: "read_only",
    sqlite3.SQLITE_PERM: "read_only",
    sqlite3.SQLITE_CORRUPT: "index",
    sqlite3.SQLITE_NOTADB: "index",
    sqlite3.SQLITE_BUSY: "busy",
    sqlite3.SQLITE_LOCKED: "busy",
}


class DiskError(StoreError):
    """A part of the tier failed; `reason` is the word it is counted under."""

    def __init__(self, part: Part, reason: str, detail: str) -> None:
        super().__init__(f"{part}: {reason}: {detail}")
        self.part: Part = part
        self.reason = reason
        self.detail = detail


def reason_of(error: OSError | sqlite3.Error) -> str:
    """Return the word for what the system said."""
    if isinstance(error, OSError):
        return _BY_ERRNO.get(error.errno or 0, "io")
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # sqlite3's own complaints, as about what is not of the kind it should be
        return "index"
    return _BY_RESULT_CODE.get(code & 0xFF, "io")


def failed(part: Part, error: OSError | sqlite3.Error) -> DiskError:
    """Return the error of a part for what the system said."""
    detail = error.strerror if isinstance(error, OSError) else str(error)
    return DiskError(part, reason_of(error), detail or repr(error))


class Health:
    """Counts faults, and knows which part may be tried again. Any thread may call it."""

    def __init__(self, clock: Clock, where: str) -> None:
        self._clock = clock
        self._where = where
        self._lock = threading.Lock()
        self._delays: dict[Part, float] = {}
        self._until: dict[Part, float] = {}
        self.faults: Counter[str] = Counter()

    def count(self, reason: str, number: int = 1) -> None:
        """Count what is no reason to leave the disk alone."""
        with self._lock:
            self.faults[reason] += number

    def failed(self, error: DiskError) -> None:
        """Count a fault and leave the part alone for a while, twice as long each time.

        What fails while it is left alone had begun before, or cannot wait: that is the same time.
        """
        with self._lock:
            self.faults[error.reason] += 1
            if self.is_down(error.part):
                return
            before = self._delays.get(error.part, 0.0)
            delay = min(max(2 * before, BACKOFF_SECONDS_MIN), BACKOFF_SECONDS_MAX)
            self._delays[error.part] = delay
            self._until[error.part] = self._clock.monotonic() + delay
        if not before:
            _log.warning("disk tier in %s: %s; going on without", self._where, error)

    def fine(self, part: Part) -> None:
        """Note that the part works."""
        if part not in self._delays:
            return
        with self._lock:
            was_down = self._delays.pop(part, 0.0)
            self._until.pop(part, None)
        if was_down:
            _log.info("disk tier in %s: %s works again", self._where, part)

    def is_down(self, part: Part) -> bool:
        """Tell whether the part has failed last and is not to be tried yet."""
        until = self._until.get(part)
        return until is not None and self._clock.monotonic() < until
