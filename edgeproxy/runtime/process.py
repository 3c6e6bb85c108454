"""The process around a point of presence: event loop, logging, limits, signals, exit.

The first SIGTERM or SIGINT drains; the second one ends what is left at once. SIGHUP
reloads configuration and certificates.
"""

import logging

import uvloop

from edgeproxy.config.schema import Config
from edgeproxy.observe import logging as application_log
from edgeproxy.runtime import descriptors
from edgeproxy.runtime.reloading import Read
from edgeproxy.runtime.signals import told_by_signals
from edgeproxy.runtime.worker import serve

log = logging.getLogger(__name__)


def run(config: Config, read: Read | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return 0 after an orderly end.

    `read` reads the configuration again at a reload; without it only certificates are looked at.

    Raises:
        UnavailableError: an address cannot be bound.
        ConfigError: a certificate cannot be used any more.
    """
    application_log.configure(config.log.level, config.log.format)
    descriptors.allow_connections(config.limits.max_connections)
    uvloop.run(_until_told(config, read))
    return 0


async def _until_told(config: Config, read: Read | None) -> None:
    await serve(config, told_by_signals(), log.info, read)
