"""The composition root: one point of presence, built from a configuration.

The only place where listeners meet the edge and the edge meets origins. It decides nothing about
requests. One process serves everything; the sockets it binds outlive its listeners.
"""

import asyncio
import gc
import logging
import os
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Literal

from edgeproxy import __version__
from edgeproxy.clock import Clock, SystemClock
from edgeproxy.config import compile as slices
from edgeproxy.config.certificates import load_certificates
from edgeproxy.config.files import identity_sources
from edgeproxy.config.schema import Config
from edgeproxy.edge.handler import Edge
from edgeproxy.edge.redirect import RedirectToHttps
from edgeproxy.edge.settings import EdgeSettings
from edgeproxy.edge.sites import Sites
from edgeproxy.http.application import Application
from edgeproxy.listeners.connection import SessionFactory
from edgeproxy.listeners.http1 import Http1Session
from edgeproxy.listeners.http2 import Http2Session
from edgeproxy.listeners.session import Channel, Session
from edgeproxy.listeners.tcp import TcpListener
from edgeproxy.listeners.turns import Turns
from edgeproxy.observe.access_log import AccessLog
from edgeproxy.observe.counters import Counters
from edgeproxy.observe.exposition import Exposition
from edgeproxy.observe.facts import Facts
from edgeproxy.origin.client import Origin
from edgeproxy.runtime.certificates import Certificates
from edgeproxy.runtime.operations import Operations, facts
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

    `access_log_sink` takes batches of finished access-log lines, and may block.
    """

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock | None = None,
        access_log_sink: Callable[[str], object] = _to_stdout,
    ) -> None:
        """Load certificates and trust anchors; raises `ConfigError` or `CertificateError`."""
        self._config = config
        self._clock = clock or SystemClock()
        self._limits = slices.limits(config)
        self._sink = access_log_sink
        self.counters = Counters()
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
        self._origins = {
            name: Origin(settings, identifier=config.pop.name, clock=self._clock)
            for name, settings in slices.origin_settings(config).items()
        }
        self._sites = slices.compile_sites(config, self._origins)
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
        for origin in self._origins.values():
            self._stack.push_async_callback(origin.aclose)
        self.edge = self._make_edge()
        self._stack.push_async_callback(self.edge.aclose)
        await self._listen(https, self._sessions(self.edge), self._front)
        if http:
            redirect = redirect_application(self._sites, self.https_addresses[0][1])
            await self._listen(http, self._sessions(redirect), None)
        self._phase = "serving"

    async def follow(self, reload: asyncio.Event) -> None:
        """Look at all certificate files whenever `reload` is set, until cancelled.

        Whatever a look meets, a disk that fails say: what is live goes on.
        """
        while True:
            await reload.wait()
            reload.clear()
            log.info("told to look for new certificates")
            try:
                await self._certificates.reload()
            except Exception:
                log.exception("looking for new certificates failed")

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
        access_log = None
        if config.log.access.enabled:
            access_log = AccessLog(
                self._sink, slices.access_log_settings(config), counters=self.counters
            )
            self._stack.push_async_callback(access_log.aclose)
        return Edge(
            self._sites,
            self.store,
            pop=config.pop.name,
            clock=self._clock,
            counters=self.counters,
            access_log=access_log,
            settings=EdgeSettings(),
        )

    def _sessions(self, application: Application) -> SessionFactory:
        clock, limits = self._clock, self._limits

        def begin(channel: Channel, protocol: str) -> Session:
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


def redirect_application(sites: Sites, https_port: int) -> RedirectToHttps:
    """Return what answers plain HTTP for these sites."""
    return RedirectToHttps(lambda host: sites.resolve(host) is not None, https_port)


async def serve(config: Config, told: Told, announce: Callable[[str], object]) -> None:
    """Run one point of presence until it is told to stop, then drain it unless told to hurry."""
    pop = PointOfPresence(config)
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
            following = group.create_task(pop.follow(told.reload))
            await told.stop.wait()
            following.cancel()
        announce("draining")
        if not await pop.drain(told.hurry):
            why = "told to hurry" if told.hurry.is_set() else "drain_timeout passed"
            log.warning("%s with %d connections open", why, pop.connections)
    finally:
        await pop.aclose()


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
