"""Counts what happened, as plain integers that cost one addition each.

Must not render, aggregate or expose anything on the way of a request: `snapshot()` does that for
whoever asks. Every label is a value of the configuration, of our own vocabulary or a three-digit
status, so the number of slots is bounded whatever clients send.
"""

from collections import Counter
from collections.abc import Mapping
from typing import TypeVar

Words = TypeVar("Words", bound=tuple[str, ...])

# site, rule, outcome, protocol, status
Exchange = tuple[str, str, str, str, int]
# outcome, resumption, group, kind of key
Handshake = tuple[str, str, str, str]


class Counters:
    """The counts of one worker since it started."""

    __slots__ = (
        "access_log_lines_dropped",
        "body_bytes",
        "broken_exchanges",
        "certificate_loads",
        "certificate_swaps",
        "coalesced",
        "coding_failures",
        "codings",
        "codings_refused",
        "discarded_fills",
        "exchanges",
        "fills_refused",
        "handshakes",
        "hits_for_miss",
        "ocsp_fetches",
        "origin_errors",
        "origin_requests",
        "refusals",
        "reloads",
        "sibling_requests",
        "stale_served",
    )

    def __init__(self) -> None:
        self.exchanges: dict[Exchange, int] = {}
        self.body_bytes = 0
        self.broken_exchanges = 0
        self.origin_requests = 0
        self.origin_errors: Counter[str] = Counter()
        self.coalesced = 0
        self.codings: Counter[str] = Counter()  # `identity br fast`: from, to, level
        self.codings_refused = 0
        self.coding_failures = 0
        self.hits_for_miss = 0
        self.stale_served: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.reloads: Counter[str] = Counter()  # reloaded, refused, failed
        self.sibling_requests: Counter[str] = Counter()  # answered, or why not
        self.discarded_fills: Counter[str] = Counter()
        self.fills_refused = 0
        self.access_log_lines_dropped = 0
        self.handshakes: Counter[Handshake] = Counter()
        self.ocsp_fetches: Counter[tuple[str, str]] = Counter()  # identity, result
        self.certificate_loads: Counter[tuple[str, str]] = Counter()  # identity, result
        self.certificate_swaps: Counter[str] = Counter()  # identity

    def exchange(self, exchange: Exchange, body_bytes: int) -> None:
        """Count one answered request."""
        exchanges = self.exchanges
        exchanges[exchange] = exchanges.get(exchange, 0) + 1
        self.body_bytes += body_bytes

    def handshake(self, handshake: Handshake) -> None:
        """Count one TLS handshake that is over."""
        self.handshakes[handshake] += 1

    def copy(self) -> "Counters":
        """Return the counts as they are now, for another thread to read.

        Costs a dictionary's copy per kind of count: some microseconds per thousand slots.
        """
        copied = Counters()
        for name in self.__slots__:
            value = getattr(self, name)
            setattr(copied, name, value if isinstance(value, int) else value.copy())
        return copied

    def requests_by(self, label: str) -> dict[str, int]:
        """Sum the exchanges by `site`, `rule`, `outcome`, `protocol` or `status_class`."""
        sums: Counter[str] = Counter()
        for exchange, count in self.exchanges.items():
            sums[_label_of(exchange, label)] += count
        return dict(sums)

    def snapshot(self) -> dict[str, object]:
        """Return everything counted so far, ready for JSON."""
        return {
            "requests": sum(self.exchanges.values()),
            "requests_by_outcome": self.requests_by("outcome"),
            "requests_by_status_class": self.requests_by("status_class"),
            "requests_by_protocol": self.requests_by("protocol"),
            "requests_by_site": self.requests_by("site"),
            "response_body_bytes": self.body_bytes,
            "broken_exchanges": self.broken_exchanges,
            "origin_requests": self.origin_requests,
            "sibling_requests": dict(self.sibling_requests),
            "origin_errors": dict(self.origin_errors),
            "coalesced": self.coalesced,
            "codings": dict(self.codings),
            "codings_refused": self.codings_refused,
            "coding_failures": self.coding_failures,
            "hits_for_miss": self.hits_for_miss,
            "stale_served": dict(self.stale_served),
            "refusals": dict(self.refusals),
            "reloads": dict(self.reloads),
            "discarded_fills": dict(self.discarded_fills),
            "fills_refused": self.fills_refused,
            "access_log_lines_dropped": self.access_log_lines_dropped,
            "handshakes": _joined(self.handshakes),
            "ocsp_fetches": _joined(self.ocsp_fetches),
            "certificate_loads": _joined(self.certificate_loads),
            "certificate_swaps": dict(self.certificate_swaps),
        }


def _joined(counts: Mapping[Words, int]) -> dict[str, int]:
    """Make keys of texts one text, which JSON can have as a name."""
    return {" ".join(filter(None, key)): count for key, count in counts.items()}


def _label_of(exchange: Exchange, label: str) -> str:
    site, rule, outcome, protocol, status = exchange
    match label:
        case "site":
            return site
        case "rule":
            return rule
        case "outcome":
            return outcome
        case "protocol":
            return protocol
        case "status_class":
            return f"{status // 100}xx"
        case _:
            raise ValueError(f"not a label: {label}")
