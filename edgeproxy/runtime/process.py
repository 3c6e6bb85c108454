"""The process that `edgeproxy serve` becomes: logging, limits, and the supervisor of all others.

The first SIGTERM or SIGINT drains; the second one ends what is left at once. SIGHUP
reloads configuration and certificates.
"""

import gc
import logging
import os

from edgeproxy.config import compile as slices
from edgeproxy.config.schema import Config
from edgeproxy.observe import logging as application_log
from edgeproxy.runtime import allocator, descriptors
from edgeproxy.runtime.reloading import Read
from edgeproxy.runtime.supervisor import Supervisor
from edgeproxy.runtime.taking import Taken, take

log = logging.getLogger(__name__)


def run(config: Config, read: Read | None = None, *, takes_over: bool = False) -> int:
    """Serve until SIGTERM or SIGINT; return 0 after an orderly end, or in favour of a successor.

    `read` reads the configuration again at a reload; without it only certificates are looked at.
    With `takes_over` in place of the PoP of this name that runs; without one as usual.

    Raises:
        UnavailableError: an address cannot be bound, no process that serves stays alive, or the
            PoP that runs lets nobody take over.
        ConfigError: a certificate cannot be used any more.
    """
    allocator.settle(os.environ)
    application_log.configure(config.log.level, config.log.format)
    workers = slices.workers(config, len(os.sched_getaffinity(0)))
    descriptors.allow_connections(slices.share_of_worker(config, workers).limits.max_connections)
    taken = _taken(config) if takes_over else None
    supervisor = Supervisor(config, workers, log.info, read=read, taken=taken)
    gc.freeze()  # what all processes share: no collection looks at it, and none copies its pages
    return supervisor.run()


def _taken(config: Config) -> Taken | None:
    folder, name = slices.state_directory(config, os.environ), config.pop.name
    taken = take(folder, name)
    if taken is None:
        log.warning(
            "there is nothing to take over: no PoP named %s runs on %s; starting", name, folder
        )
    else:
        log.info("taking over from process %d", taken.pid)
    return taken
