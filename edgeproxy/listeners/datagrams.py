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
_Octets = bytes | bytearray | memoryview

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
        self._waiting: deque[tuple[_Octets, int, Ancillary, Address]] = deque()
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
        for data in datagrams:
            self.send_burst(data, len(data), address, local)

    def send_burst(
        self, data: bytes | bytearray, size: int, address: Address, local: Ancillary
    ) -> None:
        """Send datagrams that lie one behind the other, of that size each but the last one."""
        if len(data) <= size:
            self._send(data, 0, local, address)
            return
        segments = min(_SEGMENTS_MAX, _SEGMENTED_BYTES_MAX // size) if self.is_segmenting else 1
        step = max(segments, 1) * size
        if len(data) <= step:
            self._send(data, size, local, address)
            return
        view = memoryview(data)
        for at in range(0, len(data), step):
            piece = view[at : at + step]
            self._send(piece, size if len(piece) > size else 0, local, address)

    def _send(self, data: _Octets, size: int, local: Ancillary, address: Address) -> None:
        if self._waiting:
            self._wait(data, size, local, address)
            return
        try:
            self._send_now(data, size, local, address)
        except (BlockingIOError, InterruptedError):
            self._wait(data, size, local, address)

    def _send_now(self, data: _Octets, size: int, local: Ancillary, address: Address) -> None:
        """Send one datagram, or segments of a size; what fails but for lack of room is lost.

        Raises:
            BlockingIOError, InterruptedError: the kernel takes nothing now.
        """
        try:
            if size:
                segments = (socket.IPPROTO_UDP, _UDP_SEGMENT, struct.pack("=H", size))
                self.socket.sendmsg([data], [*local, segments], 0, address)
            elif local:
                self.socket.sendmsg([data], local, 0, address)
            else:
                self.socket.sendto(data, address)
        except (BlockingIOError, InterruptedError):
            raise
        except OSError as error:
            if size and error.errno in _NO_OFFLOAD:
                self.is_segmenting = False
                self.send_burst(bytes(data), size, address, local)
                return
            self.lost += -(-len(data) // size) if size else 1
            log.debug("sending failed: %s", error)  # no way there, too large for the path

    def _wait(self, data: _Octets, size: int, local: Ancillary, address: Address) -> None:
        if len(self._waiting) >= _WAITING_MAX or self._loop is None:
            self.lost += -(-len(data) // size) if size else 1
            return
        if not self._waiting:
            self._loop.add_writer(self.socket.fileno(), self._go_on)
        self._waiting.append((data, size, local, address))

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
