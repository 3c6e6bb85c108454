"""A UDP relay that does to datagrams what networks do, by a seed.

async with relaying(listener.address, Weather(loss=0.05, seed=1)) as relay:
    async with connecting(relay.address, ...) as client: ...

Datagrams may be lost, overtaken, doubled or changed, in both directions; `rebind` goes on from
another port, as a NAT does that has forgotten.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.support.quic_endpoint import bound

Address = tuple[str, int]


@dataclass(frozen=True)
class Weather:
    """Shares of datagrams; `seed` makes the same choices in the same order."""

    loss: float = 0.0
    overtaken: float = 0.0
    doubled: float = 0.0
    changed: float = 0.0
    seed: int = 1


class Relay:
    def __init__(self, target: Address, weather: Weather) -> None:
        self._target = target
        self._weather = weather
        self._chance = random.Random(weather.seed)
        self._inside = bound()
        self._outside = bound()
        self._client: Address | None = None
        self._held: dict[object, bytes] = {}  # one that others overtake, by where it goes
        self.to_server = 0
        self.lost = 0
        self.rebound = 0
        self.rebind_every: int | None = None  # datagrams towards the server

    @property
    def address(self) -> Address:
        return self._inside.getsockname()

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._inside, self._from_client)
        loop.add_reader(self._outside, self._from_server)

    def close(self) -> None:
        loop = asyncio.get_running_loop()
        for sock in (self._inside, self._outside):
            loop.remove_reader(sock)
            sock.close()

    def rebind(self) -> None:
        """Go on towards the server from another port; what comes to the old one is lost."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._outside)
        self._outside.close()
        self._outside = bound()
        loop.add_reader(self._outside, self._from_server)
        self.rebound += 1

    def _from_client(self) -> None:
        for data, address in _all_of(self._inside):
            self._client = address
            self.to_server += 1
            if self.rebind_every and self.to_server % self.rebind_every == 0:
                self.rebind()
            self._pass(data, "server")

    def _from_server(self) -> None:
        for data, _ in _all_of(self._outside):
            self._pass(data, "client")

    def _pass(self, data: bytes, to: str) -> None:
        weather, chance = self._weather, self._chance
        if chance.random() < weather.loss:
            self.lost += 1
            return
        if chance.random() < weather.changed:
            at = chance.randrange(len(data))
            data = data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
        if to not in self._held and chance.random() < weather.overtaken:
            self._held[to] = data
            return
        self._send(data, to)
        if chance.random() < weather.doubled:
            self._send(data, to)
        if to in self._held and chance.random() < 0.5:
            self._send(self._held.pop(to), to)

    def _send(self, data: bytes, to: str) -> None:
        try:
            if to == "server":
                self._outside.sendto(data, self._target)
            elif self._client is not None:
                self._inside.sendto(data, self._client)
        except BlockingIOError:
            self.lost += 1


def _all_of(sock):
    while True:
        try:
            yield sock.recvfrom(4096)
        except (BlockingIOError, OSError):
            return


@asynccontextmanager
async def relaying(target: Address, weather: Weather) -> AsyncIterator[Relay]:
    relay = Relay(target, weather)
    relay.start()
    try:
        yield relay
    finally:
        relay.close()
