"""The lines between workers, and packets on them, each with one end of a stream to answer on.

A line is a pair of Unix sockets for packets, made before any worker is born and there for as long
as the main process: whoever is born in a dead worker's place finds what was sent meanwhile. There
are no names and no files. Knows nothing of what packets mean. Nothing here blocks.

Invariants: packets of one sender arrive in the order in which they were posted; what waits for
room in a line is bounded.
"""

import array
import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from edgeproxy.siblings.packets import PACKET_BYTES_MAX

log = logging.getLogger(__name__)

WAITING_MAX: Final = 1024
"""Ours: packets for a sibling that takes none. Two descriptors each; a sibling that is stuck gets
few, since nobody asks it again for a while."""
_TURN_PACKETS_MAX: Final = 32
_DESCRIPTOR_BYTES: Final = array.array("i").itemsize


@dataclass(frozen=True, slots=True)
class Lines:
    """What one worker has of all lines: where it hears, and where each of all workers does."""

    index: int
    receiver: socket.socket
    senders: Sequence[socket.socket]


def make_lines(workers: int) -> list[Lines]:
    """Return the lines of so many workers, in their order; none for one that has no siblings."""
    if workers < 2:
        return []
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(workers)]
    for sock in (each for pair in pairs for each in pair):
        sock.setblocking(False)  # noqa: FBT003 - the method takes no keyword
    senders = tuple(sender for sender, _ in pairs)
    return [Lines(index, receiver, senders) for index, (_, receiver) in enumerate(pairs)]


def close_lines(lines: Sequence[Lines]) -> None:
    """Close all of them."""
    for each in lines:
        each.receiver.close()
        each.senders[each.index].close()


def not_for(lines: Sequence[Lines], index: int | None) -> Iterator[socket.socket]:
    """Yield the ends that the process of one worker must not hold; None: one that is no worker."""
    for each in lines:
        if each.index != index:
            yield each.receiver
        if index is None:
            yield each.senders[each.index]


class Outbox:
    """The way to one sibling; to be used on one loop."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._waiting: deque[tuple[bytes, socket.socket]] = deque()

    def post(self, packet: bytes) -> socket.socket | None:
        """Send a packet; return the stream on which it is answered, which is the caller's to close.

        None where that cannot be: too much waits, or there are no more descriptors. A packet that
        finds no room now is sent when there is some; whoever gives up meanwhile closes the stream.
        """
        if len(self._waiting) >= WAITING_MAX:
            return None
        try:
            mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError as error:
            log.warning("no line to a sibling: %s", error)
            return None
        if self._waiting or not self._send(packet, theirs):
            if not self._waiting:
                asyncio.get_running_loop().add_writer(self._sock.fileno(), self._flush)
            self._waiting.append((packet, theirs))
        return mine

    def close(self) -> None:
        """Send nothing more."""
        if self._waiting:
            asyncio.get_running_loop().remove_writer(self._sock.fileno())
        while self._waiting:
            self._waiting.popleft()[1].close()

    def _flush(self) -> None:
        while self._waiting:
            if not self._send(*self._waiting[0]):
                return
            self._waiting.popleft()
        asyncio.get_running_loop().remove_writer(self._sock.fileno())

    def _send(self, packet: bytes, stream: socket.socket) -> bool:
        """Send, and close our copy of what was sent along; False: there is no room."""
        rights = array.array("i", [stream.fileno()]).tobytes()
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
        try:
            self._sock.sendmsg([packet], ancillary, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return False
        except OSError as error:  # the stream ends, which tells whoever waits for an answer
            log.warning("a packet to a sibling is lost: %s", error)
        stream.close()
        return True


class Inbox:
    """Hears packets from `start` to `close`.

    `on_packet` gets each with the stream to answer on, which is its own then; None: there was no
    descriptor left for it.
    """

    def __init__(
        self, sock: socket.socket, on_packet: Callable[[bytes, socket.socket | None], object]
    ) -> None:
        self._sock = sock
        self._on_packet = on_packet
        self._buffer = memoryview(bytearray(PACKET_BYTES_MAX))

    def start(self) -> None:
        """Hear from now on, and what has come before."""
        asyncio.get_running_loop().add_reader(self._sock.fileno(), self._read)

    def close(self) -> None:
        """Hear nothing more; what comes is for whoever comes next."""
        asyncio.get_running_loop().remove_reader(self._sock.fileno())

    def _read(self) -> None:
        space = socket.CMSG_SPACE(_DESCRIPTOR_BYTES)
        for _ in range(_TURN_PACKETS_MAX):  # others of this loop want their turns
            try:
                size, ancillary, _, _ = self._sock.recvmsg_into(
                    [self._buffer], space, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            if not size:
                self.close()
                return
            self._pass_on(bytes(self._buffer[:size]), _stream(ancillary))

    def _pass_on(self, packet: bytes, stream: socket.socket | None) -> None:
        try:
            self._on_packet(packet, stream)
        except Exception:
            log.exception("a sibling's packet was not understood")
            if stream is not None:
                stream.close()


def _stream(ancillary: list[tuple[int, int, bytes]]) -> socket.socket | None:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            return socket.socket(fileno=array.array("i", data[:_DESCRIPTOR_BYTES])[0])
    return None
