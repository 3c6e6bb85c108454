"""The attacking process: one flood, on several connections, as fast as one core gives.

python -m bench.floods.attacker PORT NAME SECONDS SOURCE

A connection that the server ends is made again at once. Prints JSON: how connections ended.
"""

import json
import resource
import selectors
import sys
import time
from collections import Counter

from bench.floods.attacks import ATTACKS, Attack
from bench.floods.peer import Peer, Tls

_MOST_NEW_AT_ONCE = 50


class Attacker:
    """All connections of one flood."""

    def __init__(self, port: int, attack: Attack, source: str) -> None:
        self._port = port
        self._attack = attack
        self._source = source
        self._tls = None if attack.protocol == "tcp" else Tls(attack.protocol)
        self._selector = selectors.DefaultSelector()
        self._peers: dict[Peer, int] = {}
        self.ends: Counter[str] = Counter()
        self.opened = 0
        self.sent_bytes = 0

    def run(self, seconds: float) -> None:
        """Attack for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._connect()
            self._choose()
            for key, events in self._selector.select(0.01):
                peer: Peer = key.data
                if events & selectors.EVENT_READ:
                    peer.readable()
                if events & selectors.EVENT_WRITE:
                    peer.writable()
                if peer.ended:
                    self._forget(peer)
        alive = len(self._peers)
        for peer in list(self._peers):
            self.sent_bytes += peer.sent_bytes
            peer.close()
        if alive:
            self.ends["alive at the end"] = alive

    def _connect(self) -> None:
        for _ in range(min(_MOST_NEW_AT_ONCE, self._attack.connections - len(self._peers))):
            peer = Peer(self._port, self._source, self._attack, self._tls)
            self.opened += 1
            self._peers[peer] = selectors.EVENT_READ | selectors.EVENT_WRITE
            self._selector.register(peer.socket, self._peers[peer], peer)

    def _choose(self) -> None:
        """Watch for room only where something is to be sent."""
        for peer, before in self._peers.items():
            is_connecting = not peer.is_open and not peer.sent_bytes
            events = selectors.EVENT_WRITE if peer.wants_to_send or is_connecting else 0
            if self._attack.reads or not peer.is_open or not events:
                events |= selectors.EVENT_READ
            if events != before:
                self._selector.modify(peer.socket, events, peer)
                self._peers[peer] = events

    def _forget(self, peer: Peer) -> None:
        self.ends[peer.ended] += 1
        self.sent_bytes += peer.sent_bytes
        self._selector.unregister(peer.socket)
        peer.close()
        del self._peers[peer]


def main() -> None:
    """Attack as the command line says."""
    port, name, seconds, source = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_NOFILE, (10_000, 10_000))
    attack = next(each for each in ATTACKS if each.name == name)
    attacker = Attacker(int(port), attack, source)
    attacker.run(float(seconds))
    found = {
        "connections": attacker.opened,
        "sent_bytes": attacker.sent_bytes,
        "ends": dict(attacker.ends.most_common()),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
