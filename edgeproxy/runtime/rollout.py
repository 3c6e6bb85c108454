"""Brings another configuration to all workers, or to none: the steward's side, in two phases.

Every worker that is here builds it beside what it runs and says so, or what is wrong. Only when all
have said yes are they told to take it. Who ends meanwhile counts as a yes: its successor begins
with what is current, and one that began with an earlier one catches up. Who hangs where
others do not is made to end.
Messages to a worker:

    {"say": "prepare", "generation": N, "config": ...}   build it and answer `prepared`
    {"say": "commit", "generation": N}                    take it
    {"say": "abort", "generation": N}                     let go of it

and from it `running`, when a channel begins and when it has taken one, and `prepared`, with the
problems that it found.

Invariant: no worker is told to take what another one has refused.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from edgeproxy.config.schema import Config
from edgeproxy.errors import ConfigError, Problem
from edgeproxy.runtime.channel import Message
from edgeproxy.runtime.generation import pack_config
from edgeproxy.runtime.roster import Colleague

log = logging.getLogger(__name__)

PREPARE_SECONDS: Final = 10.0
"""Ours: building takes a fraction of a second; who takes longer hangs, and is replaced."""

TAKE_SECONDS: Final = 2.0
"""Ours: a swap takes some hundred microseconds, in the next turn of the loop."""

GONE_SECONDS: Final = 5.0
"""Ours: how long one that hangs may take to be gone once the main process was told."""


class Rollout:
    """`here` are the workers by index; `config` is what each is to run now, its share of all.

    `on_silent` has a worker killed that hangs, by its index and process id.
    """

    def __init__(
        self,
        here: Callable[[], Mapping[int, Colleague]],
        number: int,
        config: Config,
        on_silent: Callable[[int, int], object],
    ) -> None:
        self._here = here
        self._on_silent = on_silent
        self.number = number
        self._config = config
        self._offered: tuple[int, Config] | None = None
        self._tried = number

    @property
    def next_number(self) -> int:
        """The generation that `commit` would make the current one."""
        return self._tried

    async def prepare(self, config: Config) -> None:
        """Have all build it; if this fails, or is cancelled, nothing has changed.

        Raises:
            ConfigError: a worker cannot use it.
            TimeoutError: a worker does not answer, and is not gone either.
        """
        self._tried += 1
        self._offered = (self._tried, config)
        try:
            await self._ask(self._tried, config)
        except BaseException:
            self._abort()
            raise

    async def _ask(self, number: int, config: Config) -> None:
        asked = dict(self._here())
        message = _offer(number, config)
        for worker in asked.values():
            worker.problems = ()
            worker.voted.clear()
            worker.tell(message)
        silent = await _silent(asked, PREPARE_SECONDS)
        if silent and len(silent) < len(asked):  # where it is all of them, it is what was asked
            for index, worker in silent.items():
                self._on_silent(index, worker.pid)
            silent = await _silent(silent, GONE_SECONDS)
        if silent:
            who = ", ".join(map(str, silent))
            raise TimeoutError(f"worker {who} did not answer within {PREPARE_SECONDS:g} s")
        if problems := dict.fromkeys(p for each in asked.values() for p in each.problems):
            raise ConfigError(list(problems))

    def commit(self) -> None:
        """Have all take what they have built."""
        if self._offered is None:
            raise RuntimeError("nothing was prepared")
        (self.number, self._config), self._offered = self._offered, None
        for worker in self._here().values():
            if worker.prepared == self.number:
                self._have_it_taken(worker)
            else:
                self._catch_up(worker)

    async def taken(self) -> None:
        """Wait until all run what was committed; who is slower is told to, and will.

        Raises nothing for it: the configuration is current from the commit on.
        """
        asked = {i: each for i, each in self._here().items() if each.running == self.number}
        silent = await _silent(asked, TAKE_SECONDS)
        if silent:
            who = ", ".join(map(str, silent))
            log.warning("worker %s has not swapped within %g s yet", who, TAKE_SECONDS)

    def _abort(self) -> None:
        (number, _), self._offered = self._offered or (0, None), None
        for worker in self._here().values():
            worker.tell({"say": "abort", "generation": number})
            self._catch_up(worker)

    def _have_it_taken(self, worker: Colleague) -> None:
        worker.voted.clear()
        worker.tell({"say": "commit", "generation": self.number})
        worker.running = self.number

    def _catch_up(self, worker: Colleague) -> None:
        if worker.running not in (None, self.number):
            worker.tell(_offer(self.number, self._config))

    def heard(self, index: int, worker: Colleague, message: Message) -> None:
        """Take what a worker says of configurations."""
        number = message["generation"]
        match message["say"]:
            case "running":
                worker.running = number
                if self._offered is None and number == self.number:
                    worker.voted.set()
                self._catch_up(worker)
            case "prepared":
                problems = tuple(Problem(**each) for each in message["problems"])
                worker.prepared = None if problems else number
                if self._offered is not None and number == self._offered[0]:
                    worker.problems = problems
                    worker.voted.set()
                elif number == self.number and problems:
                    said = "; ".join(map(str, problems))
                    log.error("worker %d cannot use what the others do: %s", index, said)
                elif number == self.number:
                    self._have_it_taken(worker)
            case word:
                raise ValueError(f"worker {index} says {word!r}")


async def _silent(asked: Mapping[int, Colleague], seconds: float) -> dict[int, Colleague]:
    """Wait for answers; return who has given none, and is not gone either."""
    try:
        async with asyncio.timeout(seconds):
            for worker in asked.values():
                await worker.voted.wait()
    except TimeoutError:
        pass
    return {index: each for index, each in asked.items() if not each.voted.is_set()}


def _offer(number: int, config: Config) -> Message:
    return {"say": "prepare", "generation": number, "config": pack_config(config)}
