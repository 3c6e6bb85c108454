"""What a child hears from the main process, on its loop.

Every child knows three orders: `serve`, once it has said that it is prepared, `drain`, to end in
order, and `hurry`, to end at once. A main process that is gone gives the last two. Others are the
child's own; `hear` is told of them.
"""

import asyncio
import logging
import os
from collections.abc import Callable

from edgeproxy.runtime.link import Link, LinkEndedError, Message, Received

log = logging.getLogger(__name__)

Hear = Callable[[Message, int | None], object]
"""Takes a message and the descriptor that came with it, which is the taker's to close."""


class Orders:
    """The child's end of its link; `close` it in every case."""

    def __init__(self, link: Link, hear: Hear) -> None:
        self.drain = asyncio.Event()
        self.hurry = asyncio.Event()
        self._told = asyncio.Event()
        self._link = link
        self._hear = hear
        self._loop = asyncio.get_running_loop()
        self._alive: asyncio.TimerHandle | None = None
        self._loop.add_reader(link.fileno(), self._read)

    def report(self, word: str, descriptor: int | None = None, **more: int) -> bool:
        """Tell the main process something; False where it does not take it."""
        return self._link.send({"is": word, **more}, descriptor)

    async def may_serve(self) -> bool:
        """Say that everything is prepared, and wait for `serve`; False where it is to end."""
        self.report("prepared")
        await self._told.wait()
        return not self.drain.is_set()

    def report_alive(self, every_seconds: float) -> None:
        """Tell the main process again and again that the loop turns, until `close`."""
        self.report("alive")
        self._alive = self._loop.call_later(every_seconds, self.report_alive, every_seconds)

    def close(self) -> None:
        """Hear nothing more."""
        if self._alive is not None:
            self._alive.cancel()
        self._loop.remove_reader(self._link.fileno())

    def _read(self) -> None:
        try:
            for received in self._link.received():
                self._take(received)
        except LinkEndedError:
            self.close()
            self._end(self.drain, self.hurry)

    def _take(self, received: Received) -> None:
        message, descriptor = received
        match message["do"]:
            case "serve":
                self._told.set()
            case "drain":
                self._end(self.drain)
            case "hurry":
                self._end(self.drain, self.hurry)
            case _:
                self._pass_on(message, descriptor)

    def _end(self, *orders: asyncio.Event) -> None:
        for each in (*orders, self._told):
            each.set()

    def _pass_on(self, message: Message, descriptor: int | None) -> None:
        try:
            self._hear(message, descriptor)
        except Exception:
            log.exception("an order was not understood")
            if descriptor is not None:
                os.close(descriptor)
