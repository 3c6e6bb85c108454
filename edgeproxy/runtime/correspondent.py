"""A worker's end of its channel to the steward: takes identities, reports numbers.

The messages are those of `roster`. The channel may end and come again: connections are served all
the same, with the identities that are known.
"""

import asyncio
import logging
import resource
from typing import Protocol

from edgeproxy.errors import CertificateError
from edgeproxy.observe.counters import Counters
from edgeproxy.observe.facts import Facts
from edgeproxy.observe.sums import pack_counters, pack_facts
from edgeproxy.runtime.candidate import Candidate
from edgeproxy.runtime.channel import Message, MessageChannel, open_channel
from edgeproxy.runtime.generation import unpack_config
from edgeproxy.runtime.identity_messages import unpack_identity
from edgeproxy.runtime.reloading import Reloadable
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.tls.identity import Identity

log = logging.getLogger(__name__)


class Reporting(Reloadable, Protocol):
    """The point of presence, as far as the steward asks about it and changes it."""

    counters: Counters

    def facts(self) -> Facts:
        """Return what is true now."""


class Correspondent:
    """`published` is set once identities have come; `aclose` it in every case.

    `generation` is the number of the configuration that the worker begins with.
    """

    def __init__(self, front: FrontContext, generation: int = 0) -> None:
        self.published = asyncio.Event()
        self._front = front
        self._worker: Reporting | None = None
        self._channel: MessageChannel | None = None
        self._opening: set[asyncio.Task[None]] = set()
        self._identities: dict[int, Identity] = {}
        self._candidate = Candidate(generation, self._say)

    def represent(self, worker: Reporting) -> None:
        """Report for this worker."""
        self._worker = worker

    def connect(self, descriptor: int) -> None:
        """Take over a channel, in place of the one that there was."""
        before, self._channel = self._channel, None
        if before is not None:
            before.close()
        self._candidate.drop()  # who follows the steward that offered it does not know of it
        self._identities.clear()  # a new channel begins with all of them
        task = asyncio.get_running_loop().create_task(self._open(descriptor))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def aclose(self) -> None:
        """End the channel."""
        await self._candidate.aclose()
        for task in self._opening:
            task.cancel()
        if self._opening:
            await asyncio.wait(self._opening)
        if self._channel is not None:
            self._channel.close()

    async def _open(self, descriptor: int) -> None:
        try:
            channel = await open_channel(descriptor, self._received, lambda: None)
        except OSError as error:
            log.warning("the steward cannot be reached: %s", error)
            return
        self._channel = channel
        self._say({"say": "running", "generation": self._candidate.running})

    def _say(self, message: Message) -> None:
        if self._channel is not None:
            self._channel.send(message)

    # --- what comes -----------------------------------------------------------------------------

    def _received(self, message: Message) -> None:
        match message["say"]:
            case "identity":
                self._identities[message["id"]] = unpack_identity(message["identity"])
            case "live":
                self._make_live(message["ids"], message["withheld"])
            case "ask":
                self._report()
            case "prepare" | "commit" | "abort":
                self._heard_of_configuration(message)
            case word:
                raise ValueError(f"the steward says {word!r}")

    def _heard_of_configuration(self, message: Message) -> None:
        number = message["generation"]
        if message["say"] == "abort":
            self._candidate.drop()
        elif self._worker is None:
            raise ValueError("there is no worker yet")
        elif message["say"] == "prepare":
            self._candidate.offer(self._worker, number, unpack_config(message["config"]))
        else:
            self._candidate.take(self._worker, number)

    def _make_live(self, ids: list[int], withheld: list[str]) -> None:
        self._identities = {each: self._identities[each] for each in ids}
        try:
            self._front.replace(list(self._identities.values()), withheld=withheld)
        except CertificateError:  # the steward has tried it out
            log.exception("new identities are not used by this worker")
        self.published.set()

    def _report(self) -> None:
        if self._channel is None or self._worker is None:
            return
        used = resource.getrusage(resource.RUSAGE_SELF)
        self._channel.send(
            {
                "say": "report",
                "cpu_seconds": used.ru_utime + used.ru_stime,
                "counters": pack_counters(self._worker.counters),
                "facts": pack_facts(self._worker.facts()),
            }
        )
