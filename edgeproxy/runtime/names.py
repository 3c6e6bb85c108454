"""What a PoP has in the folder of its state, as long as its name is its own.

The control socket, the lock on the name, and the socket where the next process asks for all of it
(`handover`). Main holds them, so that none is gone between two stewards; a successor gets them as
they are. Accepts nothing.
"""

import logging
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from edgeproxy.control.socket_file import ControlSocket, bind_private
from edgeproxy.runtime.children import Closable
from edgeproxy.runtime.handover import line_path
from edgeproxy.runtime.operations import claim_control
from edgeproxy.runtime.taking import Taken

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Names:
    """`close` or `leave` them in every case."""

    control: ControlSocket
    listener: socket.socket
    path: Path

    @classmethod
    def claim(cls, folder: Path, name: str) -> Self | None:
        """Make both sockets; without them the PoP serves all the same, and a warning says why."""
        control = claim_control(folder, name)
        if control is None:
            return None
        path = line_path(folder, name)
        try:
            path.unlink(missing_ok=True)  # of a dead process: the lock is ours
            listener = bind_private(path, socket.SOCK_SEQPACKET)
        except OSError as error:
            log.warning("no control socket and nobody can take over: %s: %s", path, error.strerror)
            control.close()
            return None
        return cls(control, listener, path)

    @classmethod
    def taken(cls, folder: Path, name: str, taken: Taken) -> Self | None:
        """Return those that another process has handed over."""
        if taken.control is None or taken.listener is None:
            return None
        return cls(taken.control, taken.listener, line_path(folder, name))

    @classmethod
    def of(cls, folder: Path, name: str, taken: Taken | None) -> Self | None:
        """Return those that were handed over, or, where nobody was taken over, new ones."""
        return cls.claim(folder, name) if taken is None else cls.taken(folder, name, taken)

    def descriptors(self) -> list[int]:
        """Return what a successor gets."""
        return [self.control.sock.fileno(), self.control.lock.fileno(), self.listener.fileno()]

    def held(self, *, has_control: bool) -> Iterator[Closable]:
        """Yield what a child must not hold open."""
        yield self.control.lock
        yield self.listener
        if not has_control:
            yield self.control.sock

    def close(self) -> None:
        """Give the name up."""
        self.listener.close()
        self.path.unlink(missing_ok=True)
        self.control.close()

    def leave(self) -> None:
        """Let another process go on with them."""
        self.listener.close()
        self.control.leave()
