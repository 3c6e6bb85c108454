"""The configuration that a worker may be told to take next: the worker's side of `rollout`.

Built beside what serves, one at a time: another one takes the place of one that was not taken.
Never raises: what cannot be built is answered with its problems.
"""

import asyncio
import logging
from collections.abc import Callable

from edgeproxy.config.schema import Config
from edgeproxy.control.reloading import document_of
from edgeproxy.errors import ConfigError, Problem
from edgeproxy.runtime.channel import Message
from edgeproxy.runtime.prepared import Prepared
from edgeproxy.runtime.reloading import Reloadable

log = logging.getLogger(__name__)


class Candidate:
    """`running` is the generation that the worker runs; `aclose` it in every case."""

    def __init__(self, running: int, send: Callable[[Message], object]) -> None:
        self.running = running
        self._send = send
        self._building: asyncio.Task[None] | None = None
        self._built: tuple[int, Prepared] | None = None

    def offer(self, worker: Reloadable, number: int, config: Config) -> None:
        """Build it, and say when that is done."""
        self.drop()
        self._building = asyncio.get_running_loop().create_task(self._build(worker, number, config))

    async def _build(self, worker: Reloadable, number: int, config: Config) -> None:
        problems: tuple[Problem, ...] = ()
        try:
            self._built = (number, await worker.prepare(config))
        except ConfigError as error:
            problems = error.problems
        except Exception as error:
            log.exception("another configuration cannot be built")
            problems = (Problem("configuration", 0, "", f"internal: {error!r}"),)
        said = [document_of(each) for each in problems]
        self._send({"say": "prepared", "generation": number, "problems": said})

    def take(self, worker: Reloadable, number: int) -> None:
        """Let it serve."""
        built, self._built = self._built, None
        if built is None or built[0] != number:
            raise ValueError(f"generation {number} was not built")
        worker.apply(built[1])
        self.running = number
        self._send({"say": "running", "generation": number})

    def drop(self) -> None:
        """Let go of what was built, or is being built."""
        self._built = None
        if self._building is not None:
            self._building.cancel()

    async def aclose(self) -> None:
        """Stop building."""
        self.drop()
        if self._building is not None:
            await asyncio.wait([self._building])
