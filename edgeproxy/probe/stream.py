"""TLS over a TCP stream, through memory BIOs: what both a handshake and a request need.

Knows nothing of what is said inside. Deadlines are the caller's; how much is read is bounded here.
"""

import asyncio
import os
import socket
from typing import Final

from OpenSSL import SSL

READ_BYTES: Final = 65536


class TlsStream:
    """One connection; `bytes_max` is how many octets the server may send over it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connection: SSL.Connection,
        *,
        bytes_max: int,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._bytes_left = bytes_max
        self.connection = connection

    async def shake_hands(self) -> None:
        """Complete the handshake.

        Raises:
            SSL.Error: either side refused.
            EOFError: the server closed the connection.
        """
        while True:
            try:
                self.connection.do_handshake()
            except SSL.WantReadError:
                await self.exchange()
            else:
                return
            finally:
                # our Finished, or an alert that tells the server's log why we left
                self._writer.write(drained(self.connection))

    async def exchange(self) -> None:
        """Send what is to be sent, and take what comes.

        Raises:
            EOFError: the server closed the connection.
        """
        self._writer.write(drained(self.connection))
        data = await self._reader.read(READ_BYTES)
        self._bytes_left -= len(data)
        if not data:
            raise EOFError("the server closed the connection")
        if self._bytes_left < 0:
            raise EOFError("the server sends without end")
        self.connection.bio_write(data)

    async def send(self, data: bytes) -> None:
        """Send plaintext."""
        if data:
            self.connection.sendall(data)
            self._writer.write(drained(self.connection))
            await self._writer.drain()

    async def receive(self) -> bytes:
        """Return the next plaintext, b"" at the end that was announced by close_notify.

        Raises:
            EOFError: the connection was closed without one.
        """
        while True:
            try:
                return self.connection.recv(READ_BYTES)
            except SSL.WantReadError:
                await self.exchange()
            except SSL.ZeroReturnError:
                return b""

    def say_goodbye(self) -> None:
        """Send close_notify."""
        self.connection.shutdown()
        self._writer.write(drained(self.connection))


def drained(connection: SSL.Connection) -> bytes:
    """Return all that a connection wants to have sent."""
    parts = []
    while True:
        try:
            parts.append(connection.bio_read(READ_BYTES))
        except SSL.WantReadError:
            return b"".join(parts)


def reason_of(error: SSL.Error) -> str:
    """Return OpenSSL's words, of the alert where one was received."""
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    words = str(entries[-1][2]) if entries else ""
    for prefix in ("ssl/tls alert ", "tlsv1 alert ", "tlsv13 alert ", "sslv3 alert "):
        if words.startswith(prefix):
            return f"alert: {words.removeprefix(prefix)}"
    return words or "the handshake broke off"


def words_of(error: OSError | EOFError) -> str:
    """Return what went wrong with a connection, in a few words."""
    if isinstance(error, socket.gaierror):
        return (error.strerror or "the name is not known").lower()
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or "the connection broke off"
