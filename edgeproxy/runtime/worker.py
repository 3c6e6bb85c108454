"""The composition root: one point of presence, built from a configuration.

The only place where listeners meet the edge and the edge meets origins. It decides nothing about
requests. One process serves everything; the sockets it binds outlive its listeners.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Literal
from weakref import WeakSet

from edgeproxy import __version__
from edgeproxy.clock import Clock, SystemClock
from edgeproxy.config import compile as slices
from edgeproxy.config.certificates import load_certificates
from edgeproxy.config.files import identity_sources
from edgeproxy.config.schema import Config
from edgeproxy.control.reloading import NotReloaded, Reloaded
from edgeproxy.edge.handler import Edge
from edgeproxy.edge.redirect import RedirectToHttps
from edgeproxy.edge.settings import EdgeSettings
from edgeproxy.http.application import Application
from edgeproxy.listeners.connection import SessionFactory
from edgeproxy.listeners.http1 import Http1Session
from edgeproxy.listeners.http2 import Http2Session
from edgeproxy.listeners.http3 import Http3Session
from edgeproxy.listeners.quic_streams import Http3Side, QuicStreams
from edgeproxy.listeners.session import Channel, Session
from edgeproxy.listeners.tcp import TcpListener
from edgeproxy.listeners.turns import Turns
from edgeproxy.listeners.udp import UdpListener
from edgeproxy.observe.access_log import AccessLog
from edgeproxy.observe.counters import Counters
from edgeproxy.observe.exposition import Exposition, Snapshot
from edgeproxy.observe.facts import Facts
from edgeproxy.quic.connection_ids import Naming
from edgeproxy.quic.early import EarlyData
from edgeproxy.quic.secrets import QuicSecrets
from edgeproxy.quic.settings import QuicSettings
from edgeproxy.quic.tickets import Tickets
from edgeproxy.runtime import stdout
from edgeproxy.runtime.certificates import Certificates, certificates, front_context
from edgeproxy.runtime.notify import Notifier
from edgeproxy.runtime.operations import Operations, claim_control, facts
from edgeproxy.runtime.prepared import (
    Locate,
    Prepared,
    Served,
    build,
    prepare,
    with_http3,
    without_line,
)
from edgeproxy.runtime.reloading import Read, Reloading, adopt_connections, adopt_log
from edgeproxy.runtime.sockets import Address, bind_all, close_all, name_of
from edgeproxy.runtime.udp_sockets import bind_udp
from edgeproxy.siblings.family import Siblings
from edgeproxy.siblings.lines import Lines
from edgeproxy.store.disk.store import DiskStore
from edgeproxy.store.memory import MemoryStore
from edgeproxy.store.tiered import TieredStore
from edgeproxy.tls.contexts import FrontContext

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class QuicShare:
    """What the workers of a PoP have in common for HTTP/3, and which of them this is."""

    secrets: QuicSecrets = field(default_factory=QuicSecrets)
    worker: int = 0
    workers: int = 1


@dataclass(frozen=True)
class Given:
    """What a point of presence finds in place when it is one of several workers.

    Bound sockets stay the giver's; identities behind `front` come from elsewhere, and so do those
    who answer operators. `lines` lead to the other workers, None where there are none. Sockets for
    `quic` come later, by `hear_quic`.
    """

    front: FrontContext
    https: Sequence[socket.socket]
    http: Sequence[socket.socket]
    lines: Lines | None = None
    quic: QuicShare | None = None


class PointOfPresence:
    """A running edge: `start`, then `drain` if there is time, then `aclose` in every case.

    `access_log_sink` takes batches of finished access-log lines, and may block. Without anything
    `given` it is whole by itself: it binds, keeps its identities and answers operators; `read` then
    reads the configuration again for a reload.
    """

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock | None = None,
        access_log_sink: Callable[[str], object] = stdout.write,
        given: Given | None = None,
        read: Read | None = None,
    ) -> None:
        """Load certificates and trust anchors; raises `ConfigError` or `CertificateError`."""
        self._given = given
        self._config = config
        self._clock = clock or SystemClock()
        self._limits = slices.limits(config)
        self.counters = Counters()
        self._access_log = AccessLog(
            access_log_sink, slices.access_log_settings(config), counters=self.counters
        )
        self._state_folder = slices.state_directory(config, os.environ)
        self._certificates: Certificates | None = None
        if given is None:
            identities = load_certificates(config, now=self._clock.now())
            self._front = front_context(config, identities, self._clock)
            self._certificates = certificates(
                config,
                zip(identity_sources(config), identities, strict=True),
                lambda live, withheld: self._front.replace(live, withheld=withheld),
                clock=self._clock,
                counters=self.counters,
            )
        else:
            self._front = given.front
        self._front.tell(self.counters.handshake)
        self.disk, self.store = _stores(config, self._clock)
        self._served = build(config, clock=self._clock)
        # All that still exist: one that was replaced lives as long as whoever chose it before.
        self._origins = WeakSet(each.origin for each in self._served.origins.values())
        self._reloading = Reloading(
            self,
            read,
            self._look_at_certificates,
            counters=self.counters,
            notifier=Notifier({}, monotonic=self._clock.monotonic),
        )
        self._turns = Turns(self._clock.monotonic)
        self._sockets: list[socket.socket] = []
        self._listeners: list[TcpListener] = []
        self._udp: UdpListener | None = None
        self._siblings: Siblings | None = None
        self._udp_sockets: list[socket.socket] = []
        self._phase: Literal["starting", "serving", "draining"] = "starting"
        self._started = self._clock.monotonic()
        self._stack = AsyncExitStack()
        self._stack.callback(close_all, self._udp_sockets)  # last: listeners do not own them
        self.edge: Edge
        self.https_addresses: list[Address] = []
        self.http_addresses: list[Address] = []
        self.metrics_addresses: list[Address] = []

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        over_udp = 0 if self._udp is None else self._udp.connections
        return over_udp + sum(listener.connections for listener in self._listeners)

    async def start(self) -> None:
        """Accept on every address, bound before or now; all or nothing.

        Raises:
            UnavailableError: an address cannot be bound.
        """
        https, http = self._bound()
        self._sockets = [*https, *http]
        self.https_addresses = [name_of(sock) for sock in https]
        self.http_addresses = [name_of(sock) for sock in http]
        self._served = replace(self._served, https_port=self.https_addresses[0][1])
        if self._certificates is not None:
            await self._stand_alone(self._certificates)
        if self.disk is not None:
            self._stack.push_async_callback(self.disk.aclose)
            await self.disk.start()
        self._stack.push_async_callback(self.store.aclose)
        self._stack.push_async_callback(self._close_origins)
        self._siblings = siblings = self._make_siblings()
        self.edge = self._make_edge(siblings)
        self._stack.push_async_callback(self.edge.aclose)
        if siblings is not None:
            self._stack.push_async_callback(siblings.aclose)
            siblings.serve(self.edge.owned)
        await self._listen(https, self._sessions(self.edge), self._front)
        if http:
            redirect = RedirectToHttps(self._has_site, self.https_addresses[0][1])
            await self._listen(http, self._sessions(redirect), None)
        await self._listen_quic()
        self._phase = "serving"

    def _bound(self) -> tuple[list[socket.socket], list[socket.socket]]:
        """Return the sockets for TLS and for plain HTTP."""
        if self._given is not None:
            return list(self._given.https), list(self._given.http)
        https = bind_all(slices.https_addresses(self._config))
        self._stack.callback(close_all, https)
        http = bind_all(slices.redirect_addresses(self._config))
        self._stack.callback(close_all, http)
        return https, http

    async def _stand_alone(self, own: Certificates) -> None:
        """Keep identities and answer operators, since nobody else does."""
        metrics = bind_all(slices.metrics_addresses(self._config))
        self._stack.callback(close_all, metrics)
        self.metrics_addresses = [name_of(sock) for sock in metrics]
        self._stack.push_async_callback(own.aclose)
        await own.start()
        operations = Operations(
            scrape=self._scrape,
            certificates=own,
            status=self._status,
            is_serving=lambda: self._phase == "serving",
            reload=self.reload,
        )
        control = claim_control(self._state_folder, self._config.pop.name)
        if control is not None:
            self._stack.callback(control.close)
        self._stack.push_async_callback(operations.aclose)
        await operations.start(metrics, None if control is None else control.sock)

    async def _look_at_certificates(self) -> None:
        if self._certificates is not None:
            await self._certificates.reload()

    async def reload(self) -> Reloaded | NotReloaded:
        """Look at all certificate files and read the configuration again, if there is one."""
        if self._phase == "draining":
            return NotReloaded((without_line((), "the edge is about to end"),))
        return await self._reloading.reload()

    async def prepare(self, config: Config, locate: Locate = without_line) -> Prepared:
        """Build everything of another configuration that can fail; changes nothing.

        Raises:
            ConfigError: it cannot be used here and now.
        """
        before = self._served
        prepared = await asyncio.to_thread(prepare, config, before, locate, clock=self._clock)
        if self._certificates is None:
            return prepared
        certificates = await self._certificates.prepare_of(config, locate)
        return replace(prepared, certificates=certificates)

    def apply(self, prepared: Prepared) -> None:
        """Let everything that begins from now on follow what was prepared; cannot fail."""
        before, self._served = self._served, prepared.served
        config = self._config = prepared.served.config
        self._limits = slices.limits(config)
        self._front.adopt(
            slices.tls_parameters(config),
            unknown_name=config.tls.unknown_sni,
            no_name=config.tls.no_sni,
        )
        if self._certificates is not None and prepared.certificates is not None:
            self._certificates.adopt(prepared.certificates)
        if self._listeners:  # else there is no edge yet, and it will be made of this
            self.edge.adopt(prepared.served.sites, self._log_of_access())
        self._access_log.adopt(slices.access_log_settings(config))
        self.store.resize(config.cache.memory.size, config.cache.memory.max_object)
        for listener in self._listeners:
            listener.adopt(self._limits)
        if self._udp is not None:
            self._udp.adopt(self._limits, early_data=config.listen.early_data)
            self._tell_of_http3()  # sockets may have come since this was prepared
        self._adopt_origins(before)
        adopt_log(before.config, config)
        adopt_connections(before.config, config)

    async def applied(self) -> None:
        """Everything follows it already: there is one place."""

    def _adopt_origins(self, before: Served) -> None:
        now = {each.origin for each in self._served.origins.values()}
        self._origins.update(now)
        for each in before.origins.values():
            if each.origin not in now:
                each.origin.retire()

    async def _close_origins(self) -> None:
        for origin in list(self._origins):
            await origin.aclose()

    def _has_site(self, host: str) -> bool:
        return self._served.sites.resolve(host) is not None

    def _log_of_access(self) -> AccessLog | None:
        return self._access_log if self._config.log.access.enabled else None

    async def drain(self, hurry: asyncio.Event | None = None) -> bool:
        """Accept nothing new and let what is in flight finish.

        Returns False when time ran out, or `hurry` was set, before everything had.
        """
        self._phase = "draining"
        # Where nobody accepts any more the kernel must not: clients would hang in its queue.
        close_all(self._sockets)
        hurry = hurry or asyncio.Event()
        async with asyncio.TaskGroup() as group:
            drained = group.create_task(self._drain_listeners())
            hurried = group.create_task(hurry.wait())
            await asyncio.wait({drained, hurried}, return_when=asyncio.FIRST_COMPLETED)
            is_over = drained.done()
            drained.cancel()
            hurried.cancel()
        return is_over and drained.result()

    async def _drain_listeners(self) -> bool:
        timeout = self._config.limits.drain_timeout
        until = self._clock.monotonic() + timeout
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each.drain(timeout)) for each in self._listeners]
            if self._udp is not None:
                tasks.append(group.create_task(self._udp.drain(timeout)))
        if not all(task.result() for task in tasks):
            return False
        return self._siblings is None or await self._is_idle(self._siblings, until)

    async def _is_idle(self, siblings: Siblings, until: float) -> bool:
        """Wait for exchanges with siblings, whose clients wait behind them; False: time ran out."""
        try:
            async with asyncio.timeout(max(0.0, until - self._clock.monotonic())):
                await siblings.idle()
        except TimeoutError:
            return False
        return True

    async def aclose(self) -> None:
        """Stop everything at once."""
        await self._stack.aclose()

    def _make_siblings(self) -> Siblings | None:
        if self._given is None or self._given.lines is None:
            return None
        return Siblings(self._given.lines, self.counters)

    def _make_edge(self, siblings: Siblings | None) -> Edge:
        config = self._config
        self._stack.push_async_callback(self._access_log.aclose)
        return Edge(
            self._served.sites,
            self.store,
            pop=config.pop.name,
            clock=self._clock,
            counters=self.counters,
            access_log=self._log_of_access(),
            settings=EdgeSettings(),
            siblings=siblings,
        )

    def _sessions(self, application: Application) -> SessionFactory:
        clock = self._clock

        def begin(channel: Channel, protocol: str) -> Session:
            limits = self._limits
            if protocol == "h2":
                return Http2Session(channel, application, clock=clock, limits=limits)
            return Http1Session(channel, application, clock, limits)

        return begin

    def facts(self) -> Facts:
        """Return what is true now, for metrics."""
        return facts(
            self._by_name(),
            self.store,
            self.disk,
            () if self._certificates is None else self._certificates.facts(),
            is_draining=self._phase == "draining",
        )

    def _by_name(self) -> dict[str, TcpListener | UdpListener]:
        named: dict[str, TcpListener | UdpListener] = dict(
            zip(("https", "http"), self._listeners, strict=False)
        )
        if self._udp is not None:
            named["http3"] = self._udp
        return named

    async def _scrape(self) -> Snapshot:
        return Exposition(self.counters, self.facts).snapshot()

    async def _status(self) -> dict[str, object]:
        """Describe this PoP for `edgeproxy status`."""
        return {
            "pop": self._config.pop.name,
            "version": __version__,
            "pid": os.getpid(),
            "phase": self._phase,
            "uptime_seconds": self._clock.monotonic() - self._started,
            "connections": self.connections,
            "http3": [] if self._udp is None else self.https_addresses,
            "cache": {
                name: {"objects": tier.objects, "bytes": tier.bytes}
                for name, tier in self.facts().tiers.items()
            },
            "counters": self.counters.snapshot(),
        }

    async def _listen(
        self, sockets: list[socket.socket], sessions: SessionFactory, front: FrontContext | None
    ) -> None:
        listener = TcpListener(
            sessions, clock=self._clock, limits=self._limits, front=front, turns=self._turns
        )
        self._listeners.append(listener)
        self._stack.push_async_callback(listener.aclose)
        await listener.start(sockets)

    # --- HTTP/3 ---------------------------------------------------------------------------------

    def hear_quic(self, sock: socket.socket) -> None:
        """Read a bound UDP socket, this object's from now on: at once, or when there is an edge."""
        self._udp_sockets.append(sock)
        if self._udp is not None:
            self._udp.hear([sock])
            self._tell_of_http3()

    def _tell_of_http3(self) -> None:
        """Let responses call clients to HTTP/3 once somebody hears it."""
        if self._udp_sockets and not self._served.has_http3:
            self._served = with_http3(self._served)
            self.edge.adopt(self._served.sites, self._log_of_access())

    async def _listen_quic(self) -> None:
        if not self._config.listen.http3:
            return
        if self._given is None:
            for [sock] in [*zip(*bind_udp(self.https_addresses, 1), strict=True)]:
                self.hear_quic(sock)
        share = (None if self._given is None else self._given.quic) or QuicShare()
        settings = QuicSettings(
            self._front,
            share.secrets,
            Tickets(share.secrets, int(self._config.tls.ticket_lifetime)),
            self._clock,
            self._limits,
            Naming(share.worker, share.workers),
            EarlyData(is_on=self._config.listen.early_data),
        )
        self._udp = UdpListener(settings, self._begin_http3, turns=self._turns)
        self._stack.push_async_callback(self._udp.aclose)
        await self._udp.start(self._udp_sockets)
        self._tell_of_http3()  # sockets may have come while this was being started

    def _begin_http3(self, streams: QuicStreams) -> Http3Side:
        return Http3Session(streams, self.edge, clock=self._clock, limits=self._limits)


def _stores(config: Config, clock: Clock) -> tuple[DiskStore | None, MemoryStore]:
    """Return the disk tier, if there is one, and memory, over it."""
    memory, settings = config.cache.memory, slices.disk_settings(config)
    if settings is None:
        return None, MemoryStore(memory.size, memory.max_object)
    disk = DiskStore(
        settings.folder,
        settings.bytes_max,
        clock=clock,
        fsync=settings.fsync,
        body_bytes_max=settings.body_bytes_max,
    )
    return disk, TieredStore(memory.size, memory.max_object, disk)
