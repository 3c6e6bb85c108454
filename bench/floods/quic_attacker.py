"""The attacking process over QUIC: one flood, on several connections, at its rate.

python -m bench.floods.quic_attacker PORT NAME SECONDS SOURCE

A connection that the server ends is made again at once. Prints JSON: how connections ended.
"""

import json
import select
import sys
import time
from collections import Counter

from bench.floods.quic_attacks import QUIC_ATTACKS
from bench.floods.quic_peer import QuicAttack, QuicPeer

_TURN_SECONDS = 0.002


class QuicAttacker:
    """All connections of one flood; each takes so many steps at most, if that is said."""

    def __init__(
        self,
        port: int,
        attack: QuicAttack,
        source: str,
        *,
        steps_max: int | None = None,
        is_stubborn: bool = True,
    ) -> None:
        self._port = port
        self._attack = attack
        self._source = source
        self._steps_max = steps_max
        self._is_stubborn = is_stubborn
        self.peers: list[QuicPeer] = []
        self.ends: Counter[str] = Counter()
        self.opened = 0
        self.sent_bytes = self.packets = 0

    def run(self, seconds: float) -> None:
        """Attack for so long, or until all is said; connections that live stay open."""
        until = time.monotonic() + seconds
        for _ in range(self._attack.connections):
            self._connect()
        while time.monotonic() < until and not all(peer.is_done for peer in self.peers):
            living = [peer for peer in self.peers if not peer.ended]
            select.select([sock for peer in living for sock in peer.sockets], (), (), _TURN_SECONDS)
            for peer in living:
                peer.turn()
                if peer.ended and self._is_stubborn:
                    self._forget(peer)
                    self._connect()

    def close(self) -> None:
        """End what is left."""
        alive = sum(not peer.ended for peer in self.peers)
        for peer in list(self.peers):
            self._forget(peer)
        if alive:
            self.ends["alive at the end"] = alive

    def _connect(self) -> None:
        self.opened += 1
        self.peers.append(
            QuicPeer(self._port, self._source, self._attack, steps_max=self._steps_max)
        )

    def _forget(self, peer: QuicPeer) -> None:
        if peer.ended:
            self.ends[peer.ended] += 1
        self.sent_bytes += peer.sent_bytes
        self.packets += peer.steps
        peer.close()
        self.peers.remove(peer)


def main() -> None:
    """Attack as the command line says."""
    port, name, seconds, source = sys.argv[1:]
    attack = next(each for each in QUIC_ATTACKS if each.name == name)
    attacker = QuicAttacker(int(port), attack, source)
    attacker.run(float(seconds))
    attacker.close()
    found = {
        "connections": attacker.opened,
        "sent_bytes": attacker.sent_bytes,
        "packets": attacker.packets,
        "ends": dict(attacker.ends.most_common()),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
