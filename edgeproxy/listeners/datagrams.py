"""A UDP socket: batches of datagrams in, segments of equal size out in one call.

Sends with UDP segmentation offload where the kernel has it: sixteen datagrams in one call cost it a
third of sixteen calls. What the kernel does not take at once waits in a short queue, and is lost
beyond that, as the network may lose it.

Where the socket is bound to no address of its own, answers leave from the address that was asked.
"""

import asyncio
import errno
import logging
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

log = logging.getLogger(__name__)

Address = tuple[Any, ...]  # (host, port) or, of IPv6, (host, port, flow, scope)
Ancillary = list[tuple[int, int, bytes]]

# We tell peers that 1500 octets are read; what fills the buffer was cut off.
_READ_BYTES: Final = 2048
_ANCILLARY_BYTES: Final = 64
_UDP_SEGMENT: Final = 103  # linux/udp.h; the socket module has no name for it
_IP_PKTINFO: Final = getattr(socket, "IP_PKTINFO", 8)
_SEGMENTS_MAX: Final = 64  # of the kernels before 6.9
_SEGMENTED_BYTES_MAX: Final = 65_000
_WAITING_MAX: Final = 64
_NO_OFFLOAD: Final = (errno.EIO, errno.EINVAL, errno.ENOPROTOOPT, errno.EOPNOTSUPP)


class Datagram(NamedTuple):
    """One that was received; `local` is what an answer has to be sent with."""

    data: bytes
    address: Address
    local: Ancillary


class DatagramSocket:
    """Wraps a bound, non-blocking socket, which stays the caller's to close."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.is_segmenting = True
        self.lost = 0  # datagrams that neither the kernel nor the queue took
        self._is_wildcard = sock.getsockname()[0] in {"0.0.0.0", "::"}  # noqa: S104 - compared
        self._waiting: deque[tuple[Sequence[bytes], Ancillary, Address]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        if self._is_wildcard:
            _ask_for_destination(sock)

    def listen(self, readable: Callable[[], object]) -> None:
        """Call `readable` when there is something to read."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.socket.fileno(), readable)

    def receive(self) -> Datagram | None:
        """Return the next datagram, None when there is none now."""
        try:
            if not self._is_wildcard:
                data, address = self.socket.recvfrom(_READ_BYTES)
                return Datagram(data, address, [])
            data, ancillary, _, address = self.socket.recvmsg(_READ_BYTES, _ANCILLARY_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:  # what came back for a datagram of ours
            log.debug("receiving failed: %s", error)
            return None
        return Datagram(data, address, [_answer_from(each) for each in ancillary])

    def send(self, datagrams: Sequence[bytes], address: Address, local: Ancillary) -> None:
        """Send all of them there, in order."""
        at = 0
        while at < len(datagrams):
            end = self._run(datagrams, at)
            self._send(datagrams[at:end], local, address)
            at = end

    def _run(self, datagrams: Sequence[bytes], at: int) -> int:
        """Return the end of those that one call can send: of one size, the last may be smaller."""
        if not self.is_segmenting:
            return at + 1
        size = len(datagrams[at])
        most = min(len(datagrams), at + min(_SEGMENTS_MAX, _SEGMENTED_BYTES_MAX // max(size, 1)))
        end = at + 1
        while end < most and len(datagrams[end]) == size:
            end += 1
        if end < most and len(datagrams[end]) < size:
            end += 1
        return end

    def _send(self, run: Sequence[bytes], local: Ancillary, address: Address) -> None:
        if self._waiting:
            self._wait(run, local, address)
            return
        try:
            self._send_now(run, local, address)
        except (BlockingIOError, InterruptedError):
            self._wait(run, local, address)

    def _send_now(self, run: Sequence[bytes], local: Ancillary, address: Address) -> None:
        """Raises only BlockingIOError and InterruptedError: what else fails was lost."""
        try:
            if len(run) == 1:
                if local:
                    self.socket.sendmsg(run, local, 0, address)
                else:
                    self.socket.sendto(run[0], address)
                return
            segments = (socket.IPPROTO_UDP, _UDP_SEGMENT, struct.pack("=H", len(run[0])))
            self.socket.sendmsg(run, [*local, segments], 0, address)
        except (BlockingIOError, InterruptedError):
            raise
        except OSError as error:
            if len(run) > 1 and error.errno in _NO_OFFLOAD:
                self.is_segmenting = False
                for each in run:
                    self._send_now([each], local, address)
                return
            self.lost += len(run)  # no way there, too large for the path, and the like
            log.debug("sending failed: %s", error)

    def _wait(self, run: Sequence[bytes], local: Ancillary, address: Address) -> None:
        if len(self._waiting) >= _WAITING_MAX or self._loop is None:
            self.lost += len(run)
            return
        if not self._waiting:
            self._loop.add_writer(self.socket.fileno(), self._go_on)
        self._waiting.append((run, local, address))

    def _go_on(self) -> None:
        while self._waiting:
            try:
                self._send_now(*self._waiting[0])
            except (BlockingIOError, InterruptedError):
                return
            self._waiting.popleft()
        if self._loop is not None:
            self._loop.remove_writer(self.socket.fileno())

    def close(self) -> None:
        """Neither read nor write any more."""
        if self._loop is not None and self.socket.fileno() >= 0:
            self._loop.remove_reader(self.socket.fileno())
            self._loop.remove_writer(self.socket.fileno())
        self._waiting.clear()
        self._loop = None


def _ask_for_destination(sock: socket.socket) -> None:
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)


def _answer_from(received: tuple[int, int, bytes]) -> tuple[int, int, bytes]:
    """Return what makes an answer leave from the address that a datagram came to."""
    level, kind, data = received
    if level == socket.IPPROTO_IP and len(data) >= 12:
        # in_pktinfo: interface, the address to answer from, the one in the header
        return level, kind, bytes(4) + data[8:12] + bytes(4)
    return level, kind, data
