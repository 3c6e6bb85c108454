"""Tells the service manager how the service is: `sd_notify(3)` without its library.

Datagrams to `$NOTIFY_SOCKET`, a path or (with `@`) an abstract name. Never blocks and never fails:
without a socket, or with nobody at it, saying something is nothing. Needs no event loop.
"""

import logging
import os
import socket
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

_MICROSECONDS = 1_000_000


class Notifier:
    """Says what state the service is in; `monotonic` is CLOCK_MONOTONIC in seconds.

    `watchdog_seconds` is how often the manager wants to hear `alive`, None if it does not.
    """

    def __init__(self, environ: Mapping[str, str], *, monotonic: Callable[[], float]) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._monotonic = monotonic
        self._is_unheard = False
        self.watchdog_seconds = _watchdog(environ) if self._address else None

    def ready(self, status: str = "serving") -> None:
        """Say that it serves, or serves again after a reload."""
        self.send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Say that a reload begins; `ready` must follow."""
        now = int(self._monotonic() * _MICROSECONDS)
        self.send("RELOADING=1", f"MONOTONIC_USEC={now}", "STATUS=reloading")

    def stopping(self, status: str = "draining") -> None:
        """Say that the end has begun."""
        self.send("STOPPING=1", f"STATUS={status}")

    def main_pid(self, pid: int) -> None:
        """Say which process is to be watched from now on; only the one that is can say so."""
        self.send(f"MAINPID={pid}")

    def alive(self) -> None:
        """Say that it is not stuck."""
        self.send("WATCHDOG=1")

    def send(self, *assignments: str) -> None:
        """Send assignments as one datagram; a line break within one would begin another."""
        if self._address is None:
            return
        said = "\n".join(each.replace("\n", " ") for each in assignments)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)  # noqa: FBT003 - the method takes no keyword
                sock.sendto(said.encode(), self._address)
        except OSError as error:
            if not self._is_unheard:
                self._is_unheard = True
                log.warning("the service manager does not hear us: %s", error)


def _address(named: str) -> str | bytes | None:
    if named.startswith("/"):
        return named
    return b"\0" + os.fsencode(named[1:]) if named.startswith("@") and len(named) > 1 else None


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """Return half of what the manager waits, as sd_watchdog_enabled(3) advises."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    said = environ.get("WATCHDOG_USEC", "")
    if not (said.isascii() and said.isdigit()) or not int(said):
        return None
    return int(said) / _MICROSECONDS / 2
