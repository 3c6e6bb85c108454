"""Whether HTTP/3 can be had where a configuration says: the UDP port that nobody looks at.

Asks who runs here, and the ports themselves. Binds for a moment what nobody serves, and never
listens. No finding is what only shows where the PoP is to run: that an address is not of this
machine, or a port not for this user. Configurations are checked elsewhere, too.
"""

import errno
import socket
from collections.abc import Iterable, Iterator
from typing import Final

from edgeproxy.cli.control_client import NotRunningError, ask, control_socket_path
from edgeproxy.config.compile import https_addresses
from edgeproxy.config.schema import Config
from edgeproxy.errors import UnavailableError
from edgeproxy.probe.addresses import Address
from edgeproxy.probe.quic import answers_quic

SILENT: Final = (
    "is switched on, but nobody answers at UDP {}: is there a firewall, or a take-over under way?"
)
_TIMEOUT_SECONDS: Final = 5.0


def unreachable(config: Config) -> Iterator[str]:
    """Yield a sentence for each address at which HTTP/3 cannot be had, or could not."""
    if not config.listen.http3:
        return
    ours = _served_ports(config)
    if ours is None:
        return
    for address in _fixed(https_addresses(config)):
        if address.port in ours:
            if not answers_quic(address):
                yield SILENT.format(address)
        elif _is_taken(address):
            what = ", which speaks QUIC" if answers_quic(address) else ""
            yield f"UDP {address} is taken by another program{what}"


def _fixed(addresses: Iterable[tuple[str, int]]) -> Iterator[Address]:
    """Leave out those whose port will be any that is free."""
    for host, port in addresses:
        if port:
            yield Address(host, port)


def _served_ports(config: Config) -> set[int] | None:
    """Return where the PoP that runs here has HTTP/3; None when it cannot be asked."""
    try:
        answer = ask(
            control_socket_path(config), "GET", "v1", "status", timeout_seconds=_TIMEOUT_SECONDS
        )
    except NotRunningError:
        return set()
    except (UnavailableError, PermissionError):
        return None
    return {port for _, port in answer.document.get("http3", ())} if answer.is_fine else None


def _is_taken(address: Address) -> bool:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            sock.bind((address.host, address.port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
