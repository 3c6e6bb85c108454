"""The well-behaved client: hits at a steady rate on connections of its own, whatever they take.

python -m bench.floods.client PORT SECONDS REQUESTS_PER_SECOND PROTOCOL

The protocol is h2 or h3. Prints JSON: milliseconds from each request's sending to its whole answer,
and, as a control, how late each planned moment came: what the client's own core made it wait.
"""

import json
import selectors
import socket
import sys
import time
from collections import deque
from typing import Protocol

from bench.floods import frames
from bench.floods.attacks import HIT, Attack
from bench.floods.peer import Peer, Tls
from bench.floods.quic_caller import QuicCaller

CONNECTIONS = 4
LEAD_SECONDS = 1.0  # asked, but not counted: the attacker starts meanwhile
_PATIENCE_SECONDS = 10.0
_TIMER_SECONDS = 0.005


class Caller(Protocol):
    """One connection; `latencies` are in seconds, `waiting` when requests were sent, by stream."""

    waiting: dict[int, float]
    latencies: list[float]

    @property
    def socket(self) -> socket.socket:
        """What to watch."""

    @property
    def is_open(self) -> bool:
        """Whether the handshake is over."""

    @property
    def wants_to_write(self) -> bool:
        """Whether to wait until the socket takes more."""

    def attend(self, events: int) -> None:
        """Do what the socket allows, 0 for nothing but what time asks for."""

    def ask(self) -> None:
        """Send one request."""


class TcpCaller:
    """A `Caller` of HTTP/2; answers come in order, as one stream each."""

    def __init__(self, port: int) -> None:
        begin = frames.PREFACE + frames.settings() + frames.frame(frames.SETTINGS, 1, 0)
        begin += frames.window_update(0, 2**31 - 70_000)
        self.peer = Peer(port, "127.0.0.1", Attack("client", lambda: iter([begin])), Tls("h2"))
        self.waiting: dict[int, float] = {}
        self.latencies: list[float] = []
        self._stream = 1
        self._pending = b""

    @property
    def socket(self) -> socket.socket:
        """See `Caller`."""
        return self.peer.socket

    @property
    def is_open(self) -> bool:
        """See `Caller`."""
        return self.peer.is_open

    @property
    def wants_to_write(self) -> bool:
        """See `Caller`."""
        return not self.peer.is_open or self.peer.wants_to_send

    def attend(self, events: int) -> None:
        """See `Caller`."""
        if events & selectors.EVENT_READ:
            self.peer.readable(self.take)
        if events & selectors.EVENT_WRITE:
            self.peer.writable()

    def ask(self) -> None:
        """Send one request."""
        self.waiting[self._stream] = time.perf_counter()
        self.peer.say(frames.headers(self._stream, frames.request(HIT)))
        self._stream += 2

    def take(self, data: bytes) -> None:
        """Find the ends of answers."""
        data = self._pending + data
        at = 0
        while len(data) - at >= 9:
            end = at + 9 + int.from_bytes(data[at : at + 3], "big")
            if end > len(data):
                break
            if data[at + 3] == frames.DATA and data[at + 4] & frames.END_STREAM:
                stream = int.from_bytes(data[at + 5 : at + 9], "big")
                self.latencies.append(time.perf_counter() - self.waiting.pop(stream))
            at = end
        self._pending = data[at:]


def run(port: int, seconds: float, rate: float, protocol: str) -> dict[str, list[float] | int]:
    """Ask at a steady rate; return milliseconds."""
    selector = selectors.DefaultSelector()
    make: type[TcpCaller | QuicCaller] = QuicCaller if protocol == "h3" else TcpCaller
    callers: deque[Caller] = deque(make(port) for _ in range(CONNECTIONS))
    for caller in callers:
        selector.register(caller.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, caller)
    while not all(caller.is_open for caller in callers):
        _attend(selector, 0.05)
    print("ready", flush=True)  # a flood may begin
    lateness: list[float] = []
    begin = time.perf_counter()
    for number in range(int((LEAD_SECONDS + seconds) * rate)):
        planned = begin + number / rate
        if number == int(LEAD_SECONDS * rate):
            lateness.clear()
            for caller in callers:
                caller.latencies.clear()
        _attend(selector, planned - time.perf_counter())
        lateness.append(time.perf_counter() - planned)
        callers[0].ask()
        callers.rotate()
    deadline = time.perf_counter() + _PATIENCE_SECONDS
    while any(each.waiting for each in callers) and time.perf_counter() < deadline:
        _attend(selector, 0.01)
    found = sorted(latency * 1000 for each in callers for latency in each.latencies)
    return {
        "latencies": found,
        "lateness": sorted(late * 1000 for late in lateness),
        "unanswered": sum(len(each.waiting) for each in callers),
    }


def _attend(selector: selectors.BaseSelector, seconds: float) -> None:
    """Do what the sockets want for so long."""
    until = time.perf_counter() + seconds
    while (left := until - time.perf_counter()) > 0:
        for key, events in selector.select(min(left, _TIMER_SECONDS)):
            caller: Caller = key.data
            caller.attend(events)
            wanted = selectors.EVENT_WRITE if caller.wants_to_write else 0
            if key.events != wanted | selectors.EVENT_READ:
                selector.modify(key.fileobj, wanted | selectors.EVENT_READ, caller)
        for key in selector.get_map().values():
            key.data.attend(0)


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), sys.argv[4])))
