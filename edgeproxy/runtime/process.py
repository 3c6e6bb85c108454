"""The process around a point of presence: event loop, logging, limits, signals, exit.

The first SIGTERM or SIGINT drains; the second one ends what is left at once. SIGHUP looks for new
certificates.
"""

import logging

import uvloop

from edgeproxy.config.schema import Config
from edgeproxy.observe import logging as application_log
from edgeproxy.runtime import descriptors
from edgeproxy.runtime.signals import told_by_signals
from edgeproxy.runtime.worker import serve

log = logging.getLogger(__name__)

# What a process needs beside its clients: listeners, connections to origins, files while loading.
_OWN_DESCRIPTORS = 256


def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; return 0 after an orderly end.

    Raises:
        UnavailableError: an address cannot be bound.
        ConfigError: a certificate cannot be used any more.
    """
    application_log.configure(config.log.level, config.log.format)
    wanted = config.limits.max_connections + _OWN_DESCRIPTORS
    if (allowed := descriptors.allow(wanted)) < wanted:
        log.warning("%d open files are allowed, max_connections needs %d", allowed, wanted)
    uvloop.run(_until_told(config))
    return 0


async def _until_told(config: Config) -> None:
    await serve(config, told_by_signals(), log.info)
