"""One QUIC connection of an attacker: aioquic shakes hands, then its keys say whatever is wanted.

After the handshake there is no loss recovery, no congestion control and no retransmission; packets
are sealed here, as many as their rate allows, and what comes is read only for what an attacker has
to know: the limits, what may be acknowledged, and how it ended. Never blocks; the owner calls
`turn` again and again.
"""

import contextlib
import random
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from aioquic._crypto import CryptoError
from aioquic.buffer import Buffer, BufferReadError
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.crypto import CryptoPair
from aioquic.tls import Epoch

from bench.floods.quic_frames import ack_of

STEPS_AT_ONCE = 32
_ARRIVED_MAX = 4096
_ACK_RANGES = 32

# What stands in frames that are of no interest, as numbers of integers and of octets behind them.
_SHAPES = {
    0x00: (0, 0),
    0x01: (0, 0),
    0x04: (3, 0),
    0x05: (2, 0),
    0x14: (1, 0),
    0x15: (2, 0),
    0x16: (1, 0),
    0x17: (1, 0),
    0x19: (1, 0),
    0x1A: (0, 8),
    0x1B: (0, 8),
    0x1E: (0, 0),
}

Script = Iterator[bytes | float]


@dataclass(frozen=True, slots=True)
class QuicAttack:
    """One flood over QUIC.

    The script gets its connection; what it gives is sent as the frames of one packet, or is a pause
    in seconds. All connections together make `rate` steps, packets, in a second.
    `data` and `stream_data` are the windows that the server gets at the beginning; `ends` is the
    code with which the server ends such a connection, "" if it does not for what it says.
    """

    name: str
    script: "Callable[[QuicPeer], Script]"
    connections: int = 8
    rate: float = 4000.0
    acknowledges: bool = True
    holds: bool = True  # on to its connections; else each ends with its script
    data: int = 1 << 30
    stream_data: int = 1 << 30
    ends: str = ""


@dataclass(slots=True)
class Windows:
    """What the server allows."""

    data: int = 0
    stream_data: dict[int, int] = field(default_factory=dict)
    stream_data_initial: int = 0
    bidirectional: int = 0
    unidirectional: int = 0

    def of(self, stream_id: int) -> int:
        """Return how far a stream may go."""
        return self.stream_data.get(stream_id, self.stream_data_initial)


class QuicPeer:
    """A connection; `ended` says how it ended, "" while it lives.

    `largest` is the highest packet number of the server's so far, `issued` that of its IDs.
    """

    def __init__(
        self, port: int, source: str, attack: QuicAttack, *, steps_max: int | None = None
    ) -> None:
        self.attack = attack
        self.ended = ""
        self.is_open = False
        self.acknowledges = attack.acknowledges
        self.is_script_over = False
        self.sent_bytes = self.received = self.steps = 0
        self.largest = self.issued = 0
        self.arrived: deque[int] = deque(maxlen=_ARRIVED_MAX)  # nothing overtakes here
        self.windows = Windows()
        self.challenges: list[bytes] = []
        self._to = ("127.0.0.1", port)
        self._source = source
        self._steps_max = steps_max
        self._script = attack.script(self)
        self._resumes_at = self._opened_at = 0.0
        self._acknowledged = 0
        self._number = 0
        self._dice = random.Random(port)
        self._sockets = [self._socket(source)]
        self._active = self._stranger = self._sockets[0]
        self._quic = QuicConnection(
            configuration=QuicConfiguration(
                is_client=True,
                alpn_protocols=["h3"],
                server_name="localhost",
                verify_mode=ssl.CERT_NONE,
                max_data=attack.data,
                max_stream_data=attack.stream_data,
            )
        )
        self._quic.connect(self._to, now=time.monotonic())
        self._keys: CryptoPair
        self._own_octets = 1 + len(self._quic.host_cid)
        self.server_id = b""

    @staticmethod
    def _socket(source: str) -> socket.socket:
        found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        found.setblocking(False)  # noqa: FBT003 - the method takes no keyword
        found.bind((source, 0))
        return found

    # --- for the owner ----------------------------------------------------------------------------

    def turn(self) -> None:
        """Read what has come, and say what is due."""
        for sock in self._sockets:
            self._read(sock)
        if self.ended:
            return
        if not self.is_open:
            self._shake_hands()
            return
        if self.acknowledges and self.received > self._acknowledged:
            self._send(self.packet(self.acknowledgement()))
        now = time.monotonic()
        share = self.attack.rate / self.attack.connections
        due = int((now - self._opened_at) * share) + 1
        for _ in range(min(due - self.steps, STEPS_AT_ONCE)):
            if self.ended or self.is_script_over or now < self._resumes_at:
                return
            self._step()

    @property
    def is_done(self) -> bool:
        """Whether there is nothing more to say, or nobody to say it to."""
        return bool(self.ended) or self.is_script_over

    @property
    def sockets(self) -> list[socket.socket]:
        """What is worth waiting for."""
        return self._sockets

    def close(self) -> None:
        """Say goodbye, and forget it."""
        if self.is_open and not self.ended:
            self._send(self.packet(b"\x1c\0\0\0"))
        for sock in self._sockets:
            sock.close()

    # --- for scripts ------------------------------------------------------------------------------

    def packet(self, frames: bytes) -> bytes:
        """Return frames in a packet of the next number."""
        number = self._number
        self._number += 1
        first = bytes((0x43 | self._keys.key_phase << 2,))
        head = first + self.server_id + (number & 0xFFFFFFFF).to_bytes(4, "big")
        return self._keys.encrypt_packet(head, frames, number)

    def skip(self, numbers: int) -> None:
        """Leave packet numbers out."""
        self._number += numbers

    def acknowledgement(self) -> bytes:
        """Acknowledge the newest of what has come; what was left out on purpose is among none."""
        self._acknowledged = self.received
        return ack_of(reversed(self.arrived), _ACK_RANGES)

    def throw(self, datagram: bytes) -> None:
        """Send a datagram as a stranger would, from an address of his own."""
        if self._stranger is self._active:
            self._stranger = self._socket(self._source)
            self._sockets.append(self._stranger)
        self.steps += 1
        self._send(datagram, self._stranger)

    def forge(self) -> None:
        """Send somebody else's idea of a packet of this connection, of either key phase."""
        first = bytes((0x40 | self._dice.getrandbits(6),))
        self.throw(first + self.server_id + self._dice.randbytes(self._dice.randrange(25, 1100)))

    def update_keys(self) -> None:
        """Go on with new keys from the next packet on."""
        self._keys.update_key()

    def move(self) -> None:
        """Go on from another port; of the last few it is still known what comes there."""
        self._active = self._socket(self._source)
        self._sockets.append(self._active)
        if len(self._sockets) > 8:
            self._sockets.pop(0).close()

    # --- inside -----------------------------------------------------------------------------------

    def _step(self) -> None:
        if self._steps_max is not None and self.steps >= self._steps_max:
            self.is_script_over = True
            return
        step = next(self._script, None)
        if step is None:
            self.is_script_over = True
            if not self.attack.holds:
                self.close()
                self.ended = "done"
        elif isinstance(step, float):
            self._resumes_at = time.monotonic() + step
        else:
            self.steps += 1
            self._send(self.packet(step))

    def _send(self, datagram: bytes, sock: socket.socket | None = None) -> None:
        with contextlib.suppress(OSError):  # full, or nobody there: lost
            self.sent_bytes += (sock or self._active).sendto(datagram, self._to)

    def _shake_hands(self) -> None:
        now, quic = time.monotonic(), self._quic
        at = quic.get_timer()
        if at is not None and at <= now:
            quic.handle_timer(now)
        for datagram, _ in quic.datagrams_to_send(now):
            self._send(datagram)
        if quic._close_event is not None:
            self.ended = f"no handshake: {quic._close_event.reason_phrase}"
        elif quic._handshake_confirmed:
            self._take_over(now)

    def _take_over(self, now: float) -> None:
        quic, windows = self._quic, self.windows
        self._keys = quic._cryptos[Epoch.ONE_RTT]
        self._number = quic._packet_number
        self.server_id = quic._peer_cid.cid
        self.largest = max(0, quic._spaces[Epoch.ONE_RTT].largest_received_packet)
        for each in quic._spaces[Epoch.ONE_RTT].ack_queue:
            self.arrived.extend(each)
        self.issued = max([0, *(each.sequence_number or 0 for each in quic._peer_cid_available)])
        windows.data = quic._remote_max_data
        windows.stream_data_initial = quic._remote_max_stream_data_bidi_remote
        windows.bidirectional = quic._remote_max_streams_bidi
        windows.unidirectional = quic._remote_max_streams_uni
        self.is_open = True
        self._opened_at = now
        self._send(self.packet(self.acknowledgement()))

    def _read(self, sock: socket.socket) -> None:
        while not self.ended:
            try:
                data = sock.recv(2048)
            except OSError:
                return
            if not self.is_open:
                self._quic.receive_datagram(data, self._to, time.monotonic())
            elif data and not data[0] & 0x80:
                self._take(data)

    def _take(self, data: bytes) -> None:
        try:
            _, payload, number = self._keys.decrypt_packet(data, self._own_octets, self.largest + 1)
        except CryptoError:
            if data[-16:] == self._quic._peer_cid.stateless_reset_token:
                self.ended = "stateless reset"
            return
        self.received += 1
        if number > self.largest:
            self.largest = number
            self.arrived.append(number)
        with contextlib.suppress(BufferReadError):
            self._look(Buffer(data=payload))

    def _look(self, buf: Buffer) -> None:
        while not buf.eof():
            kind = buf.pull_uint_var()
            if kind in _SHAPES:
                numbers, octets = _SHAPES[kind]
                for _ in range(numbers):
                    buf.pull_uint_var()
                found = buf.pull_bytes(octets)
                if kind == 0x1A:
                    self.challenges.append(found)
            elif kind in (0x1C, 0x1D):
                self.ended = _ending(kind, buf)
                return
            else:
                self._look_closer(kind, buf)

    def _look_closer(self, kind: int, buf: Buffer) -> None:
        windows = self.windows
        if kind in (0x02, 0x03):
            buf.pull_uint_var()
            buf.pull_uint_var()
            for _ in range(2 * buf.pull_uint_var() + 1 + (3 if kind == 0x03 else 0)):
                buf.pull_uint_var()
        elif kind == 0x06:
            buf.pull_uint_var()
            buf.pull_bytes(buf.pull_uint_var())
        elif kind & 0xF8 == 0x08:
            buf.pull_uint_var()
            if kind & 0x04:
                buf.pull_uint_var()
            size = buf.pull_uint_var() if kind & 0x02 else buf.capacity - buf.tell()
            buf.pull_bytes(size)
        elif kind == 0x10:
            windows.data = buf.pull_uint_var()
        elif kind == 0x11:
            stream_id = buf.pull_uint_var()
            windows.stream_data[stream_id] = buf.pull_uint_var()
        elif kind == 0x12:
            windows.bidirectional = buf.pull_uint_var()
        elif kind == 0x13:
            windows.unidirectional = buf.pull_uint_var()
        elif kind == 0x18:
            self.issued = max(self.issued, buf.pull_uint_var())
            buf.pull_uint_var()
            buf.pull_bytes(buf.pull_uint_var() + 16)
        else:
            raise BufferReadError(f"a frame of type {kind:#x}")


def _ending(kind: int, buf: Buffer) -> str:
    code = buf.pull_uint_var()
    if kind == 0x1C:
        buf.pull_uint_var()
    reason = buf.pull_bytes(buf.pull_uint_var()).decode(errors="replace")
    return f"{code:#x} {reason}".strip()
