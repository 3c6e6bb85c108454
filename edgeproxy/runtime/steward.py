"""The steward: the process that keeps identities and answers operators, for all workers.

It serves no traffic: when it ends, connections go on and new ones get what workers know. It tells
workers what is live, adds up what they count, and owns the control socket and the metrics.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from edgeproxy import __version__
from edgeproxy.clock import Clock
from edgeproxy.config import compile as slices
from edgeproxy.config.schema import Config
from edgeproxy.control.certificates import Document
from edgeproxy.control.reloading import NotReloaded, Reloaded
from edgeproxy.edge.sites import Sites
from edgeproxy.errors import CertificateError
from edgeproxy.observe.counters import Counters
from edgeproxy.observe.exposition import Snapshot
from edgeproxy.observe.facts import Facts, ProcessFacts, TierFacts
from edgeproxy.runtime.certificates import certificates
from edgeproxy.runtime.channel import Message as ChannelMessage
from edgeproxy.runtime.generation import Generation
from edgeproxy.runtime.link import Link, Message
from edgeproxy.runtime.operations import Operations
from edgeproxy.runtime.orders import Orders
from edgeproxy.runtime.prepared import Locate, Prepared, Served, prepare, without_line
from edgeproxy.runtime.reloading import Read, Reloading, adopt_log
from edgeproxy.runtime.rollout import Rollout
from edgeproxy.runtime.roster import Colleague, Roster
from edgeproxy.runtime.sockets import Address
from edgeproxy.tls.identity import Identity, IdentitySource, load_identity

log = logging.getLogger(__name__)

T = TypeVar("T")

_EMPTY = TierFacts(0, 0, 0, 0)  # as long as no worker has said anything


@dataclass(frozen=True)
class Stewardship:
    """What a steward is given.

    `identities` were loaded of their sources when the PoP started, at `started` by the monotonic
    clock; `pid` is that of the main process. Sockets for metrics and for control are bound. `read`
    reads the configuration again. `http3` is where HTTP/3 is to answer.
    """

    generation: Generation
    workers: int
    read: Read | None
    metrics: Sequence[socket.socket]
    control: socket.socket | None
    clock: Clock
    started: float
    pid: int
    is_first: bool
    http3: Sequence[Address] = ()


@dataclass
class State:
    """What the main process says of the PoP.

    `successor` is a process that is about to take over, `predecessor` one that was taken over and
    has not ended; 0: none.
    """

    phase: str = "starting"
    worker_restarts: int = 0
    worker_hangs: int = 0
    steward_restarts: int = 0
    successor: int = 0
    predecessor: int = 0


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
        self._releases: set[asyncio.Task[None]] = set()
        self._config = given.generation.config
        self._roster = Roster(self._lost, self._word)
        self._orders = Orders(link, self._hear)
        self._rollout = Rollout(
            lambda: self._roster.here,
            given.generation.number,
            self._share_of(self._config),
            lambda index, pid: self._orders.report("hangs", worker=index, pid=pid),
        )
        self._certificates = certificates(
            self._config,
            given.generation.identities if given.is_first else reread(given),
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
        self._reloading = Reloading(
            self,
            given.read,
            self._certificates.reload,
            counters=self._counters,
            notifier=_ByMain(self._orders),
        )

    async def run(self) -> int:
        """See `keep`."""
        try:
            is_begun = await _done_before(self._orders.drain, self._certificates.start())
            if is_begun and await self._orders.may_serve():
                await self._operations.start(list(self.given.metrics), self.given.control)
                self._orders.report("ready")
                await self._orders.drain.wait()
        finally:
            await self._aclose()
        return 0

    async def _aclose(self) -> None:
        for task in (tasks := [*self._reloads, *self._releases]):
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
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
                self.state = State(**{each.name: message[each.name] for each in fields(State)})
            case "reload":
                self._begin_reload()
            case "release":
                self._release()
            case word:
                raise ValueError(f"the steward is told {word!r}")

    def _begin_reload(self) -> None:
        log.info("told to reload")
        if len(self._reloads) > 1:
            return  # one waits for its turn, and will read what there is by then
        self._own(self._reloads, self.reload())

    def _release(self) -> None:
        """Let another PoP answer operators, on the same sockets, and say when that is so."""
        self._own(self._releases, self._stop_answering())

    async def _stop_answering(self) -> None:
        try:
            await self._operations.aclose()
        finally:
            self._orders.report("released")

    def _own(self, tasks: set[asyncio.Task[T]], work: Coroutine[Any, Any, T]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def _lost(self, worker: int, number: int) -> None:
        self._orders.report("lost", worker=worker, number=number)

    async def reload(self) -> Reloaded | NotReloaded:
        """Look at all certificate files and have everybody take the configuration as it is now."""
        if self.state.phase == "draining":
            return NotReloaded((without_line((), "the edge is about to end"),))
        if self.state.successor:
            said = f"process {self.state.successor} is about to take over: reload when it has"
            return NotReloaded((without_line((), said),))
        return await self._reloading.reload()

    async def prepare(self, config: Config, locate: Locate = without_line) -> Prepared:
        """Build everything of another configuration that can fail, here and in all workers.

        Raises:
            ConfigError: it cannot be used here and now.
            TimeoutError: a worker does not answer.
        """
        before = Served(self._config, {}, Sites(()))  # what is built here serves nobody
        prepared = await asyncio.to_thread(prepare, config, before, locate, clock=self.given.clock)
        kept = await self._certificates.prepare_of(config, locate)
        await self._rollout.prepare(self._share_of(config))
        return replace(prepared, certificates=kept)

    def apply(self, prepared: Prepared) -> None:
        """Let all follow what was prepared, and the main process know for those to come."""
        before, self._config = self._config, prepared.served.config
        if prepared.certificates is not None:
            self._certificates.adopt(prepared.certificates)
        adopt_log(before, self._config)
        self._tell_main()
        self._rollout.commit()

    async def applied(self) -> None:
        """Wait until no worker answers by what there was before."""
        await self._rollout.taken()

    def _tell_main(self) -> None:
        """Have those that are born from now on begin with it; else they catch up, see `Rollout`."""
        live = list(self._certificates.live().values())
        try:
            descriptor = Generation(self._rollout.next_number, self._config, live).to_descriptor()
        except OSError as error:
            log.error("the configuration cannot be handed to the main process: %s", error)  # noqa: TRY400 - the machine's state
            return
        if not self._orders.report("configuration", descriptor):
            log.error("the main process does not take the configuration that is current")
        os.close(descriptor)

    def _share_of(self, config: Config) -> Config:
        return slices.share_of_worker(config, self.given.workers)

    def _word(self, index: int, worker: Colleague, message: ChannelMessage) -> None:
        self._rollout.heard(index, worker, message)

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
                worker_hangs=self.state.worker_hangs,
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
            "pop": self._config.pop.name,
            "version": __version__,
            "pid": self.given.pid,
            "phase": self.state.phase,
            "successor": self.state.successor or None,
            "predecessor": self.state.predecessor or None,
            "uptime_seconds": self.given.clock.monotonic() - self.given.started,
            "connections": sum(facts.connections.values()),
            "http3": list(self.given.http3),
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
            "worker_hangs": self.state.worker_hangs,
            "steward": {"pid": os.getpid(), "restarts": self.state.steward_restarts},
        }


class _ByMain:
    """Has the main process tell the service manager, which listens to nobody else."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    def reloading(self) -> None:
        """See `Announcing`."""
        self._orders.report("reloading")

    def ready(self) -> None:
        """See `Announcing`."""
        self._orders.report("reloaded")


def reread(given: Stewardship) -> list[tuple[IdentitySource, Identity]]:
    """Load all identities as they are now; in place of one that cannot be used that of the start.

    For a steward that follows another one: what is live now may be newer than what was inherited.
    """
    now = given.clock.now()
    found: list[tuple[IdentitySource, Identity]] = []
    for source, first in given.generation.identities:
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
