"""The link between the main process and a child: short messages, some with a descriptor.

Packets on a Unix socket, one message each, so that the main process needs neither a loop nor a
buffer. Nothing here blocks. A link belongs to one child; when either end is gone, so is the other
process, or it is about to be.
"""

import array
import json
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

Message = dict[str, Any]

MESSAGE_BYTES_MAX = 4096
"""Ours: a message is a verb and some numbers."""

_DESCRIPTOR_BYTES = array.array("i").itemsize


class Received(NamedTuple):
    """A message, and the descriptor that came with it, which is the receiver's to close."""

    message: Message
    descriptor: int | None


class LinkEndedError(Exception):
    """The other end is gone."""


class Link:
    """One end of a link."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)  # noqa: FBT003 - the method takes no keyword
        self.sock = sock

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self.sock.fileno()

    def send(self, message: Message, descriptor: int | None = None) -> bool:
        """Send; False where nobody takes it any more.

        A full link is one of a process that has not run for hundreds of messages.
        """
        ancillary = []
        if descriptor is not None:
            rights = array.array("i", [descriptor]).tobytes()
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
        try:
            self.sock.sendmsg([json.dumps(message).encode()], ancillary, socket.MSG_NOSIGNAL)
        except OSError:
            return False
        return True

    def received(self) -> Iterator[Received]:
        """Yield what has come.

        Raises:
            LinkEndedError: nothing can come any more.
        """
        space = socket.CMSG_SPACE(_DESCRIPTOR_BYTES)
        while True:
            try:
                data, ancillary, _, _ = self.sock.recvmsg(
                    MESSAGE_BYTES_MAX, space, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                raise LinkEndedError
            yield Received(json.loads(data), _descriptor(ancillary))

    def close(self) -> None:
        """Close this end."""
        self.sock.close()


def link_pair() -> tuple[Link, Link]:
    """Return both ends of a new link."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Link(here), Link(there)


def _descriptor(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            return array.array("i", data[:_DESCRIPTOR_BYTES])[0]
    return None
