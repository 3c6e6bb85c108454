"""A `TlsEngine` and a client in memory, with the wire between them in the test's hands."""

import contextlib

from OpenSSL import SSL

from edgeproxy.tls.engine import TlsEngine, ciphertext_in
from tests.support.handshake import client_context


class EnginePair:
    """`to_client` is what the engine has sent and nobody has carried over yet."""

    def __init__(self, server: SSL.Connection, *, context: SSL.Context | None = None) -> None:
        self.to_client = bytearray()
        self.sends: list[int] = []
        self.engine = TlsEngine(server, self._send)
        self.key_log: list[str] = []
        context = context or client_context()
        context.set_keylog_callback(lambda _, line: self.key_log.append(line.decode()))
        self.client = SSL.Connection(context, None)
        self.client.set_connect_state()
        self.read: list[bytes] = []

    def _send(self, ciphertext: memoryview) -> None:
        self.sends.append(len(ciphertext))
        self.to_client += ciphertext

    @property
    def plaintext(self) -> bytes:
        return b"".join(self.read)

    def feed(self, ciphertext: bytes) -> None:
        """Hand ciphertext to the engine, as a connection does: a buffer's worth at a time."""
        for at in range(0, len(ciphertext), len(ciphertext_in)):
            piece = ciphertext[at : at + len(ciphertext_in)]
            size = len(piece)
            ciphertext_in[:size] = piece
            if not self.engine.is_established:
                if not self.engine.handshake(size):
                    continue
                size = 0
            self.engine.read(size, self.read.append)

    def from_client(self) -> bytes:
        """Take what the client has to send."""
        taken = bytearray()
        while True:
            try:
                taken += self.client.bio_read(65536)
            except SSL.WantReadError:
                return bytes(taken)

    def carry(self) -> None:
        """Carry over to the client what the engine has sent."""
        if self.to_client:
            self.client.bio_write(bytes(self.to_client))
            self.to_client.clear()

    def shake_hands(self, *, cut: int = 65536) -> "EnginePair":
        """Complete the handshake; the client's bytes come in pieces of `cut`."""
        while not self.engine.is_established:
            with contextlib.suppress(SSL.WantReadError):
                self.client.do_handshake()
            data = self.from_client()
            for at in range(0, len(data), cut):
                self.feed(data[at : at + cut])
            self.carry()
        return self

    def send(self, data: bytes) -> bytes:
        """Let the client encrypt, and return the ciphertext."""
        at, taken = 0, bytearray()
        while at < len(data):
            at += self.client.send(data[at : at + 16384])
            taken += self.from_client()
        return bytes(taken)

    def received(self) -> bytes:
        """Carry over and return the plaintext that the client reads."""
        self.carry()
        taken = bytearray()
        while True:
            try:
                taken += self.client.recv(65536)
            except SSL.WantReadError:
                return bytes(taken)
