"""Addresses as operators write them, and every socket address behind them.

A name is resolved to all of its addresses (A and AAAA), since one of many may be the one that
still has the old certificate. Connects to nothing.
"""

import asyncio
import re
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

HTTPS_PORT: Final = 443
_NAME: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?", re.ASCII)
_PORT: Final = re.compile(r"[0-9]{1,5}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """A host (a lower-case name or an IP address without brackets) and a port."""

    host: str
    port: int

    @property
    def is_literal(self) -> bool:
        """Whether the host is an IP address."""
        return _is_ip(self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read `host`, `host:port`, `v4`, `v4:port`, `v6`, `[v6]` or `[v6]:port`; default port 443.

    Raises:
        ValueError: with a sentence for the operator.
    """
    if _is_ip(text):
        return Address(str(ip_address(text)), HTTPS_PORT)
    host, port = text, HTTPS_PORT
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not _is_ip(host) or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r} is no address: expected [IPv6 address]:port")
        port = _port(rest[1:], text) if rest else HTTPS_PORT
    elif ":" in text:
        host, _, number = text.rpartition(":")
        port = _port(number, text)
    if _is_ip(host):
        return Address(str(ip_address(host)), port)
    return Address(parse_name(host), port)


def parse_name(text: str) -> str:
    """Return a DNS name in lower case, without the final dot.

    Raises:
        ValueError: with a sentence for the operator.
    """
    lowered = text.lower()
    if not _NAME.fullmatch(lowered) or len(lowered) > 253:
        raise ValueError(f"{text!r} is no host name")
    return lowered.rstrip(".")


async def resolve(address: Address) -> tuple[Address, ...]:
    """Return the IP addresses of a host, in the resolver's order, each once.

    Raises:
        OSError: the name has none.
    """
    if address.is_literal:
        return (address,)
    found = await asyncio.get_running_loop().getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM
    )
    return tuple(dict.fromkeys(Address(str(where[0]), address.port) for *_, where in found))


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _port(text: str, whole: str) -> int:
    if not _PORT.fullmatch(text) or not 0 < int(text) < 65536:
        raise ValueError(f"{whole!r} is no address: the port is between 1 and 65535")
    return int(text)
