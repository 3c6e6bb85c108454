"""The workers, as the steward sees them: one channel each, what they were told and what they said.

Tells all of them identities, asks them for numbers, and adds those up. Decides
nothing about certificates or requests, and starts no process. Messages to a worker:

    {"say": "identity", "id": N, "identity": {...}}     a value that `live` may name
    {"say": "live", "ids": [N, ...], "withheld": [...]}  what new connections can become
    {"say": "ask"}                                       wants a report

and from it `report` with cpu_seconds, counters and facts. What is said of configurations is for
`rollout`.

Invariant: what was counted by a worker that has ended stays in the sum.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from edgeproxy.errors import Problem
from edgeproxy.observe.counters import Counters
from edgeproxy.observe.facts import Facts
from edgeproxy.observe.sums import add_counters, ended, sum_facts, unpack_counters, unpack_facts
from edgeproxy.runtime.channel import Message, MessageChannel, open_channel
from edgeproxy.runtime.identity_messages import pack_identity
from edgeproxy.tls.identity import Identity

log = logging.getLogger(__name__)

# A worker that is busy for longer shows the numbers that it told the last time.
ASK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker said of itself."""

    cpu_seconds: float
    counters: Counters
    facts: Facts


class Colleague:
    """One worker; `number` tells its channels apart, `known` is what the channel was told.

    `running` and `prepared` are the generations of its configuration, as far as it said so; `voted`
    is set once it has answered to one, with these `problems`, or is gone.
    """

    def __init__(self, pid: int, number: int) -> None:
        self.pid = pid
        self.number = number
        self.channel: MessageChannel | None = None
        self.known: frozenset[int] = frozenset()
        self.latest: Report | None = None
        self.answered = asyncio.Event()
        self.running: int | None = None
        self.prepared: int | None = None
        self.problems: tuple[Problem, ...] = ()
        self.voted = asyncio.Event()

    @property
    def is_here(self) -> bool:
        """Whether it can be told something."""
        return self.channel is not None and self.channel.is_open

    def tell(self, message: Message) -> None:
        """Send a message, if it is here."""
        if self.channel is not None:
            self.channel.send(message)


class Roster:
    """All workers; `on_lost` hears of a channel that ended, by worker and number.

    `on_word` hears of what a worker says that is not for this.
    """

    def __init__(
        self,
        on_lost: Callable[[int, int], object],
        on_word: Callable[[int, Colleague, Message], object],
    ) -> None:
        self._on_lost = on_lost
        self._on_word = on_word
        self._workers: dict[int, Colleague] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._ids: dict[Identity, int] = {}
        self._next_id = 0
        self._withheld: list[str] = []
        self._is_published = False
        self._ended_counters = Counters()
        self._ended_facts = Facts()

    @property
    def here(self) -> dict[int, Colleague]:
        """The workers that have a channel now."""
        return {index: each for index, each in self._workers.items() if each.is_here}

    def attach(self, index: int, *, pid: int, number: int, descriptor: int) -> None:
        """Take over the channel of a worker, the first one or one in place of a lost one."""
        before = self._workers.get(index)
        worker = before if before is not None and before.pid == pid else Colleague(pid, number)
        if before is not None and before is not worker:
            self._retire(before)
        self._workers[index] = worker
        worker.number, worker.known = number, frozenset()
        worker.running = worker.prepared = None
        worker.voted.set()
        if worker.channel is not None:
            worker.channel.close()
        task = asyncio.get_running_loop().create_task(self._open(index, worker, descriptor))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def aclose(self) -> None:
        """Close all channels."""
        for task in self._opening:
            task.cancel()
        if self._opening:
            await asyncio.wait(self._opening)
        for worker in self._workers.values():
            if worker.channel is not None:
                worker.channel.close()

    # --- telling --------------------------------------------------------------------------------

    def publish(self, identities: Sequence[Identity], withheld: Sequence[str]) -> None:
        """Tell all workers, and those to come, what new connections can become."""
        ids: dict[Identity, int] = {}
        for identity in identities:
            known = self._ids.get(identity)
            if known is None:
                known, self._next_id = self._next_id, self._next_id + 1
            ids[identity] = known
        self._ids, self._withheld, self._is_published = ids, list(withheld), True
        for worker in self._workers.values():
            self._tell_identities(worker)

    def _tell_identities(self, worker: Colleague) -> None:
        channel = worker.channel
        if channel is None or not self._is_published:
            return
        for identity, number in self._ids.items():
            if number not in worker.known:
                packed = pack_identity(identity)
                channel.send({"say": "identity", "id": number, "identity": packed})
        ids = list(self._ids.values())
        channel.send({"say": "live", "ids": ids, "withheld": self._withheld})
        worker.known = frozenset(ids)

    # --- asking ---------------------------------------------------------------------------------

    async def ask(self) -> None:
        """Have all workers report; waits for them, but not for long."""
        asked = list(self.here.values())
        for worker in asked:
            worker.answered.clear()
            if worker.channel is not None:
                worker.channel.send({"say": "ask"})
        try:
            async with asyncio.timeout(ASK_SECONDS):
                for worker in asked:
                    await worker.answered.wait()
        except TimeoutError:
            log.warning("a worker did not report within %g s", ASK_SECONDS)

    def counters(self, own: Counters) -> Counters:
        """Return the sum of `own` and of what all workers counted, as they said the last time."""
        total = own.copy()
        add_counters(total, self._ended_counters)
        for worker in self._workers.values():
            if worker.latest is not None:
                add_counters(total, worker.latest.counters)
        return total

    def facts(self) -> Facts:
        """Return the sum of what workers said the last time."""
        said = [
            each.latest.facts if each.is_here else ended(each.latest.facts)
            for each in self._workers.values()
            if each.latest is not None
        ]
        return sum_facts([self._ended_facts, *said])

    # --- what comes -----------------------------------------------------------------------------

    async def _open(self, index: int, worker: Colleague, descriptor: int) -> None:
        number = worker.number
        try:
            channel = await open_channel(
                descriptor,
                partial(self._received, index, worker),
                partial(self._lost, index, worker, number),
            )
        except OSError as error:
            log.warning("worker %d cannot be reached: %s", index, error)
            return
        if worker.number != number:  # another channel has come meanwhile
            channel.close()
            return
        worker.channel = channel
        self._tell_identities(worker)

    def _received(self, index: int, worker: Colleague, message: Message) -> None:
        match message["say"]:
            case "report":
                worker.latest = Report(
                    message["cpu_seconds"],
                    unpack_counters(message["counters"]),
                    unpack_facts(message["facts"]),
                )
                worker.answered.set()
            case _:
                self._on_word(index, worker, message)

    def _lost(self, index: int, worker: Colleague, number: int) -> None:
        if worker.number == number:
            worker.channel = None
            worker.answered.set()  # whoever waits for it waits in vain
            worker.voted.set()
        self._on_lost(index, number)

    def _retire(self, worker: Colleague) -> None:
        if worker.channel is not None:
            worker.channel.close()
        if worker.latest is not None:
            add_counters(self._ended_counters, worker.latest.counters)
            self._ended_facts = sum_facts([self._ended_facts, ended(worker.latest.facts)])
