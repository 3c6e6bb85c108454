"""Listening sockets: bound once, handed to listeners, closed last.

Nothing here accepts. They belong to whoever outlives the listeners, so that a reload or a drain
rebinds nothing.
"""

import errno
import os
import socket
from collections.abc import Iterable
from contextlib import ExitStack

from edgeproxy.errors import UnavailableError

Address = tuple[str, int]

# What the kernel may hold of a connection beyond what is on its way: some megabytes otherwise, for
# every peer that reads slowly, and nothing in there can be reprioritised or called back.
UNSENT_IN_KERNEL_BYTES = 128 * 1024

_PORTS_TRIED = 16

WHY = {
    errno.EADDRINUSE: "the port is taken by another program",
    errno.EACCES: "ports below 1024 need privileges (CAP_NET_BIND_SERVICE)",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address",
}


def bind_all(addresses: Iterable[Address]) -> list[socket.socket]:
    """Bind every address or none; port 0 takes any free one.

    Raises:
        UnavailableError: with the address and the reason.
    """
    with ExitStack() as bound:
        sockets = [bound.enter_context(_bind(address)) for address in addresses]
        bound.pop_all()
    return sockets


def bind_shared(addresses: Iterable[Address], count: int) -> list[list[socket.socket]]:
    """Bind every address so many times, for as many processes; return the sockets of each process.

    The kernel deals out connections among them (SO_REUSEPORT).

    Raises:
        UnavailableError: with the address and the reason; nothing is bound then.
    """
    processes: list[list[socket.socket]] = [[] for _ in range(count)]
    with ExitStack() as bound:
        for address in addresses:
            # The kernel lets all programs of one user share a port who ask to: first without.
            probe = _bind(address)
            probe.close()
            chosen = address
            for sockets in processes:
                sock = bound.enter_context(_bind(chosen, is_shared=True))
                chosen = name_of(sock)  # port 0 takes one for all of them
                sockets.append(sock)
        bound.pop_all()
    return processes


def bind_more(address: Address, count: int) -> list[socket.socket]:
    """Bind an address that is bound already, shared, by this user; they get nothing until `listen`.

    Raises:
        UnavailableError: with the address and the reason; nothing more is bound then.
    """
    with ExitStack() as bound:
        sockets = [bound.enter_context(_bind(address, is_shared=True)) for _ in range(count)]
        bound.pop_all()
    return sockets


def close_all(sockets: Iterable[socket.socket]) -> None:
    """Close them."""
    for sock in sockets:
        sock.close()


def name_of(sock: socket.socket) -> Address:
    """Return where a bound socket listens: host as text, port."""
    host, port = sock.getsockname()[:2]
    return str(host), int(port)


def _bind(address: Address, *, is_shared: bool = False) -> socket.socket:
    """Bind; of port 0 one whose number is free over UDP, too: HTTP/3 comes to the same."""
    sock = _bind_once(address, is_shared=is_shared)
    for _ in range(0 if address[1] else _PORTS_TRIED):
        if _is_free_over_udp(name_of(sock)):
            break
        sock.close()
        sock = _bind_once(address, is_shared=is_shared)
    return sock


def _is_free_over_udp(address: Address) -> bool:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            sock.bind(address)
        except OSError:
            return False
    return True


def _bind_once(address: Address, *, is_shared: bool) -> socket.socket:
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # connections inherit both; without the second, which not every loop sets, a first answer
        # waits for the acknowledgement of the session tickets, 40 ms and a round trip
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_IN_KERNEL_BYTES)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)  # noqa: FBT003 - the method takes no keyword
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        shown = f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"
        why = WHY.get(error.errno or 0) or os.strerror(error.errno or 0)
        raise UnavailableError(f"cannot listen on {shown}: {why}") from error
    return sock
