"""What is known of the way to a client: how large datagrams may be, how fast it is, where it leads.

Datagrams begin at the size that passes everywhere; a larger one is tried with padding alone (RFC
9000 section 14.4, RFC 8899), so that nothing is lost where it does not pass. A path to another host
is a new one: what was learned of the last says nothing of it (section 9.4).
"""

import math
from typing import Final

from aioquic import tls
from aioquic.quic.congestion.base import create_congestion_control
from aioquic.quic.connection import END_STATES, NetworkAddress, QuicConnection, QuicNetworkPath
from aioquic.quic.packet import QuicFrameType, QuicPacketType
from aioquic.quic.packet_builder import QuicDeliveryState, QuicPacketBuilder

from edgeproxy.quic.pacing import Pacer
from edgeproxy.quic.settings import DATAGRAM_BYTES_MIN, DATAGRAM_BYTES_USUAL, VERSIONS

# A size is tried so often, and given up after so many timeouts in a row.
_SIZE_PROBES_MAX: Final = 3
_PTO_OF_BLACK_HOLE: Final = 2


class Paths(QuicConnection):
    """The part of a connection that knows its path; see `connection.ServerConnection`."""

    def _begin_paths(self, datagram_bytes_max: int) -> None:
        self._loss._pacer = Pacer(max_datagram_size=self._configuration.max_datagram_size)
        self._datagram_bytes = datagram_bytes_max  # what may be tried
        self._size_probes = 0
        self._is_size_probe_due = False

    def _size_probe(self, now: float) -> list[tuple[bytes, NetworkAddress]]:
        """Return a datagram as large as may be, if it is to be tried now (section 14.4)."""
        path, size = self._network_paths[0], self._datagram_bytes
        if not self._is_size_probe_due or not path.is_validated or self._state in END_STATES:
            return []
        self._is_size_probe_due = False
        if size <= self._max_datagram_size or self._size_probes >= _SIZE_PROBES_MAX:
            return []
        self._size_probes += 1
        builder = QuicPacketBuilder(
            host_cid=self.host_cid,
            is_client=False,
            max_datagram_size=size,
            packet_number=self._packet_number,
            peer_cid=self._peer_cid.cid,
            spin_bit=self._spin_bit,
            version=VERSIONS[0],
        )
        builder.start_packet(QuicPacketType.ONE_RTT, self._cryptos[tls.Epoch.ONE_RTT])
        buf = builder.start_frame(
            QuicFrameType.PING, handler=self._on_size_probe_delivery, handler_args=(size,)
        )
        buf.push_bytes(bytes(builder.remaining_buffer_space))
        if builder._packet is not None:
            builder._packet.in_flight = False  # its loss says nothing of congestion
        return self._flush_builder(
            builder=builder, network_path=path, peer_cid=self._peer_cid.cid, now=now
        )

    def _on_size_probe_delivery(self, delivery: QuicDeliveryState, size: int) -> None:
        if delivery is QuicDeliveryState.ACKED:
            self._max_datagram_size = min(size, self._datagram_bytes)
        else:
            self._datagram_bytes = min(self._datagram_bytes, DATAGRAM_BYTES_USUAL)
            self._is_size_probe_due = True

    def _look_for_black_hole(self) -> None:
        if self._loss._pto_count >= _PTO_OF_BLACK_HOLE:
            self._max_datagram_size = DATAGRAM_BYTES_MIN

    def _moved(self, before: QuicNetworkPath, after: QuicNetworkPath) -> None:
        """Begin to learn about a new path, unless only a NAT changed its mind (section 9.4).

        What is in flight was lost with the old path and fills the window: one datagram goes beyond
        it, so that the new path is tried now, and not when a timer fires that the old one's
        silence has doubled again and again.
        """
        self._probe_pending = True
        self._loss._pto_count = 0
        if before.addr[0] == after.addr[0]:
            return
        loss, size = self._loss, self._configuration.max_datagram_size
        fresh = create_congestion_control(
            self._configuration.congestion_control_algorithm, max_datagram_size=size
        )
        fresh.bytes_in_flight = loss._cc.bytes_in_flight
        loss._cc = fresh
        loss._pacer = Pacer(max_datagram_size=size)
        loss._rtt_initialized = False
        loss._rtt_latest = loss._rtt_smoothed = loss._rtt_variance = 0.0
        loss._rtt_min = math.inf
        self._max_datagram_size = DATAGRAM_BYTES_MIN
        self._size_probes, self._is_size_probe_due = 0, True
