"""A PoP that hands itself over: real sockets and the real line, without any process."""

import selectors
import socket
from contextlib import ExitStack

from edgeproxy.control.socket_file import bind_private
from edgeproxy.runtime.giving import Giving
from edgeproxy.runtime.handover import Line, line_path
from tests.support.clock import ManualClock


class Giver:
    """What `Giving` asks, and what it was told; `turn` lets it hear."""

    def __init__(self, folder, gifts=()):
        self.why_not = ""
        self.said = list(gifts)
        self.successors = []
        self.handed_over = None
        self.clock = ManualClock()
        self.path = line_path(folder, "fra1")
        self._selector = selectors.DefaultSelector()
        listener = bind_private(self.path, socket.SOCK_SEQPACKET)
        self.giving = Giving(self, listener, self._selector, self.clock.monotonic)

    def why_not_now(self):
        return self.why_not

    def gifts(self):
        return [*self.said, ({"is": "all", "pid": 7, "manager": {}}, [])]

    def succession_changed(self):
        self.successors.append(self.giving.successor)

    def hand_over(self, successor):
        self.handed_over = successor

    def turn(self, seconds=10):
        for key, _ in self._selector.select(seconds):
            key.data()

    def successor(self) -> Line:
        """Return the line of one that has connected, and was seen."""
        line = self.connected()
        self.turn()
        return line

    def connected(self) -> Line:
        with ExitStack() as held:
            sock = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            sock.settimeout(10)
            sock.connect(str(self.path))
            held.pop_all()
        return Line(sock)

    def close(self):
        self.giving.close()
        self._selector.close()
