"""Child processes of the main process: their beginning, their end, and when the next one may begin.

Forked, not started: they inherit sockets and the TLS context. There must be no thread and no event
loop yet. What a child does is its body's business.
"""

import ctypes
import logging
import os
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from edgeproxy.errors import CertificateError, ConfigError, UnavailableError
from edgeproxy.runtime.link import Link

log = logging.getLogger(__name__)

HEARD: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
"""What the main process hears; none of it is for children, whom a terminal sends it, too."""

# sysexits(3), as the command line has them: a child that ends so would end so again.
UNAVAILABLE: Final = 69
INTERNAL: Final = 70
CONFIGURATION: Final = 78

SETTLED_SECONDS: Final = 10.0
"""Ours: who lived so long did not end because of how it began."""
PAUSE_SECONDS_MAX: Final = 10.0
_PAUSE_SECONDS: Final = 0.1

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_libc = ctypes.CDLL(None)


class Closable(Protocol):
    """What a child inherits and must not hold."""

    def close(self) -> None:
        """Let go of it."""


@dataclass
class Child:
    """One place for a process: who holds it now (`pid` 0: nobody), and since when.

    `deaths` are those in a row of processes that ended before they had settled; `due` is when the
    next one may begin, by the monotonic clock. It is prepared, then told to serve, then ready.
    `silent` is how often it was found to have said nothing, in a row; `channel` numbers the
    channels of a worker.
    """

    name: str
    pid: int = 0
    link: Link | None = None
    born: float = 0.0
    is_prepared: bool = False
    is_serving: bool = False
    is_ready: bool = False
    deaths: int = 0
    due: float = 0.0
    channel: int = 0
    silent: int = 0
    is_killed: bool = False

    def tell(self, message: dict[str, object], descriptor: int | None = None) -> None:
        """Send an order, if there is somebody."""
        if self.link is not None:
            self.link.send(message, descriptor)

    def begun(self, pid: int, link: Link, now: float) -> None:
        """Take note of a process."""
        self.pid, self.link, self.born, self.silent = pid, link, now, 0
        self.is_prepared = self.is_serving = self.is_ready = self.is_killed = False

    def kill(self) -> bool:
        """End it at once; False where that is on its way already."""
        if not self.is_killed:
            self.is_killed = True
            os.kill(self.pid, signal.SIGKILL)
            return True
        return False

    def serve(self) -> None:
        """Let it begin, once."""
        if self.is_prepared and not self.is_serving:
            self.is_serving = True
            self.tell({"do": "serve"})

    def ended(self, now: float) -> None:
        """Take note of its end, and of when the next one may begin."""
        self.deaths = 1 if now - self.born >= SETTLED_SECONDS else self.deaths + 1
        self.due = now + pause_seconds(self.deaths)
        self.pid = 0
        self.is_prepared = self.is_serving = self.is_ready = False
        self.unlink()

    def unlink(self) -> None:
        """Close the link."""
        if self.link is not None:
            self.link.close()
            self.link = None


def pause_seconds(deaths: int) -> float:
    """Return how long to wait after so many deaths in a row: not at all after the first."""
    if deaths <= 1:
        return 0.0
    return min(_PAUSE_SECONDS * 2.0 ** min(deaths - 2, 16), PAUSE_SECONDS_MAX)


def fork(name: str, body: Callable[[], int], *, inherited: Iterable[Closable]) -> int:
    """Run `body` in a new process, whose exit code it returns; return the process's id.

    Raises:
        OSError: there may be no more processes, or there is no memory.
    """
    main = os.getpid()
    # A signal between the fork and the child's own handlers would be told to both through the
    # wake-up socket that they share, and two SIGTERM are an order to hurry.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    try:
        pid = os.fork()
        if pid == 0:
            _live(name, body, inherited, main)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _live(name: str, body: Callable[[], int], inherited: Iterable[Closable], main: int) -> None:
    """Be the child; never returns: behind it stands the main process's own way out."""
    code = INTERNAL
    try:
        _libc.prctl(_PR_SET_NAME, f"edge {name}".encode()[:15], 0, 0, 0)
        _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() == main:  # else it has ended before we asked to hear of it
            signal.set_wakeup_fd(-1)
            for number in HEARD:
                ignored = signal.SIG_DFL if number is signal.SIGCHLD else signal.SIG_IGN
                signal.signal(number, ignored)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
            for each in inherited:
                each.close()
            code = _code_of(name, body)
    finally:
        os._exit(code)


def _code_of(name: str, body: Callable[[], int]) -> int:
    try:
        return body()
    except (ConfigError, CertificateError) as error:
        log.error("%s: %s", name, error)  # noqa: TRY400 - an operator's fault
        return CONFIGURATION
    except UnavailableError as error:
        log.error("%s: %s", name, error)  # noqa: TRY400 - the machine's state
        return UNAVAILABLE
    except BaseException:
        log.exception("%s ends", name)
        return INTERNAL


def reap() -> list[tuple[int, int]]:
    """Return process ids and wait statuses of all that have ended.

    Also of who is no child of ours by birth: the first process of a container inherits orphans.
    """
    found: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        found.append((pid, status))


def how_it_ended(status: int) -> str:
    """Say what a wait status means."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return f"was killed by {signal.strsignal(number) or 'signal'} ({number})"
    return f"ended with exit code {os.waitstatus_to_exitcode(status)}"
