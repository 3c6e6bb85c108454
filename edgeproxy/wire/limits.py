"""Every limit of a downstream connection, and who chose it.

The figures answer the vectors of RFC 9113 section 10.5, RFC 9112 section 11 and the floods found
since (CVE-2019-9511 to 9518, CVE-2023-44487, CVE-2024-27316, CVE-2025-8671). Seconds and bytes.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may ask of us."""

    # Time. A handshake or a field section takes a round trip or three: 10 s is generous on 2G.
    tls_handshake_seconds: float = 10.0
    preface_seconds: float = 10.0
    headers_seconds: float = 10.0
    idle_seconds: float = 60.0
    write_stall_seconds: float = 60.0
    zero_window_seconds: float = 30.0
    minimum_rate_after_seconds: float = 10.0
    minimum_rate_bytes_per_second: int = 1024
    lingering_close_seconds: float = 2.0
    connection_age_seconds: float = 3600.0
    # Size. Field sections: nginx takes 4 x 8 KiB, Chromium sends less than 4 KiB.
    field_section_bytes_max: int = 16 * 1024
    field_block_bytes_max: int = 32 * 1024
    fields_max: int = 128
    target_bytes_max: int = 8 * 1024
    unsent_bytes_max: int = 256 * 1024
    request_body_buffer_bytes: int = 64 * 1024
    # Count.
    concurrent_streams_max: int = 100
    continuations_max: int = 8
    settings_per_frame_max: int = 32
    empty_frames_in_a_row_max: int = 10
    requests_per_connection_max: int = 100_000
    pipelined_requests_max: int = 16
    connections_max: int = 10_000
    # One address never has them all; 0 is no limit. Households and offices share an address, and
    # browsers open six connections at most: a quarter is room for hundreds of them.
    connections_per_client_max: int = 2_500
    # Rate: token buckets, burst and refill per second.
    resets_burst: int = 100
    resets_per_second: float = 20.0
    control_frames_burst: int = 100
    control_frames_per_second: float = 10.0
    # DATA of less than 64 octets that does not end its stream and that no larger one paid for: an
    # upload of 50 000 pieces at once, and a thousand a second behind that, some 1 % of a core.
    small_data_frames_burst: int = 50_000
    small_data_frames_per_second: float = 1_000.0
