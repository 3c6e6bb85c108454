"""The side of the successor when a PoP is taken over: `handover` tells what is said.

`take` blocks, before there is a loop or a child, and within deadlines. Afterwards `Succession`
tells who may begin: nobody accepts before all could, so that a start that fails has cost no
connection; workers accept beside those who serve; the steward answers operators only when the
other one does not any more.
"""

import logging
import os
import selectors
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Final, Literal

from edgeproxy.control.socket_file import ControlSocket, socket_path
from edgeproxy.errors import UnavailableError
from edgeproxy.runtime.endpoints import Group, kind_of
from edgeproxy.runtime.handover import (
    ANSWER_SECONDS,
    READY_SECONDS,
    Heard,
    Line,
    LineBrokenError,
    LineEndedError,
    close_descriptors,
    line_path,
)
from edgeproxy.runtime.sockets import Address, close_all, name_of

log = logging.getLogger(__name__)

# Ours: addresses, times workers, in packets of 250.
_PACKETS_MAX: Final = 1024


@dataclass
class Taken:
    """What a running PoP has handed over; `close` it unless somebody else owns all of it.

    `listener` is where that PoP waits for successors, `manager` the environment by which it speaks
    to its service manager.
    """

    line: Line
    pid: int = 0
    groups: list[Group] = field(default_factory=list)
    control: ControlSocket | None = None
    listener: socket.socket | None = None
    manager: Mapping[str, str] = field(default_factory=dict)

    def environ(self, own: Mapping[str, str]) -> dict[str, str]:
        """Return our environment, with the service manager that watched the other one."""
        left = {key: value for key, value in own.items() if key != "WATCHDOG_PID"}
        return {**self.manager, **left}

    def close(self) -> None:
        """Let go of everything; whoever handed it over has it still."""
        for group in self.groups:
            close_all(group.sockets)
        if self.control is not None:
            self.control.leave()
        if self.listener is not None:
            self.listener.close()
        self.line.close()


def take(folder: Path, name: str) -> Taken | None:
    """Ask the PoP of this name for its sockets; None: there is none that could be taken over.

    Raises:
        UnavailableError: it refuses, or does not answer.
    """
    path = line_path(folder, name)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(ANSWER_SECONDS)
    taken = Taken(Line(sock))
    try:
        sock.connect(os.fspath(path))
        _check_owner(taken.line)
        with suppress(LineEndedError):  # who hangs up has said why
            taken.line.tell({"do": "take", "pop": name})
        _receive(taken, socket_path(folder, name))
        sock.setblocking(False)  # noqa: FBT003 - the method takes no keyword
    except (FileNotFoundError, ConnectionRefusedError):
        taken.close()
        return None
    except (OSError, LineEndedError, LineBrokenError, ValueError) as error:
        taken.close()
        raise UnavailableError(f"cannot take over the PoP at {path}: {error}") from None
    except BaseException:
        taken.close()
        raise
    return taken


def _check_owner(line: Line) -> None:
    """Take nothing from others: where clients connect to is not theirs to say."""
    _, uid = line.peer
    if uid != os.geteuid():
        raise LineBrokenError(f"it belongs to user {uid}")


def _receive(taken: Taken, path: Path) -> None:
    """Take what comes, until all of it has."""
    for _ in range(_PACKETS_MAX):
        heard = taken.line.hear()
        try:
            is_all = _keep(taken, heard, path)
        except (KeyError, TypeError, IndexError) as error:
            raise LineBrokenError(f"a message without {error}") from None
        finally:
            close_descriptors(heard.descriptors)  # what was kept is not there any more
        if is_all:
            return
    raise LineBrokenError("messages without an end")


def _keep(taken: Taken, heard: Heard, path: Path) -> bool:
    """Keep what one message hands over, and tell whether it was the last one."""
    message, descriptors = heard
    match message["is"]:
        case "sockets":
            kind, (host, port) = kind_of(message["kind"]), message["asked"]
            sockets = tuple(socket.socket(fileno=descriptors.pop(0)) for _ in list(descriptors))
            if not sockets:
                raise LineBrokenError("an address without sockets")
            _add(taken.groups, Group(kind, (str(host), int(port)), sockets))
        case "control":
            sock = socket.socket(fileno=descriptors.pop(0))
            taken.control = ControlSocket(path, sock, FileIO(descriptors.pop(0), "r+"))
            taken.listener = socket.socket(fileno=descriptors.pop(0))
        case "all":
            taken.pid = int(message["pid"])
            taken.manager = {str(key): str(value) for key, value in message["manager"].items()}
            return True
        case "refused":
            raise LineBrokenError(str(message["reason"]))
        case word:
            raise LineBrokenError(f"{word!r} was not due")
    return False


def _add(groups: list[Group], more: Group) -> None:
    """Add sockets, to those of the same address where these did not fit into one packet."""
    known = groups[-1] if groups else None
    if known is not None and _bound_to(known) == _bound_to(more):
        groups[-1] = Group(more.kind, more.asked, (*known.sockets, *more.sockets))
    else:
        groups.append(more)


def _bound_to(group: Group) -> tuple[str, Address]:
    return group.kind, name_of(group.sockets[0])


class Succession:
    """Who may begin when; `on_step` hears that it may be asked again, `on_failed` why it is over.

    `predecessor` is the process that was taken over as long as it lives. Without anybody to take
    over, `taken` None, all may begin at once.
    """

    def __init__(
        self,
        taken: Taken | None,
        monotonic: Callable[[], float],
        *,
        on_step: Callable[[], object],
        on_failed: Callable[[str], object],
    ) -> None:
        self.predecessor = 0 if taken is None else taken.pid
        self.is_reload_due = False
        self.deadline: float | None = None
        self._line = None if taken is None else taken.line
        self._monotonic = monotonic
        self._on_step = on_step
        self._on_failed = on_failed
        self._selector: selectors.BaseSelector | None = None
        self._stage: Literal["preparing", "joining", "asking", "alone"] = "preparing"
        if taken is None:
            self._stage = "alone"
        else:
            self.deadline = monotonic() + READY_SECONDS - ANSWER_SECONDS  # ours is over first

    @property
    def may_workers_serve(self) -> bool:
        """Whether workers may accept."""
        return self._stage != "preparing"

    @property
    def is_owner(self) -> bool:
        """Whether nobody else serves any more: names and operators are this process's."""
        return self._stage == "alone"

    def listen(self, selector: selectors.BaseSelector) -> None:
        """Hear what the other process says, from now on."""
        if self._line is not None:
            self._selector = selector
            selector.register(self._line, selectors.EVENT_READ, self._hear)

    def held(self) -> list[socket.socket]:
        """Return what no child may hold open."""
        return [] if self._line is None else [self._line.sock]

    def advance(self, *, are_prepared: bool, are_workers_ready: bool) -> None:
        """Go on as far as those who follow have come."""
        if self._stage == "preparing" and are_prepared:
            self._stage = "joining"
        if self._stage == "joining" and are_workers_ready:
            self._ask()

    def expire(self) -> None:
        """End what has taken too long."""
        if self.deadline is None or self._monotonic() < self.deadline:
            return
        self.deadline = None
        if self._stage == "asking":  # it drains, or hangs: operators are not to wait for that
            self._become_owner()
        else:
            self._fail(f"it was not ready within {READY_SECONDS - ANSWER_SECONDS:g} s")

    def give_up(self) -> None:
        """Leave the other process as it is, unless it was told to drain."""
        if self._stage in ("preparing", "joining"):
            self.deadline = None
            self.close()

    def close(self) -> None:
        """Hang up; harmless when repeated."""
        if self._line is not None:
            if self._selector is not None:
                self._selector.unregister(self._line)
            self._line.close()
            self._line = None

    def _ask(self) -> None:
        self._stage = "asking"
        self.deadline = self._monotonic() + ANSWER_SECONDS
        if self._line is None:
            self._become_owner()
            return
        try:
            self._line.tell({"do": "drain"})
        except LineEndedError:
            self._has_ended()

    def _hear(self) -> None:
        if self._line is None:
            return
        try:
            message, descriptors = self._line.hear()
            close_descriptors(descriptors)
            self._take(message)
        except BlockingIOError:
            return
        except LineEndedError:
            self._has_ended()
        except (LineBrokenError, KeyError) as error:
            self._fail(str(error))

    def _take(self, message: dict[str, object]) -> None:
        match message["is"]:
            case "released" if self._stage in ("asking", "alone"):
                self.is_reload_due = bool(message["reload"])
                self._become_owner()
            case "refused":
                self._fail(str(message["reason"]))
            case word:
                raise LineBrokenError(f"{word!r} was not due")

    def _has_ended(self) -> None:
        """Go on without the other process: what it had is ours."""
        log.info("process %d, which was taken over, has ended", self.predecessor)
        self.predecessor = 0
        self.close()
        if self._stage == "asking":
            self._become_owner()
        else:
            self._on_step()

    def _become_owner(self) -> None:
        self._stage, self.deadline = "alone", None
        self._on_step()

    def _fail(self, reason: str) -> None:
        self.close()
        if self._stage == "alone":
            log.error("nothing more is known of process %d: %s", self.predecessor, reason)
            self.predecessor = 0
            self._on_step()
        else:
            self._on_failed(reason)
