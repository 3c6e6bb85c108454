"""How one main process of a PoP hands its sockets to the next one: the line between both.

Packets of JSON over a Unix socket (SOCK_SEQPACKET) beside the control socket, `<pop.name>.next`,
mode 0600, some with descriptors (SCM_RIGHTS). The peer is another version of this program, or any
program of our user: every message has the version, is bounded, and is read strictly. In order:

    successor                                        who serves
    {"do": "take", "pop": "fra1"}               ->
                                                <-   {"is": "sockets", "kind": "https",
                                                      "asked": ["0.0.0.0", 443]}       descriptors
                                                <-   {"is": "control"}  control socket, its lock,
                                                                        and this line's listener
                                                <-   {"is": "all", "pid": 7, "manager": {...}}
    {"do": "drain"}                             ->   from here on there is no way back
                                                <-   {"is": "released", "reload": false}
                                                     the end of the line: the process is gone

or at any time before `drain`, instead of an answer, {"is": "refused", "reason": "..."}. Whoever is
gone before it leaves the other one as if nothing had happened. Nothing here waits but by the
socket's own time-out, and nothing decides; `giving` and `taking` do.
"""

import array
import json
import os
import socket
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

Message = dict[str, Any]

VERSION: Final = 1
MESSAGE_BYTES_MAX: Final = 4096
DESCRIPTORS_MAX: Final = 250
"""What one packet may carry; Linux allows 253 (SCM_MAX_FD)."""

ANSWER_SECONDS: Final = 5.0
"""Ours: how long either waits for the other's next word, where nothing but a word is due."""
READY_SECONDS: Final = 90.0
"""Ours: what a successor may need until it serves: fifteen seconds for staples, ten for a disk."""

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: `struct ucred`
_DESCRIPTOR_BYTES = array.array("i").itemsize


class LineEndedError(Exception):
    """The other process is gone, or has hung up."""


class LineBrokenError(Exception):
    """What came is none of the messages that are due."""


class Heard(NamedTuple):
    """A message, and the descriptors that came with it, which are the receiver's to close."""

    message: Message
    descriptors: list[int]


class Line:
    """One end; does not block unless its socket was given a time-out."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self.sock.fileno()

    @property
    def peer(self) -> tuple[int, int]:
        """Return process id and user id of the other end."""
        raw = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, _gid = _CREDENTIALS.unpack(raw)
        return pid, uid

    def tell(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send.

        Raises:
            LineEndedError: nobody takes it, or not now.
        """
        said = json.dumps({"version": VERSION, **message}).encode()
        rights = array.array("i", descriptors).tobytes()
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else []
        try:
            self.sock.sendmsg([said], ancillary, socket.MSG_NOSIGNAL)
        except OSError as error:
            raise LineEndedError(error.strerror or str(error)) from None

    def hear(self) -> Heard:
        """Return what has come.

        Raises:
            BlockingIOError: nothing has.
            TimeoutError: nothing did within the socket's time-out.
            LineEndedError: nothing can come any more.
            LineBrokenError: it cannot be understood.
        """
        try:
            data, ancillary, flags, _ = self._received()
        except (BlockingIOError, TimeoutError):
            raise
        except OSError as error:
            raise LineEndedError(error.strerror or str(error)) from None
        descriptors = list(_descriptors(ancillary))
        if not data:
            close_descriptors(descriptors)
            raise LineEndedError("the other process is gone")
        try:
            return Heard(_understood(data, flags), descriptors)
        except LineBrokenError:
            close_descriptors(descriptors)
            raise

    def _received(self) -> tuple[bytes, list[tuple[int, int, bytes]], int, object]:
        space = socket.CMSG_SPACE(DESCRIPTORS_MAX * _DESCRIPTOR_BYTES)
        how = (MESSAGE_BYTES_MAX, space, socket.MSG_CMSG_CLOEXEC)
        try:
            return self.sock.recvmsg(*how)
        except ConnectionResetError:  # told once; what was said before is still there
            return self.sock.recvmsg(*how)

    def close(self) -> None:
        """Hang up."""
        self.sock.close()


def line_path(folder: Path, name: str) -> Path:
    """Return where a PoP waits for its successor; as long as the path of the control socket."""
    return folder / f"{name}.next"


def close_descriptors(descriptors: Iterable[int]) -> None:
    """Close what nobody takes."""
    for each in descriptors:
        os.close(each)


def _understood(data: bytes, flags: int) -> Message:
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise LineBrokenError("a message that is too long")
    try:
        message = json.loads(data)
    except ValueError:
        raise LineBrokenError("a message that is no JSON") from None
    if not isinstance(message, dict):
        raise LineBrokenError("a message that is no object")
    if message.get("version") != VERSION:
        said = message.get("version")
        raise LineBrokenError(f"a message of version {said!r}, and not {VERSION}")
    return message


def _descriptors(ancillary: Iterable[tuple[int, int, bytes]]) -> Iterable[int]:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            yield from array.array("i", data[: len(data) - len(data) % _DESCRIPTOR_BYTES])
