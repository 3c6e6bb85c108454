"""The process that `edgeproxy serve` becomes: logging, limits, and the supervisor of all others.

The first SIGTERM or SIGINT drains; the second one ends what is left at once. SIGHUP looks for new
certificates.
"""

import gc
import logging
import os

from edgeproxy.config import compile as slices
from edgeproxy.config.schema import Config
from edgeproxy.observe import logging as application_log
from edgeproxy.runtime import descriptors
from edgeproxy.runtime.supervisor import Supervisor

log = logging.getLogger(__name__)

# What a process needs beside its clients: listeners, connections to origins, files while loading.
_OWN_DESCRIPTORS = 256


def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; return 0 after an orderly end.

    Raises:
        UnavailableError: an address cannot be bound, or no process that serves stays alive.
        ConfigError: a certificate cannot be used any more.
    """
    application_log.configure(config.log.level, config.log.format)
    workers = slices.workers(config, len(os.sched_getaffinity(0)))
    share = slices.share_of_worker(config, workers)
    wanted = share.limits.max_connections + _OWN_DESCRIPTORS
    if (allowed := descriptors.allow(wanted)) < wanted:
        log.warning("%d open files are allowed, max_connections needs %d", allowed, wanted)
    supervisor = Supervisor(config, workers, log.info)
    gc.freeze()  # what all processes share: no collection looks at it, and none copies its pages
    return supervisor.run()
