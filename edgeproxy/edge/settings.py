"""The edge's own bounds, and who chose them.

A value only; `config` compiles into it. Seconds, bytes and counts.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSettings:
    """What the data path may hold and how long it waits."""

    # Above an origin's default first-byte timeout: a crowd that waits learns the leader's fate, and
    # does not fall on an origin that is slow already. nginx's proxy_cache_lock_timeout is 5 s.
    coalesce_timeout_seconds: float = 20.0
    # Hit-for-miss: Varnish's default is 120 s. Shorter, because here a URL that turned cacheable
    # is not stored before the time is over.
    uncacheable_seconds: float = 10.0
    uncacheable_keys_max: int = 10_000
    # Fills at once, per worker: with 64 KiB read ahead and small objects some tens of megabytes.
    # One address begins half of them at most.
    fills_max: int = 512
    # Content that arrives and is kept to be stored, of all fills together: the store does not count
    # it yet. Beyond it content passes through, or 512 slow fills would be gigabytes.
    growing_bytes_max: int = 256 * 1024 * 1024
    # Incomplete responses of sites without rules, and as much again on its way into them. A few
    # players that seek; what is wanted whole is in the store.
    parts_bytes_max: int = 8 * 1024 * 1024
    # How long, and up to what size, content is waited for whose digest makes the ETag. Short beside
    # a round trip to an origin; what is larger is streamed, and carries its ETag from then on.
    settle_seconds: float = 0.1
    settle_bytes_max: int = 64 * 1024
    # How far a slow reader may fall behind content that is not kept; the listeners' own bound.
    stream_window_bytes: int = 256 * 1024
    # Memos of the hot path: a route is some 500 bytes, a target longer than this is not remembered.
    routes_max: int = 8192
    route_target_bytes_max: int = 512
    authorities_max: int = 32
    cors_origins_max: int = 1024
