"""Signals as events: SIGTERM and SIGINT ask to end in order, a second one at once; SIGHUP to reload."""

import asyncio
import signal


class Signals:
    """Hears them on the running loop.

    `stop` is set by the first of SIGTERM and SIGINT, `hurry` by the second, `reload` by SIGHUP:
    whoever obeys that clears it.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        self.reload = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self.reload.set)

    def _end(self) -> None:
        (self.hurry if self.stop.is_set() else self.stop).set()
