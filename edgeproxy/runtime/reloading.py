"""Reads the configuration again while it serves: whole or not at all, one at a time.

Asked by SIGHUP and over the control socket. Certificates are looked at in any case, as renewals
have nothing to do with what else the file says. Never raises: an operator's fault is an answer, and
one line in the log.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from edgeproxy.config.load import Loaded
from edgeproxy.config.schema import Config
from edgeproxy.control.reloading import NotReloaded, Reloaded
from edgeproxy.errors import ConfigError, Problem
from edgeproxy.observe import logging as application_log
from edgeproxy.observe.counters import Counters
from edgeproxy.runtime import descriptors
from edgeproxy.runtime.prepared import Locate, Prepared

log = logging.getLogger(__name__)

Read = Callable[[], Loaded]
"""Reads and judges the configuration that the process was started with; blocks."""


class Reloadable(Protocol):
    """What takes another configuration."""

    async def prepare(self, config: Config, locate: Locate = ...) -> Prepared:
        """Build everything that can fail, and change nothing."""

    def apply(self, prepared: Prepared) -> None:
        """Swap; cannot fail."""


class Spread(Reloadable, Protocol):
    """What takes another configuration in several places."""

    async def applied(self) -> None:
        """Wait until all of them follow it; bounded."""


class Announcing(Protocol):
    """Who tells the service manager; `Notifier`, or who passes it on."""

    def reloading(self) -> None:
        """Say that a reload begins."""

    def ready(self) -> None:
        """Say that it is over."""


class Reloading:
    """`read` is None where there is no file to read: then only certificates are looked at."""

    def __init__(
        self,
        edge: Spread,
        read: Read | None,
        look_at_certificates: Callable[[], Awaitable[object]],
        *,
        counters: Counters,
        notifier: Announcing,
    ) -> None:
        self._edge = edge
        self._read = read
        self._look_at_certificates = look_at_certificates
        self._counters = counters
        self._notifier = notifier
        self._one_at_a_time = asyncio.Lock()

    async def reload(self) -> Reloaded | NotReloaded:
        """Read, prepare and apply; the log and the service manager hear of it, too."""
        async with self._one_at_a_time:
            self._notifier.reloading()
            try:
                outcome = await self._reload()
            except Exception as error:
                log.exception("the configuration was not reloaded, nothing has changed")
                self._counters.reloads["failed"] += 1
                outcome = NotReloaded((Problem("configuration", 0, "", f"internal: {error!r}"),))
            finally:
                self._notifier.ready()
            return outcome

    async def _reload(self) -> Reloaded | NotReloaded:
        try:
            await self._look_at_certificates()
        except Exception:  # a disk that fails, say: what is live goes on
            log.exception("looking for new certificates failed")
        if self._read is None:
            return Reloaded((), ())
        try:
            loaded = await asyncio.to_thread(self._read)
            prepared = await self._edge.prepare(loaded.config, loaded.document.problem)
        except ConfigError as error:
            self._counters.reloads["refused"] += 1
            said = "; ".join(map(str, error.problems))
            log.error("the configuration was not reloaded, nothing has changed: %s", said)  # noqa: TRY400 - the operator's fault needs no traceback
            return NotReloaded(error.problems)
        self._edge.apply(prepared)
        await self._edge.applied()
        self._counters.reloads["reloaded"] += 1
        log.info("configuration reloaded, changed: %s", ", ".join(prepared.changed) or "nothing")
        for problem in loaded.warnings:
            log.warning("%s", problem)
        return Reloaded(prepared.changed, loaded.warnings)


def adopt_log(before: Config, config: Config) -> None:
    """Let this process log as another configuration says."""
    if (before.log.level, before.log.format) != (config.log.level, config.log.format):
        application_log.configure(config.log.level, config.log.format)


def adopt_connections(before: Config, config: Config) -> None:
    """Let this process, and those that it forks, have as many clients as another one says."""
    if config.limits.max_connections > before.limits.max_connections:
        descriptors.allow_connections(config.limits.max_connections)
