"""The good client's connection over HTTP/3: aioquic's own, whole, and nothing of ours."""

import contextlib
import socket
import ssl
import time

from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import HandshakeCompleted

from bench.floods.attacks import HIT


class QuicCaller:
    """A `client.Caller` of HTTP/3."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)  # noqa: FBT003 - the method takes no keyword
        self.waiting: dict[int, float] = {}
        self.latencies: list[float] = []
        self.is_open = False
        self.wants_to_write = False
        self._to = ("127.0.0.1", port)
        self._quic = QuicConnection(
            configuration=QuicConfiguration(
                is_client=True,
                alpn_protocols=H3_ALPN,
                server_name="localhost",
                verify_mode=ssl.CERT_NONE,
            )
        )
        self._quic.connect(self._to, now=time.monotonic())
        self._http = H3Connection(self._quic)
        self._transmit()

    def ask(self) -> None:
        """See `client.Caller`."""
        stream_id = self._quic.get_next_available_stream_id()
        self.waiting[stream_id] = time.perf_counter()
        head = [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", b"localhost"),
            (b":path", HIT),
        ]
        self._http.send_headers(stream_id, head, end_stream=True)
        self._transmit()

    def attend(self, events: int) -> None:
        """See `client.Caller`."""
        now, at = time.monotonic(), self._quic.get_timer()
        is_due = at is not None and at <= now
        if is_due:
            self._quic.handle_timer(now)
        if events:
            self._read()
        if events or is_due:
            self._transmit()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._quic.receive_datagram(self.socket.recv(2048), self._to, time.monotonic())
        while (event := self._quic.next_event()) is not None:
            if isinstance(event, HandshakeCompleted):
                self.is_open = True
            for each in self._http.handle_event(event):
                if isinstance(each, DataReceived) and each.stream_ended:
                    began = self.waiting.pop(each.stream_id)
                    self.latencies.append(time.perf_counter() - began)

    def _transmit(self) -> None:
        for datagram, _ in self._quic.datagrams_to_send(time.monotonic()):
            with contextlib.suppress(OSError):
                self.socket.sendto(datagram, self._to)
