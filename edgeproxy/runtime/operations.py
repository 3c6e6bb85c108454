"""What operators ask a running point of presence: its metrics listeners and its control socket.

Joins the servers of `control` to what they show; decides nothing. They answer from before the
first client until after the last one: a drain is what one wants to watch.
"""

import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from edgeproxy.control.api import control_server
from edgeproxy.control.certificates import CertificateControl, Document
from edgeproxy.control.metrics import Scrape, metrics_server
from edgeproxy.control.reloading import Reload
from edgeproxy.control.socket_file import ControlSocket, claim
from edgeproxy.listeners.tcp import TcpListener
from edgeproxy.listeners.udp import UdpListener
from edgeproxy.observe.facts import CertificateFacts, Facts, TierFacts
from edgeproxy.store.disk.store import DiskStore
from edgeproxy.store.memory import MemoryStore

log = logging.getLogger(__name__)


class Operations:
    """Running servers; `start`, then `aclose` in every case.

    `scrape` takes all numbers, `status` describes the PoP as a whole, `is_serving` says whether new
    clients are welcome.
    """

    def __init__(
        self,
        *,
        scrape: Scrape,
        certificates: CertificateControl,
        status: Callable[[], Awaitable[Document]],
        is_serving: Callable[[], bool],
        reload: Reload,
    ) -> None:
        self._scrape = scrape
        self._certificates = certificates
        self._status = status
        self._is_serving = is_serving
        self._reload = reload
        self._stack = AsyncExitStack()

    async def start(self, metrics: list[socket.socket], control: socket.socket | None) -> None:
        """Answer on bound sockets, which stay the caller's."""
        if control is not None:
            server = control_server(self._certificates, self._status, self._reload)
            self._stack.push_async_callback(server.aclose)
            await server.start([control])
        if metrics:
            server = metrics_server(self._scrape, self._is_serving)
            self._stack.push_async_callback(server.aclose)
            await server.start(metrics)

    async def aclose(self) -> None:
        """Stop answering."""
        await self._stack.aclose()


def claim_control(folder: Path, name: str) -> ControlSocket | None:
    """Open `folder/name.sock`, the caller's to close.

    Without a control socket the PoP serves all the same; one warning says why there is none.
    """
    control = claim(folder, name)
    if isinstance(control, ControlSocket):
        return control
    log.warning(
        "no control socket %s: %s; `edgeproxy` certs, reload, status cannot reach it",
        control.path,
        control.reason,
    )
    return None


def facts(
    listeners: Mapping[str, TcpListener | UdpListener],
    store: MemoryStore,
    disk: DiskStore | None,
    certificates: Iterable[CertificateFacts],
    *,
    is_draining: bool,
) -> Facts:
    """Return what is true now; costs a look at each listener and certificate, none at clients."""
    refusals: Counter[str] = Counter()
    for listener in listeners.values():
        refusals.update(listener.refusals)
    over_udp = [each for each in listeners.values() if isinstance(each, UdpListener)]
    tiers = {"memory": TierFacts(store.objects, store.bytes, store.bytes_max, store.evictions)}
    if disk is not None:
        tiers["disk"] = TierFacts(disk.objects, disk.bytes, disk.bytes_max, disk.evictions)
    return Facts(
        is_draining=is_draining,
        connections={name: listener.connections for name, listener in listeners.items()},
        refusals=refusals,
        tiers=tiers,
        disk_faults={} if disk is None else dict(disk.faults),
        quic_replies={kind: n for each in over_udp for kind, n in each.replies.items()},
        early_data={outcome: n for each in over_udp for outcome, n in each.early_data.items()},
        datagrams_lost=sum(each.lost for each in over_udp),
        certificates=tuple(certificates),
    )
