"""UDP sockets for QUIC: bound once, one for each process and address, closed last.

The kernel deals out datagrams among the sockets of an address (SO_REUSEPORT) as the connection ID
says: a program of the old kind (classic BPF) reads its first octet, modulo the number of sockets.
All connection IDs that a worker gives out name it so (`quic/connection_ids`): a connection stays
with its worker when the client's address changes.

The number of a socket is its place in the order of binding, and closing one renumbers the others:
whoever binds them keeps them all for as long as any is used, whatever becomes of the processes.
"""

import contextlib
import ctypes
import os
import socket
import struct
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Final

from edgeproxy.errors import UnavailableError
from edgeproxy.runtime.sockets import WHY, Address, name_of

# What may wait for a process that is busy for 50 ms, at 80 MB/s; the kernel grants no more than
# net.core.rmem_max and wmem_max.
BUFFER_BYTES: Final = 4 * 1024 * 1024

_SO_ATTACH_REUSEPORT_CBPF: Final = 51
_IP_MTU_DISCOVER: Final = 10
_IPV6_MTU_DISCOVER: Final = 23
_PMTUDISC_PROBE: Final = 3  # never fragment, and do not look at what the kernel thinks it knows

_LOAD_OCTET, _JUMP_IF_SET, _JUMP = 0x30, 0x45, 0x05
_MODULO, _RETURN = 0x94, 0x16
# Where the connection ID begins: behind the first octet, or behind version and length as well.
_SHORT_ID_AT, _LONG_ID_AT, _LONG_HEADER = 1, 6, 0x80


def bind_udp(addresses: Iterable[Address], count: int) -> list[list[socket.socket]]:
    """Bind every address so many times, for as many processes; return the sockets of each process.

    Port 0 takes one free port for all of them.

    Raises:
        UnavailableError: with the address and the reason; nothing is bound then.
    """
    processes: list[list[socket.socket]] = [[] for _ in range(count)]
    with ExitStack() as bound:
        for address in addresses:
            # The kernel lets all programs of one user share a port who ask to: first without.
            with _bind(address) as probe:
                chosen = address if address[1] else name_of(probe)
            for number, sockets in enumerate(processes):
                sock = bound.enter_context(_bind(chosen, is_shared=True))
                if number == 0 and count > 1:
                    route_by_connection_id(sock, count)
                sockets.append(sock)
        bound.pop_all()
    return processes


def route_by_connection_id(sock: socket.socket, count: int) -> None:
    """Let the group of a socket be chosen from by the first octet of the connection ID."""
    steps = (
        (_LOAD_OCTET, 0, 0, 0),
        (_JUMP_IF_SET, 0, 2, _LONG_HEADER),
        (_LOAD_OCTET, 0, 0, _LONG_ID_AT),
        (_JUMP, 0, 0, 1),
        (_LOAD_OCTET, 0, 0, _SHORT_ID_AT),
        (_MODULO, 0, 0, count),
        (_RETURN, 0, 0, 0),
    )
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    held = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HL", len(steps), ctypes.addressof(held))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, program)


def _bind(address: Address, *, is_shared: bool = False) -> socket.socket:
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if is_shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _forbid_fragments(sock)
        sock.setblocking(False)  # noqa: FBT003 - the method takes no keyword
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        shown = f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"
        why = WHY.get(error.errno or 0) or os.strerror(error.errno or 0)
        raise UnavailableError(f"cannot listen on {shown} (UDP): {why}") from error
    return sock


def _forbid_fragments(sock: socket.socket) -> None:
    """Set "don't fragment", as RFC 9000 section 14 asks; a system without that goes on."""
    with contextlib.suppress(OSError):
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)
