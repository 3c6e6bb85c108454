"""SIGTERM and SIGINT as events: the first one asks to end in order, the second one at once."""

import asyncio
import signal


class EndSignals:
    """Hears both signals on the running loop; `stop` is set by the first, `hurry` by the second."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._hear)

    def _hear(self) -> None:
        (self.hurry if self.stop.is_set() else self.stop).set()
