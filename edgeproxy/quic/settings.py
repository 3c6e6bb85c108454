"""What all QUIC connections of one worker have in common, made once.

Sizes are octets. The receive windows are what a client may have sent that nobody has consumed; the
send windows what may be queued here and is not acknowledged. Both are all that a connection can
make us hold, whatever it does.
"""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.packet import QuicProtocolVersion

from edgeproxy.clock import Clock
from edgeproxy.quic.connection_ids import CONNECTION_ID_BYTES, Naming
from edgeproxy.quic.early import EarlyData
from edgeproxy.quic.secrets import QuicSecrets
from edgeproxy.quic.tickets import Tickets
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.wire.limits import Limits

# QUIC version 2 differs in constants only and nobody needs it yet: one version, half the surface.
VERSIONS: Final = (int(QuicProtocolVersion.VERSION_1),)
# Three is what HTTP/3 needs (RFC 9114 section 6.2); Chromium opens one more of a reserved type.
UNIDIRECTIONAL_STREAMS_MAX: Final = 8
# RFC 9000 section 14.1: 1200 pass everywhere. What an Ethernet frame has left for UDP over IPv6 is
# tried first, then what Chromium's stack has always sent and passes everywhere but in tunnels; a
# connection goes on as that turns out.
DATAGRAM_BYTES_MIN: Final = 1200
DATAGRAM_BYTES_USUAL: Final = 1350
DATAGRAM_BYTES_MAX: Final = 1452


@dataclass(frozen=True)
class QuicSettings:
    """See the module; `naming` and `early` are this worker's, everything else is the PoP's."""

    front: FrontContext
    secrets: QuicSecrets
    tickets: Tickets
    clock: Clock
    limits: Limits = field(default_factory=Limits)
    naming: Naming = field(default_factory=Naming)
    early: EarlyData = field(default_factory=EarlyData)
    protocols: tuple[str, ...] = ("h3",)
    datagram_bytes_max: int = DATAGRAM_BYTES_MAX

    @property
    def stream_window(self) -> int:
        """What may come on one stream before somebody consumes it."""
        return self.limits.request_body_buffer_bytes

    @property
    def connection_window(self) -> int:
        """What may come on all streams: those of a few uploads at once."""
        return 4 * self.stream_window

    def terms(self, identity: str) -> bytes:
        """Return 16 octets that are others when what a client remembers of us is no longer true.

        That are limits which must not be less than they were when it sends early data (RFC 9000
        section 7.4.1, RFC 9114 section 7.2.4.2), and as who we spoke to it.
        """
        remembered = (
            self.stream_window,
            self.connection_window,
            self.limits.concurrent_streams_max,
            UNIDIRECTIONAL_STREAMS_MAX,
            self.limits.field_section_bytes_max,
            identity,
        )
        return hashlib.sha256(repr(remembered).encode()).digest()[:16]

    @cached_property
    def configuration(self) -> QuicConfiguration:
        """What aioquic has to be told; identities are none of it (`handshake`)."""
        unused = "see quic/handshake"
        return QuicConfiguration(
            is_client=False,
            alpn_protocols=list(self.protocols),
            certificate=unused,
            private_key=unused,
            connection_id_length=CONNECTION_ID_BYTES,
            # `receiving` and `lane` tell it of groups of packets, which others would count as one
            congestion_control_algorithm="reno",
            idle_timeout=self.limits.idle_seconds,
            max_data=self.connection_window,
            max_stream_data=self.stream_window,
            max_datagram_size=DATAGRAM_BYTES_MIN,
            supported_versions=list(VERSIONS),
        )
