"""The process around a point of presence: event loop, logging, signals, exit."""

import asyncio
import logging
import signal

import uvloop

from edgeproxy.config.schema import Config
from edgeproxy.observe import logging as application_log
from edgeproxy.runtime.worker import serve

log = logging.getLogger(__name__)


def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; return 0 after an orderly end.

    Raises:
        UnavailableError: an address cannot be bound.
        ConfigError: a certificate cannot be used any more.
    """
    application_log.configure(config.log.level, config.log.format)
    uvloop.run(_until_told(config))
    return 0


async def _until_told(config: Config) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(config, stop=stop, announce=log.info)
