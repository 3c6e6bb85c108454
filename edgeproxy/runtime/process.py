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
from edgeproxy.runtime import descriptors
from edgeproxy.runtime.reloading import Read
from edgeproxy.runtime.supervisor import Supervisor

log = logging.getLogger(__name__)


def run(config: Config, read: Read | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return 0 after an orderly end.

    `read` reads the configuration again at a reload; without it only certificates are looked at.

    Raises:
        UnavailableError: an address cannot be bound, or no process that serves stays alive.
        ConfigError: a certificate cannot be used any more.
    """
    application_log.configure(config.log.level, config.log.format)
    workers = slices.workers(config, len(os.sched_getaffinity(0)))
    descriptors.allow_connections(slices.share_of_worker(config, workers).limits.max_connections)
    supervisor = Supervisor(config, workers, log.info, read=read)
    gc.freeze()  # what all processes share: no collection looks at it, and none copies its pages
    return supervisor.run()
