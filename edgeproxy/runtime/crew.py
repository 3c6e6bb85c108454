"""The processes of a PoP, as the main process keeps them: one steward, and workers.

Forks, links and channels; who is to be there, and when, is the supervisor's.
"""

import logging
import os
import selectors
import signal
from collections.abc import Callable, Iterable, Sequence

from edgeproxy.runtime.channel import channel_pair
from edgeproxy.runtime.children import Child, Closable, fork
from edgeproxy.runtime.link import Link, LinkEndedError, Received, link_pair
from edgeproxy.runtime.sockets import close_all

log = logging.getLogger(__name__)


class Crew:
    """`on_message` hears what one of them says; `kill` them in every case."""

    def __init__(
        self,
        workers: int,
        selector: selectors.BaseSelector,
        on_message: Callable[[Child, Received], object],
    ) -> None:
        self.steward = Child("steward")
        self.workers = [Child(f"worker {index}") for index in range(workers)]
        self._selector = selector
        self._on_message = on_message

    @property
    def all(self) -> Sequence[Child]:
        """Every place, the steward's first."""
        return (self.steward, *self.workers)

    def living(self) -> list[Child]:
        """Return the places that a process holds."""
        return [each for each in self.all if each.pid]

    def begin(
        self,
        child: Child,
        body: Callable[[Link], int],
        inherited: Iterable[Closable],
        now: float,
    ) -> bool:
        """Start a process, whose end of the link `body` gets; False where there can be none now."""
        here, there = link_pair()
        links = [each.link for each in self.all if each.link is not None]
        try:
            pid = fork(child.name, lambda: body(there), inherited=[here, *links, *inherited])
        except OSError as error:
            log.error("%s cannot begin: %s", child.name, error.strerror)  # noqa: TRY400 - says all
            here.close()
            child.born = now
            child.ended(now)
            return False
        finally:
            there.close()
        child.begun(pid, here, now)
        self._selector.register(here, selectors.EVENT_READ, lambda: self._hear(child, here))
        log.info("%s is process %d", child.name, pid)
        return True

    def connect(self, worker: Child) -> None:
        """Give a worker and the steward a channel, if both are there."""
        if not worker.pid or not self.steward.pid:
            return
        worker.channel += 1
        ends = channel_pair()
        order: dict[str, object] = {
            "do": "channel",
            "worker": self.workers.index(worker),
            "number": worker.channel,
            "pid": worker.pid,
        }
        self.steward.tell(order, ends[0].fileno())
        worker.tell({"do": "channel"}, ends[1].fileno())
        close_all(ends)

    def ended(self, pid: int, now: float) -> tuple[Child, bool] | None:
        """Take note of an end; return whose it was, and whether it had been ready."""
        child = next((each for each in self.all if each.pid == pid), None)
        if child is None:
            return None
        was_ready = child.is_ready
        if child.link is not None:
            self._selector.unregister(child.link)
        child.ended(now)
        return child, was_ready

    def kill(self) -> None:
        """Leave nobody behind, and no zombie."""
        for child in self.living():
            os.kill(child.pid, signal.SIGKILL)
        for child in self.living():
            os.waitpid(child.pid, 0)
            child.pid = 0
            if child.link is not None:
                self._selector.unregister(child.link)
                child.unlink()

    def _hear(self, child: Child, link: Link) -> None:
        if child.link is not link:
            return
        try:
            for received in link.received():
                self._on_message(child, received)
        except LinkEndedError:
            self._selector.unregister(link)
            child.unlink()
