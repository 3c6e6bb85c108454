"""What the process is told from outside, as events."""

import asyncio
import signal
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Told:
    """`stop` asks to end in order, `hurry` to end what is left at once, `reload` to look for news.

    Whoever obeys `reload` clears it.
    """

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)


def told_by_signals() -> Told:
    """Return what signals tell, heard on the running loop.

    The first of SIGTERM and SIGINT asks to stop, the second one to hurry; SIGHUP to reload.
    """
    told = Told()

    def end() -> None:
        (told.hurry if told.stop.is_set() else told.stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, told.reload.set)
    return told
