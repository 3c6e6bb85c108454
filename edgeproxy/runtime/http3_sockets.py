"""The UDP sockets for HTTP/3, as the main process keeps them: for its whole life, one per worker.

They are not handed over to a successor, since a datagram has to reach the process that knows its
connection: whoever takes over binds them when the other one has ended, and until then clients that
are new to it come over TCP. So workers get theirs by message, at any time, and inherit none.
"""

import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from edgeproxy.errors import UnavailableError
from edgeproxy.quic.secrets import QuicSecrets
from edgeproxy.runtime.children import Child
from edgeproxy.runtime.sockets import Address, close_all
from edgeproxy.runtime.udp_sockets import bind_udp
from edgeproxy.runtime.worker import QuicShare

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 1.0


class Http3Sockets:
    """Empty `addresses`: there is no HTTP/3; `close` it in every case.

    `addresses` are where it is to answer. `due` is when to try again, by the monotonic clock;
    None when there is nothing to do.
    """

    def __init__(
        self, addresses: Sequence[Address], workers: int, monotonic: Callable[[], float]
    ) -> None:
        self.due: float | None = None
        self.addresses = addresses
        self._secrets = QuicSecrets()
        self._monotonic = monotonic
        self._of_worker: list[list[socket.socket]] = [[] for _ in range(workers)]
        self._is_open = not addresses

    @property
    def answers(self) -> bool:
        """Whether there is HTTP/3 now."""
        return any(self._of_worker)

    def open(self, *, is_late: bool = False) -> None:
        """Bind every address or none; `is_late`: leave it to `open_late`.

        Raises:
            UnavailableError: an address cannot be bound.
        """
        if not self._is_open and not is_late:
            self._of_worker = bind_udp(self.addresses, len(self._of_worker))
            self._is_open, self.due = True, None

    def share(self, index: int) -> QuicShare:
        """Return what a worker has in common with the others."""
        return QuicShare(self._secrets, index, len(self._of_worker))

    def open_late(self, workers: Sequence[Child]) -> None:
        """Bind what a PoP that was taken over has left, and give it to those who are there.

        Where that fails it is tried again: who serves goes on without HTTP/3 meanwhile.
        """
        now = self._monotonic()
        if self._is_open or (self.due is not None and now < self.due):
            return
        is_first, self.due = self.due is None, now + RETRY_SECONDS
        try:
            self.open()
        except UnavailableError as error:
            if is_first:
                log.error("no HTTP/3 yet: %s", error)  # noqa: TRY400 - says all
            return
        log.info("HTTP/3 has been taken over, too")
        for index, worker in enumerate(workers):
            self.give(index, worker)

    def give(self, index: int, worker: Child) -> None:
        """Let a worker read its sockets."""
        for sock in self._of_worker[index]:
            worker.tell({"do": "udp"}, sock.fileno())

    def all(self) -> Iterator[socket.socket]:
        """Yield what no child may hold of these but by message."""
        for sockets in self._of_worker:
            yield from sockets

    def close(self) -> None:
        """Close everything."""
        close_all(self.all())
