"""Renders what was counted as Prometheus text, or as OpenMetrics for who asks for it.

Knows no metric by name (`families` does) and no socket. A scrape has two halves: `snapshot` copies
on the event loop, so that all numbers are of one moment, and costs microseconds per thousand
series; `render` walks the copy, costs about 10 µs per series, and belongs in a thread. Series grow
with hosts x rules x outcomes x protocols x statuses that really occurred, never with clients.
"""

from collections.abc import Callable, Iterator

from prometheus_client import exposition as plain_text
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.process_collector import ProcessCollector

from edgeproxy.observe.counters import Counters
from edgeproxy.observe.facts import Facts
from edgeproxy.observe.families import families

# Not in the library's global registry: several points of presence may live in one process.
_process = ProcessCollector(registry=None)


class Snapshot:
    """All numbers of one moment: a `prometheus_client` collector over copies."""

    def __init__(self, counters: Counters, facts: Facts) -> None:
        self._counters = counters
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        """Yield the families; those of the process are read from /proc here."""
        yield from families(self._counters, self._facts)
        yield from _process.collect()


class Exposition:
    """Where scrapes come from: live counters, and a callback for what goes up and down."""

    def __init__(self, counters: Counters, facts: Callable[[], Facts]) -> None:
        self._counters = counters
        self._facts = facts

    def snapshot(self) -> Snapshot:
        """Copy everything in one go; on the event loop, where nothing changes meanwhile."""
        return Snapshot(self._counters.copy(), self._facts())


def render(snapshot: Snapshot, accept: str = "") -> tuple[bytes, str]:
    """Return the text and its media type; `accept` is a request's Accept, "" for none.

    Prometheus lists what it takes, the newest format first, so that naming OpenMetrics at all is
    asking for it.
    """
    named = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    if "application/openmetrics-text" in named:
        text: bytes = openmetrics.generate_latest(snapshot)  # type: ignore[no-untyped-call]
        return text, openmetrics.CONTENT_TYPE_LATEST
    return plain_text.generate_latest(snapshot), plain_text.CONTENT_TYPE_PLAIN_0_0_4
