"""One connection of an attacker or a client: socket, TLS in memory, script; never blocks.

Reads and forgets, but for the last octets: they tell how the server ended it.
"""

import contextlib
import hmac
import os
import socket
import ssl
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.floods import frames
from bench.floods.attacks import Attack

_PIECE = 65_536
_TAIL = 256
_RESET = struct.pack("ii", 1, 0)


class Tls:
    """A client context per protocol, for every connection of a process."""

    def __init__(self, protocol: str) -> None:
        context = self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["http/1.1" if protocol == "http/1.1" else "h2"])
        self.key_log = Path()
        if protocol == "key-update":
            handle, name = tempfile.mkstemp(prefix="edgeproxy-keys-")
            os.close(handle)
            self.key_log = Path(name)
            context.keylog_filename = name


class Peer:
    """A connection; `ended` says how it ended, "" while it lives."""

    def __init__(self, port: int, source: str, attack: Attack, tls: Tls | None) -> None:
        self.attack = attack
        self.ended = ""
        self.is_open = False
        self.resumes_at = 0.0
        self.sent_bytes = 0
        self.script = attack.script()
        self._is_script_over = False
        self._tls = tls
        self._tail = b""
        self._out = b""
        self._updates: KeyUpdates | None = None
        self._in, self._sealed = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = (
            tls.context.wrap_bio(self._in, self._sealed, server_hostname="localhost")
            if tls
            else None
        )
        self.socket = socket.socket()
        self.socket.setblocking(False)  # noqa: FBT003 - the method takes no keyword
        if not attack.reads:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.bind((source, 0))
        self.socket.connect_ex(("127.0.0.1", port))

    @property
    def wants_to_send(self) -> bool:
        """Whether anything is ready for the socket."""
        if self._out or not self.is_open:
            return bool(self._out) or self._ssl is None
        return not self._is_script_over and time.monotonic() >= self.resumes_at

    def close(self) -> None:
        """Drop the connection without a state of TIME_WAIT."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.socket.close()

    def readable(self, taken: Callable[[bytes], object] | None = None) -> None:
        """Take what has come; `taken` gets the plaintext."""
        if self.ended or (self.is_open and not self.attack.reads):
            return
        try:
            data = self.socket.recv(_PIECE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._end("RST")
            return
        if not data:
            self._end("FIN")
            return
        if self._ssl is None or self._updates is not None:
            return
        self._in.write(data)
        if not self.is_open:
            self._shake_hands()
            return
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            while plain := self._ssl.read(_PIECE):
                self._tail = (self._tail + plain)[-_TAIL:]
                if taken is not None:
                    taken(plain)

    def writable(self) -> None:
        """Say more."""
        if self.ended:
            return
        if not self.is_open:
            if self._ssl is None:
                self.is_open = True
            else:
                self._shake_hands()
        if self.is_open and len(self._out) < _PIECE:
            self._produce()
        self._send()

    def say(self, data: bytes) -> None:
        """Send something beside the script."""
        self._seal(data)
        self._send()

    def _shake_hands(self) -> None:
        assert self._ssl is not None
        try:
            self._ssl.do_handshake()
            self.is_open = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._end(f"TLS: {error.reason}")
            return
        self._out += self._sealed.read()
        if self.is_open and self._tls is not None and self._tls.key_log != Path():
            self._send()
            self._updates = KeyUpdates(_client_secret(self._tls.key_log))

    def _produce(self) -> None:
        if self._updates is not None:
            self._out += self._updates.records(200)
            return
        if time.monotonic() < self.resumes_at:
            return
        try:
            step = next(self.script)
        except StopIteration:
            self._is_script_over = True
            if not self.attack.holds:
                self._send()
                self._end("done")
            return
        if isinstance(step, float):
            self.resumes_at = time.monotonic() + step
        else:
            self._seal(step)

    def _seal(self, data: bytes) -> None:
        if self._ssl is None:
            self._out += data
        else:
            self._ssl.write(data)
            self._out += self._sealed.read()

    def _send(self) -> None:
        try:
            sent = self.socket.send(self._out) if self._out else 0
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.readable()  # what the server said last may still be there
            self._end("RST")
            return
        self.sent_bytes += sent
        self._out = self._out[sent:]

    def _end(self, how: str) -> None:
        if not self.ended:
            code = frames.goaway_code(self._tail) if self.attack.protocol == "h2" else ""
            self.ended = f"GOAWAY {code}" if code else how


class KeyUpdates:
    """TLS 1.3 records that hold nothing but KeyUpdate, each answered with one (RFC 8446, 4.6.3)."""

    _MESSAGE = bytes((24, 0, 0, 1, 1)) + b"\x16"  # update_requested; handshake is the inner type

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._digest = "sha384" if len(secret) == 48 else "sha256"

    def records(self, number: int) -> bytes:
        """Return so many records; the keys change behind each."""
        made = []
        for _ in range(number):
            key = AESGCM(self._expand(b"key", 32 if self._digest == "sha384" else 16))
            head = b"\x17\x03\x03" + (len(self._MESSAGE) + 16).to_bytes(2, "big")
            nonce = self._expand(b"iv", 12)  # the sequence number is 0 each time
            made.append(head + key.encrypt(nonce, self._MESSAGE, head))
            self._secret = self._expand(b"traffic upd", len(self._secret))
        return b"".join(made)

    def _expand(self, label: bytes, length: int) -> bytes:
        full = b"tls13 " + label
        info = length.to_bytes(2, "big") + bytes((len(full),)) + full + b"\0"
        return hmac.digest(self._secret, info + b"\x01", self._digest)[:length]


def _client_secret(key_log: Path) -> bytes:
    """Return the newest secret that protects what the client sends."""
    lines = key_log.read_text().splitlines()
    found = [line.split()[2] for line in lines if line.startswith("CLIENT_TRAFFIC_SECRET_0")]
    return bytes.fromhex(found[-1])
