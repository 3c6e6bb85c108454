"""A gate between a test and the code under test: by event, never by time."""

import asyncio


class Barrier:
    """Holds everybody who passes until the test opens it, and tells how many are waiting."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._changed = asyncio.Event()
        self.waiting = 0

    async def passed(self) -> None:
        """Wait until the gate is open."""
        self.waiting += 1
        self._changed.set()
        try:
            await self._opened.wait()
        finally:
            self.waiting -= 1

    def open(self) -> None:
        self._opened.set()

    async def reached(self, count: int = 1) -> None:
        """Wait until that many wait at the gate."""
        while self.waiting < count:
            self._changed.clear()
            await self._changed.wait()


async def settle(rounds: int = 20) -> None:
    """Let everything that is ready run; nothing here depends on how long that takes."""
    for _ in range(rounds):
        await asyncio.sleep(0)
