"""Signals for a process without a loop: what `select` can wait for beside its links.

Nothing happens when a signal comes but that its number can be read here.
"""

import signal
import socket
from collections.abc import Iterable
from types import FrameType
from typing import Any

_READ_BYTES = 512


class Wakeup:
    """Hears signals from `start` until `stop`, which puts back what was there before."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)  # noqa: FBT003 - the method takes no keyword
        self._writer.setblocking(False)  # noqa: FBT003
        self._before: dict[signal.Signals, Any] = {}
        self._fd_before = -1

    def start(self, numbers: Iterable[signal.Signals]) -> None:
        """Hear these."""
        self._fd_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            self._before[number] = signal.signal(number, _nothing)

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._reader.fileno()

    def heard(self) -> list[int]:
        """Return the numbers of the signals that came since."""
        try:
            return list(self._reader.recv(_READ_BYTES))
        except BlockingIOError:
            return []

    def close(self) -> None:
        """Hear nothing more; in a child, whose signals are its own by then, only let go."""
        self._reader.close()
        self._writer.close()

    def stop(self) -> None:
        """Put back the handlers that were there, and close."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd_before)
        self.close()


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Let the interpreter write the number, which it does for no signal without a handler."""
