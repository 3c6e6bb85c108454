"""What is true at one moment, for whoever shows it: sizes, open connections, certificates.

Counts are `counters`'; these are values that go up and down, read from where they live when
somebody asks. Plain data: it reads nothing itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """One certificate that new connections may get, and what is stapled to it.

    Times are seconds since the epoch; those of the staple are None where there is none.
    `is_withheld`: its identity is known, but must not be served now.
    """

    identity: str
    key: str
    not_before: float
    not_after: float
    staple_this_update: float | None = None
    staple_next_update: float | None = None
    is_withheld: bool = False


@dataclass(frozen=True, slots=True)
class TierFacts:
    """How full a tier of the cache is, in stored responses and octets."""

    objects: int
    bytes: int
    bytes_max: int
    evictions: int


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """The processes of a PoP: CPU time of each worker in seconds, and how often one was replaced.

    Those who have no number yet, because they are only beginning, are not in `cpu_seconds`.
    """

    workers: int
    worker_restarts: int
    worker_hangs: int
    steward_restarts: int
    cpu_seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Facts:
    """A point of presence at one moment; `refusals` are those of connections, by limit.

    `quic_replies` are what was said over UDP to whom there is no connection with, by kind;
    `early_data` is what came of clients' early data, by `accepted` or why not;
    `datagrams_lost` are those to clients that did not get as far as the network.
    `processes` is None where one process is all there is.
    """

    is_draining: bool = False
    connections: Mapping[str, int] = field(default_factory=dict)
    refusals: Mapping[str, int] = field(default_factory=dict)
    tiers: Mapping[str, TierFacts] = field(default_factory=dict)
    disk_faults: Mapping[str, int] = field(default_factory=dict)
    quic_replies: Mapping[str, int] = field(default_factory=dict)
    early_data: Mapping[str, int] = field(default_factory=dict)
    datagrams_lost: int = 0
    certificates: tuple[CertificateFacts, ...] = ()
    processes: ProcessFacts | None = None
