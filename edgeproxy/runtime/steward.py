"""The steward: the process that keeps identities and answers operators, for all workers.

It serves no traffic: when it ends, connections go on and new ones get what workers know. It tells
workers what is live, adds up what they count, and owns the control socket and the metrics.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgeproxy import __version__
from edgeproxy.clock import Clock
from edgeproxy.config import compile as slices
from edgeproxy.config.schema import Config
from edgeproxy.control.certificates import Document
from edgeproxy.control.reloading import NotReloaded, Reloaded
from edgeproxy.errors import CertificateError
from edgeproxy.observe.counters import Counters
from edgeproxy.observe.exposition import Snapshot
from edgeproxy.observe.facts import Facts, ProcessFacts, TierFacts
from edgeproxy.runtime.certificates import certificates
from edgeproxy.runtime.link import Link, Message
from edgeproxy.runtime.operations import Operations
from edgeproxy.runtime.orders import Orders
from edgeproxy.runtime.roster import Roster
from edgeproxy.tls.identity import Identity, IdentitySource, load_identity

log = logging.getLogger(__name__)

_EMPTY = TierFacts(0, 0, 0, 0)  # as long as no worker has said anything


@dataclass(frozen=True)
class Stewardship:
    """What a steward is given.

    `identities` were loaded of their sources when the PoP started, at `started` by the monotonic
    clock; `pid` is that of the main process. Metrics sockets are bound.
    """

    config: Config
    identities: Sequence[tuple[IdentitySource, Identity]]
    metrics: Sequence[socket.socket]
    clock: Clock
    started: float
    pid: int
    is_first: bool


@dataclass
class State:
    """What the main process says of the PoP."""

    phase: str = "starting"
    worker_restarts: int = 0
    steward_restarts: int = 0


async def keep(stewardship: Stewardship, link: Link) -> int:
    """Keep identities and answer operators until told to end; return the exit code."""
    return await Steward(stewardship, link).run()


class Steward:
    """A running steward; made on the loop that it runs on."""

    def __init__(self, given: Stewardship, link: Link) -> None:
        self.given = given
        self.state = State()
        self._counters = Counters()
        self._reloads: set[asyncio.Task[Reloaded | NotReloaded]] = set()
        self._roster = Roster(self._lost)
        self._orders = Orders(link, self._hear)
        self._certificates = certificates(
            given.config,
            given.identities if given.is_first else reread(given),
            self._roster.publish,
            clock=given.clock,
            counters=self._counters,
        )
        self._operations = Operations(
            scrape=self._scrape,
            certificates=self._certificates,
            status=self._status,
            is_serving=lambda: self.state.phase == "serving" and bool(self._roster.here),
            reload=self.reload,
        )

    async def run(self) -> int:
        """See `keep`."""
        try:
            if await _done_before(self._orders.drain, self._certificates.start()):
                config = self.given.config
                folder = slices.state_directory(config, os.environ)
                await self._operations.start(list(self.given.metrics), folder, config.pop.name)
                self._orders.report("ready")
                await self._orders.drain.wait()
        finally:
            await self._aclose()
        return 0

    async def _aclose(self) -> None:
        for task in self._reloads:
            task.cancel()
        if self._reloads:
            await asyncio.wait(self._reloads)
        await self._operations.aclose()
        await self._certificates.aclose()
        await self._roster.aclose()
        self._orders.close()

    # --- orders ---------------------------------------------------------------------------------

    def _hear(self, message: Message, descriptor: int | None) -> None:
        match message["do"]:
            case "channel" if descriptor is not None:
                self._roster.attach(
                    message["worker"],
                    pid=message["pid"],
                    number=message["number"],
                    descriptor=descriptor,
                )
            case "state":
                self.state = State(
                    message["phase"], message["worker_restarts"], message["steward_restarts"]
                )
            case "reload":
                task = asyncio.get_running_loop().create_task(self.reload())
                self._reloads.add(task)
                task.add_done_callback(self._reloads.discard)
            case word:
                raise ValueError(f"the steward is told {word!r}")

    def _lost(self, worker: int, number: int) -> None:
        self._orders.report("lost", worker=worker, number=number)

    async def reload(self) -> Reloaded | NotReloaded:
        """Look for what has changed: of certificates only, as yet."""
        log.info("told to look for new certificates")
        await self._certificates.reload()
        return Reloaded((), ())

    # --- questions ------------------------------------------------------------------------------

    async def _scrape(self) -> Snapshot:
        await self._roster.ask()
        return Snapshot(self._roster.counters(self._counters), self._facts())

    def _facts(self) -> Facts:
        here = self._roster.here
        return replace(
            self._roster.facts(),
            is_draining=self.state.phase == "draining",
            certificates=self._certificates.facts(),
            processes=ProcessFacts(
                workers=len(here),
                worker_restarts=self.state.worker_restarts,
                steward_restarts=self.state.steward_restarts,
                cpu_seconds={
                    str(index): each.latest.cpu_seconds
                    for index, each in here.items()
                    if each.latest is not None
                },
            ),
        )

    async def _status(self) -> Document:
        """Describe this PoP for `edgeproxy status`; certificates are another question."""
        await self._roster.ask()
        facts, counters = self._roster.facts(), self._roster.counters(self._counters)
        return {
            "pop": self.given.config.pop.name,
            "version": __version__,
            "pid": self.given.pid,
            "phase": self.state.phase,
            "uptime_seconds": self.given.clock.monotonic() - self.given.started,
            "connections": sum(facts.connections.values()),
            "cache": {
                name: {"objects": tier.objects, "bytes": tier.bytes}
                for name, tier in {"memory": _EMPTY, **facts.tiers}.items()
            },
            "counters": counters.snapshot(),
            "workers": [
                {
                    "worker": index,
                    "pid": each.pid,
                    "connections": sum(each.latest.facts.connections.values()),
                    "cpu_seconds": each.latest.cpu_seconds,
                }
                for index, each in sorted(self._roster.here.items())
                if each.latest is not None
            ],
            "worker_restarts": self.state.worker_restarts,
            "steward": {"pid": os.getpid(), "restarts": self.state.steward_restarts},
        }


def reread(given: Stewardship) -> list[tuple[IdentitySource, Identity]]:
    """Load all identities as they are now; in place of one that cannot be used that of the start.

    For a steward that follows another one: what is live now may be newer than what was inherited.
    """
    now = given.clock.now()
    found: list[tuple[IdentitySource, Identity]] = []
    for source, first in given.identities:
        try:
            identity = load_identity(source.pairs_now(), name=source.name, now=now)
        except CertificateError as error:
            log.warning("%s: that of the start is used: %s", source.name, error)
            identity = first
        found.append((source, identity))
    return found


async def _done_before(event: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do something unless the event comes first; tell whether it is done."""
    async with asyncio.TaskGroup() as group:
        doing = group.create_task(work)
        waiting = group.create_task(event.wait())
        await asyncio.wait({doing, waiting}, return_when=asyncio.FIRST_COMPLETED)
        is_done = doing.done()
        doing.cancel()
        waiting.cancel()
    return is_done
