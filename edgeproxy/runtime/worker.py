"""The composition root: one point of presence, built from a configuration.

The only place where listeners meet the edge and the edge meets origins. It decides nothing about
requests. One process serves everything; the sockets it binds outlive its listeners.
"""

import asyncio
import gc
import logging
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Literal
from weakref import WeakSet

from edgeproxy import __version__
from edgeproxy.clock import Clock, SystemClock
from edgeproxy.config import compile as slices
from edgeproxy.config.certificates import load_certificates, load_others
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
from edgeproxy.listeners.session import Channel, Session
from edgeproxy.listeners.tcp import TcpListener
from edgeproxy.listeners.turns import Turns
from edgeproxy.observe import logging as application_log
from edgeproxy.observe.access_log import AccessLog
from edgeproxy.observe.counters import Counters
from edgeproxy.observe.exposition import Exposition
from edgeproxy.observe.facts import Facts
from edgeproxy.runtime import descriptors
from edgeproxy.runtime.certificates import Certificates, IdentityPlan
from edgeproxy.runtime.notify import Notifier
from edgeproxy.runtime.operations import Operations, facts
from edgeproxy.runtime.prepared import Locate, Prepared, Served, build, prepare, without_line
from edgeproxy.runtime.reloading import Read, Reloading
from edgeproxy.runtime.signals import Told
from edgeproxy.runtime.sockets import Address, bind_all, close_all, name_of
from edgeproxy.store.memory import MemoryStore
from edgeproxy.tls.contexts import FrontContext

log = logging.getLogger(__name__)

_STDOUT = 1


def _to_stdout(lines: str) -> None:
    # Not through `sys.stdout`: blocked by a full pipe it would hold a lock that the interpreter
    # needs to end.
    unwritten = memoryview(lines.encode())
    while unwritten:
        unwritten = unwritten[os.write(_STDOUT, unwritten) :]


class PointOfPresence:
    """A running edge: `start`, then `drain` if there is time, then `aclose` in every case.

    `access_log_sink` takes batches of finished access-log lines, and may block. `read` reads the
    configuration again for a reload; `notifier` tells the service manager.
    """

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock | None = None,
        access_log_sink: Callable[[str], object] = _to_stdout,
        read: Read | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        """Load certificates and trust anchors; raises `ConfigError` or `CertificateError`."""
        self._config = config
        self._clock = clock or SystemClock()
        self._limits = slices.limits(config)
        self.counters = Counters()
        self._access_log = AccessLog(
            access_log_sink, slices.access_log_settings(config), counters=self.counters
        )
        identities = load_certificates(config, now=self._clock.now())
        self._front = FrontContext(
            identities,
            parameters=slices.tls_parameters(config),
            unknown_name=config.tls.unknown_sni,
            no_name=config.tls.no_sni,
            clock=self._clock,
            observe=self.counters.handshake,
        )
        self._state_folder = slices.state_directory(config, os.environ)
        self._certificates = Certificates(
            list(zip(identity_sources(config), identities, strict=True)),
            lambda live, withheld: self._front.replace(live, withheld=withheld),
            folder=self._state_folder,
            is_stapling=config.tls.ocsp_stapling == "auto",
            overlap_seconds=config.tls.overlap,
            clock=self._clock,
            counters=self.counters,
        )
        memory = config.cache.memory
        self.store = MemoryStore(memory.size, memory.max_object)
        self._served = build(config, clock=self._clock)
        # All that still exist: one that was replaced lives as long as whoever chose it before.
        self._origins = WeakSet(each.origin for each in self._served.origins.values())
        self._reloading = Reloading(
            self,
            read,
            self._certificates.reload,
            counters=self.counters,
            notifier=notifier or Notifier({}, monotonic=self._clock.monotonic),
        )
        self._turns = Turns(self._clock.monotonic)
        self._sockets: list[socket.socket] = []
        self._listeners: list[TcpListener] = []
        self._phase: Literal["starting", "serving", "draining"] = "starting"
        self._started = self._clock.monotonic()
        self._stack = AsyncExitStack()
        self.edge: Edge
        self.https_addresses: list[Address] = []
        self.http_addresses: list[Address] = []
        self.metrics_addresses: list[Address] = []

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return sum(listener.connections for listener in self._listeners)

    async def start(self) -> None:
        """Bind every address and accept; all or nothing.

        Raises:
            UnavailableError: an address cannot be bound.
        """
        config = self._config
        https = bind_all(slices.https_addresses(config))
        self._stack.callback(close_all, https)
        http = bind_all(slices.redirect_addresses(config))
        self._stack.callback(close_all, http)
        metrics = bind_all(slices.metrics_addresses(config))
        self._stack.callback(close_all, metrics)
        self._sockets = [*https, *http]
        self.https_addresses = [name_of(sock) for sock in https]
        self.http_addresses = [name_of(sock) for sock in http]
        self.metrics_addresses = [name_of(sock) for sock in metrics]
        self._stack.push_async_callback(self._certificates.aclose)
        await self._certificates.start()
        await self._open_to_operators(metrics)
        self._stack.push_async_callback(self._close_origins)
        self.edge = self._make_edge()
        self._stack.push_async_callback(self.edge.aclose)
        await self._listen(https, self._sessions(self.edge), self._front)
        if http:
            redirect = RedirectToHttps(self._has_site, self.https_addresses[0][1])
            await self._listen(http, self._sessions(redirect), None)
        self._phase = "serving"

    async def follow(self, reload: asyncio.Event) -> None:
        """Reload whenever `reload` is set, until cancelled."""
        while True:
            await reload.wait()
            reload.clear()
            await self.reload()

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
        before, live = self._served, self._certificates.live()
        prepared = await asyncio.to_thread(prepare, config, before, locate, clock=self._clock)
        plan = await asyncio.to_thread(
            lambda: IdentityPlan(*load_others(config, live, locate, now=self._clock.now()))
        )
        certificates = await self._certificates.prepare(
            plan,
            is_stapling=config.tls.ocsp_stapling == "auto",
            overlap_seconds=config.tls.overlap,
        )
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
        if prepared.certificates is not None:
            self._certificates.adopt(prepared.certificates)
        self.edge.adopt(prepared.served.sites, self._log_of_access())
        self._access_log.adopt(slices.access_log_settings(config))
        self.store.resize(config.cache.memory.size, config.cache.memory.max_object)
        for listener in self._listeners:
            listener.adopt(self._limits)
        self._adopt_origins(before)
        _adopt_log(before.config, config)

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
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each.drain(timeout)) for each in self._listeners]
        return all(task.result() for task in tasks)

    async def aclose(self) -> None:
        """Stop everything at once."""
        await self._stack.aclose()

    def _make_edge(self) -> Edge:
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
        )

    def _sessions(self, application: Application) -> SessionFactory:
        clock = self._clock

        def begin(channel: Channel, protocol: str) -> Session:
            limits = self._limits
            if protocol == "h2":
                return Http2Session(channel, application, clock=clock, limits=limits)
            return Http1Session(channel, application, clock, limits)

        return begin

    async def _open_to_operators(self, metrics: list[socket.socket]) -> None:
        operations = Operations(
            exposition=Exposition(self.counters, self._facts),
            certificates=self._certificates,
            status=self._status,
            is_serving=lambda: self._phase == "serving",
            reload=self.reload,
        )
        self._stack.push_async_callback(operations.aclose)
        await operations.start(metrics, self._state_folder, self._config.pop.name)

    def _facts(self) -> Facts:
        return facts(
            dict(zip(("https", "http"), self._listeners, strict=False)),
            self.store,
            self._certificates.facts(),
            is_draining=self._phase == "draining",
        )

    def _status(self) -> dict[str, object]:
        """Describe this PoP for `edgeproxy status`."""
        return {
            "pop": self._config.pop.name,
            "version": __version__,
            "pid": os.getpid(),
            "phase": self._phase,
            "uptime_seconds": self._clock.monotonic() - self._started,
            "connections": self.connections,
            "cache": {"memory": {"objects": self.store.objects, "bytes": self.store.bytes}},
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


def _adopt_log(before: Config, config: Config) -> None:
    if (before.log.level, before.log.format) != (config.log.level, config.log.format):
        application_log.configure(config.log.level, config.log.format)
    if config.limits.max_connections > before.limits.max_connections:
        descriptors.allow_connections(config.limits.max_connections)


async def serve(
    config: Config,
    told: Told,
    announce: Callable[[str], object],
    read: Read | None = None,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Run one point of presence until it is told to stop, then drain it unless told to hurry."""
    clock = SystemClock()
    notifier = Notifier(os.environ if environ is None else environ, monotonic=clock.monotonic)
    pop = PointOfPresence(config, clock=clock, read=read, notifier=notifier)
    try:
        await pop.start()
        for host, port in pop.https_addresses:
            announce(f"listening on https://{_shown(host)}:{port} (h2, http/1.1)")
        for host, port in pop.http_addresses:
            announce(f"listening on http://{_shown(host)}:{port} (redirects to https)")
        for host, port in pop.metrics_addresses:
            announce(f"listening on http://{_shown(host)}:{port} (metrics)")
        gc.freeze()  # what start-up made lives as long as the process: no collection looks at it
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(pop.follow(told.reload)),
                group.create_task(_stay_alive(notifier)),
            ]
            notifier.ready()
            await told.stop.wait()
            notifier.stopping()
            for task in tasks:
                task.cancel()
        announce("draining")
        if not await pop.drain(told.hurry):
            why = "told to hurry" if told.hurry.is_set() else "drain_timeout passed"
            log.warning("%s with %d connections open", why, pop.connections)
    finally:
        await pop.aclose()


async def _stay_alive(notifier: Notifier) -> None:
    """Feed the service manager's watchdog, if there is one, as long as the loop turns."""
    while notifier.watchdog_seconds is not None:
        notifier.alive()
        await asyncio.sleep(notifier.watchdog_seconds)


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
