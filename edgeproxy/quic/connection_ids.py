"""Connection IDs that name the worker whose connection it is (RFC 9000 section 5.1).

A datagram reaches the worker that its first octet of the destination ID says, modulo the number of
workers: a program in the kernel reads it (`runtime/udp_sockets`). So a connection stays with its
worker when the client's address changes. The client chooses the ID of its first packets at random;
whatever worker that leads to gives IDs of its own from there on.

The octet tells an observer no more than the worker, which is the same for thousands of connections;
the other seven are random, so IDs of one connection cannot be linked (section 5.1, 9.5).
"""

import os
import secrets
from typing import Final

CONNECTION_ID_BYTES: Final = 8


class Naming:
    """Makes the connection IDs of one worker among several."""

    def __init__(self, worker: int = 0, workers: int = 1) -> None:
        if not 0 <= worker < workers <= 256:
            raise ValueError("workers are at most 256, and numbered from 0")
        self._worker = worker
        self._workers = workers
        self._choices = len(range(worker, 256, workers))

    def new(self) -> bytes:
        """Return a fresh one."""
        first = self._worker + self._workers * secrets.randbelow(self._choices)
        return bytes([first]) + os.urandom(CONNECTION_ID_BYTES - 1)

    def is_ours(self, connection_id: bytes) -> bool:
        """Whether it leads to this worker; another's may come astray when workers are replaced."""
        return bool(connection_id) and connection_id[0] % self._workers == self._worker
