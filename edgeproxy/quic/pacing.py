"""How fast packets leave (RFC 9002 section 7.7).

aioquic's pacer lets out what a window allows over a round trip, and at most a quarter of it at
once. Two things differ here. The rate is a quarter above the window's, as the section advises, so
that pacing alone never leaves a window unused. And what may leave at once is at least what the rate
asks for between two ticks of our timers, up to one call's worth of segments: with less, a path of
a short round trip would be held to one burst a tick.
"""

import math
from typing import Final

from aioquic.quic.recovery import QuicPacketPacer

from edgeproxy.quic.wheel import TICK_SECONDS

_GAIN: Final = 1.25
_ROUNDING: Final = 1e-6  # who waits for one packet's time may send one, and not two
# What one call sends: a UDP datagram, and so what is cut into segments, has 64 KiB at most.
BURST_PACKETS_MAX: Final = 44
# A wake-up costs as much as several packets do, so of much content none is made for less than this,
# which is half of what may leave at once, and less than a sixth of the window.
_PORTION_PACKETS_MAX: Final = 8


class Pacer(QuicPacketPacer):
    """In aioquic's place; times are seconds, `bucket_time` is what has been saved up."""

    def update_rate(self, congestion_window: int, smoothed_rtt: float) -> None:
        """Set the rate; the window is octets."""
        super().update_rate(int(_GAIN * congestion_window), smoothed_rtt)
        if self.packet_time is not None:
            burst = min(TICK_SECONDS, BURST_PACKETS_MAX * self.packet_time)
            self.bucket_max = max(self.bucket_max, burst)

    def allowed(self, now: float) -> int:
        """Return how many packets may leave now."""
        if self.packet_time is None:
            return BURST_PACKETS_MAX
        self.update_bucket(now=now)
        if self.bucket_time <= 0:
            return 0
        packets = math.ceil(self.bucket_time / self.packet_time - _ROUNDING)
        return min(max(packets, 1), BURST_PACKETS_MAX)

    @property
    def portion(self) -> int:
        """How many packets are worth a wake-up; 1 where that many leave within a tick anyway."""
        if self.packet_time is None:
            return 1
        packets = min(_PORTION_PACKETS_MAX, int(self.bucket_max / self.packet_time / 2))
        return packets if packets * self.packet_time >= TICK_SECONDS else 1

    def sent(self, packets: int) -> None:
        """Take note of packets that left; `allowed` was asked just now."""
        if self.packet_time is not None:  # a part of a packet too many is made up for later
            self.bucket_time = max(-self.packet_time, self.bucket_time - packets * self.packet_time)
