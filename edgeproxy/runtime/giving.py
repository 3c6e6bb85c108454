"""The side of who serves when a successor takes over: `handover` tells what is said.

One successor at a time, of our own user; every other one is told why not. Lives in the main
process's selector: nothing here waits. Until a successor has said `drain` nothing has changed, and
one that is gone before, or takes too long, leaves one line in the log. Decides nothing else.
"""

import logging
import os
import selectors
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from edgeproxy.runtime.endpoints import Group
from edgeproxy.runtime.handover import (
    ANSWER_SECONDS,
    DESCRIPTORS_MAX,
    READY_SECONDS,
    Line,
    LineBrokenError,
    LineEndedError,
    Message,
    close_descriptors,
)

log = logging.getLogger(__name__)


class Giver(Protocol):
    """The PoP that serves, as far as a successor concerns it."""

    def why_not_now(self) -> str:
        """Return why there can be no successor at this moment, "" if there can."""

    def gifts(self) -> Iterable[tuple[Message, Sequence[int]]]:
        """Yield messages with what they hand over, in order."""

    def succession_changed(self) -> None:
        """Hear that `Giving.successor` is another one, or nobody."""

    def hand_over(self, successor: int) -> None:
        """End in order: this process serves instead."""


class Giving:
    """Waits on `listener`, which it owns, for whoever is next; `close` it in every case.

    `monotonic` is a clock in seconds. `successor` is the process that takes over, or
    has, None while there is none.
    """

    def __init__(
        self,
        giver: Giver,
        listener: socket.socket,
        selector: selectors.BaseSelector,
        monotonic: Callable[[], float],
    ) -> None:
        self.successor: int | None = None
        self.deadline: float | None = None
        self.is_over = False
        self._is_released = False
        self._giver = giver
        self._listener = listener
        self._selector = selector
        self._monotonic = monotonic
        self._line: Line | None = None
        listener.setblocking(False)  # noqa: FBT003 - the method takes no keyword
        listener.listen()
        selector.register(listener, selectors.EVENT_READ, self._accept)

    def held(self) -> Iterator[socket.socket]:
        """Yield what no child may hold open."""
        yield self._listener
        if self._line is not None:
            yield self._line.sock

    def expire(self) -> None:
        """Let go of a successor that took too long."""
        if self.deadline is not None and self.deadline <= self._monotonic():
            self._refuse("it took too long")

    def release(self, *, is_reload_due: bool) -> None:
        """Tell the successor that what was asked on shared sockets is its own from now on.

        The line stays open as long as this process: its end is what the successor waits for.
        """
        if self._line is not None and not self._is_released:
            self._is_released = True
            try:
                self._line.tell({"is": "released", "reload": is_reload_due})
            except LineEndedError as error:
                log.warning("the successor does not hear us: %s", error)

    def close(self) -> None:
        """Stop waiting, and hang up."""
        self._close_listener()
        self._hang_up()

    # --- what comes -----------------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:  # gone again
            return
        sock.setblocking(False)  # noqa: FBT003 - the method takes no keyword
        line = Line(sock)
        pid, uid = line.peer
        if uid != os.geteuid():
            reason = f"it runs as user {uid}, and this PoP as {os.geteuid()}"
        elif self._line is not None:
            reason = "another process takes over already"
        else:
            reason = self._giver.why_not_now()
        if reason:
            log.warning("process %d may not take over: %s", pid, reason)
            _tell_off(line, reason)
            return
        self._line = line
        self.deadline = self._monotonic() + ANSWER_SECONDS
        self._selector.register(line, selectors.EVENT_READ, self._hear)

    def _hear(self) -> None:
        if self._line is None:
            return
        try:
            message, descriptors = self._line.hear()
            close_descriptors(descriptors)
            self._take(message)
        except BlockingIOError:
            return
        except LineEndedError as error:
            self._failed(str(error))
        except (LineBrokenError, KeyError, TypeError) as error:
            self._refuse(str(error))

    def _take(self, message: Message) -> None:
        match message["do"]:
            case "take" if self.successor is None:
                self._give()
            case "drain" if self.successor is not None and not self.is_over:
                self._commit(self.successor)
            case word:
                raise LineBrokenError(f"{word!r} was not due")

    def _give(self) -> None:
        line = self._line
        if line is None:
            return
        for message, descriptors in self._giver.gifts():
            line.tell(message, descriptors)
        self.successor, _ = line.peer
        self.deadline = self._monotonic() + READY_SECONDS
        log.info("process %d is about to take over", self.successor)
        self._giver.succession_changed()

    def _commit(self, successor: int) -> None:
        self.deadline = None
        self.is_over = True
        self._close_listener()
        log.info("process %d has taken over", successor)
        self._giver.hand_over(successor)

    # --- ends -----------------------------------------------------------------------------------

    def _refuse(self, reason: str) -> None:
        if self._line is not None and not self.is_over:
            with suppress(LineEndedError):
                self._line.tell({"is": "refused", "reason": reason})
        self._failed(reason)

    def _failed(self, reason: str) -> None:
        """Go on as if nothing had happened; after the commit only the line is gone."""
        self._hang_up()
        if self.is_over:
            return
        log.error("a take-over has failed, this process goes on: %s", reason)
        self.successor = None
        self._giver.succession_changed()

    def _hang_up(self) -> None:
        self.deadline = None
        if self._line is not None:
            self._selector.unregister(self._line)
            self._line.close()
            self._line = None

    def _close_listener(self) -> None:
        if self._listener.fileno() != -1:
            self._selector.unregister(self._listener)
            self._listener.close()


def gifts_of(groups: Iterable[Group]) -> Iterator[tuple[Message, Sequence[int]]]:
    """Yield messages with all sockets of these addresses, as many in one as it may carry."""
    for group in groups:
        numbers = [each.fileno() for each in group.sockets]
        for at in range(0, len(numbers), DESCRIPTORS_MAX):
            message = {"is": "sockets", "kind": group.kind, "asked": list(group.asked)}
            yield message, numbers[at : at + DESCRIPTORS_MAX]


def manager_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Return how the service manager is told something, for a successor that it did not start."""
    return {key: environ[key] for key in ("NOTIFY_SOCKET", "WATCHDOG_USEC") if key in environ}


def _tell_off(line: Line, reason: str) -> None:
    with suppress(LineEndedError):
        line.tell({"is": "refused", "reason": reason})
    line.close()
