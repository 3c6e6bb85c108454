"""Counters and facts as Prometheus metric families: names, labels and help texts.

The only place that knows a metric's name. Counts nothing and renders nothing. Names follow
Prometheus' conventions (base units, `_total` for what only grows); labels hold configured names
and our own words, so that no client can make series.
"""

import platform
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)

from edgeproxy import __version__
from edgeproxy.observe.counters import Counters
from edgeproxy.observe.facts import CertificateFacts, Facts, ProcessFacts

# Names in a configuration begin with a letter, so that these cannot be one.
NO_RULE = "_none"

Labelled = Iterable[tuple[tuple[str, ...], float]]


def families(counters: Counters, facts: Facts) -> Iterator[Metric]:
    """Yield everything; the caller sees to it that nothing changes meanwhile."""
    yield _build()
    yield _counter("edge_requests", "Requests answered.", _REQUEST_LABELS, _requests(counters))
    for name, help_text, count in _plain(counters, facts):
        yield CounterMetricFamily(name, help_text, value=count)
    for name, help_text, label, counts in _by_word(counters, facts):
        yield _counter(name, help_text, (label,), (((word,), n) for word, n in counts.items()))
    yield _counter(
        "edge_refusals",
        "What was refused for a limit or a rule of the protocol: connections, or requests on them.",
        ("of", "limit"),
        _refusals(counters, facts),
    )
    yield _counter(
        "edge_codings",
        "Bodies coded anew: from a content coding to another, at a level.",
        ("source", "target", "level"),
        ((tuple(key.split(" ")), count) for key, count in counters.codings.items()),
    )
    yield from _tls_counters(counters)
    yield from _gauges(facts)
    yield from _tiers(facts)
    yield from _certificates(facts.certificates)
    if facts.processes is not None:
        yield from _processes(facts.processes)


_REQUEST_LABELS = ("host", "rule", "cache", "proto", "code")


def _requests(counters: Counters) -> Labelled:
    for (site, rule, outcome, protocol, status), count in counters.exchanges.items():
        yield (site, rule or NO_RULE, outcome, protocol, str(status)), count


def _plain(counters: Counters, facts: Facts) -> Iterator[tuple[str, str, int]]:
    """Name the counters without labels."""
    yield "edge_response_bytes", "Octets of response content sent to clients.", counters.body_bytes
    yield (
        "edge_broken_responses",
        "Responses that ended before they were complete.",
        counters.broken_exchanges,
    )
    yield "edge_origin_requests", "Requests sent to origins.", counters.origin_requests
    yield (
        "edge_coalesced_requests",
        "Requests that waited for another one's fill instead of asking the origin.",
        counters.coalesced,
    )
    yield (
        "edge_codings_refused",
        "Codings that were not made because too many were being made.",
        counters.codings_refused,
    )
    yield (
        "edge_coding_failures",
        "Bodies that are not what their Content-Encoding says.",
        counters.coding_failures,
    )
    yield (
        "edge_hits_for_miss",
        "Requests that did not wait because their key is known as not shareable.",
        counters.hits_for_miss,
    )
    yield (
        "edge_fills_refused",
        "Fills that were not begun because too many were running.",
        counters.fills_refused,
    )
    yield (
        "edge_access_log_lines_dropped",
        "Lines of the access log that nobody took in time.",
        counters.access_log_lines_dropped,
    )
    yield (
        "edge_quic_datagrams_lost",
        "Datagrams to clients that neither the kernel nor the queue before it took.",
        facts.datagrams_lost,
    )


def _by_word(counters: Counters, facts: Facts) -> Iterator[tuple[str, str, str, Mapping[str, int]]]:
    """Name the counters with one label."""
    yield (
        "edge_origin_errors",
        "Requests to origins that failed, by RFC 9209 error type.",
        "error",
        counters.origin_errors,
    )
    yield (
        "edge_sibling_requests",
        "Questions to the worker that owns a key, by what came of them.",
        "result",
        counters.sibling_requests,
    )
    yield (
        "edge_stale_served",
        "Stale responses served, by what allowed it.",
        "reason",
        counters.stale_served,
    )
    yield (
        "edge_discarded_fills",
        "Fills whose response was not stored in the end, by reason.",
        "reason",
        counters.discarded_fills,
    )
    yield (
        "edge_reloads",
        "Times that the configuration was read again, by what came of it.",
        "result",
        counters.reloads,
    )
    yield (
        "edge_cache_evictions",
        "Stored responses that went to make room.",
        "tier",
        {name: tier.evictions for name, tier in facts.tiers.items()},
    )
    yield (
        "edge_disk_faults",
        "What went wrong on the disk tier; no request fails for it.",
        "reason",
        facts.disk_faults,
    )
    yield from _over_quic(facts)
    yield (
        "edge_certificate_swaps",
        "Times that new connections began to get another certificate.",
        "identity",
        counters.certificate_swaps,
    )


def _over_quic(facts: Facts) -> Iterator[tuple[str, str, str, Mapping[str, int]]]:
    yield (
        "edge_quic_replies",
        "Datagrams sent where there is no connection, by what they say; each is rate-limited.",
        "kind",
        facts.quic_replies,
    )
    yield (
        "edge_quic_early_data",
        "Handshakes that came with early data, by what was done: accepted, or why not.",
        "outcome",
        facts.early_data,
    )


def _refusals(counters: Counters, facts: Facts) -> Labelled:
    for limit, count in facts.refusals.items():
        yield ("connection", limit), count
    for reason, count in counters.refusals.items():
        yield ("request", reason), count


def _tls_counters(counters: Counters) -> Iterator[Metric]:
    yield _counter(
        "edge_tls_handshakes",
        "TLS handshakes that ended, well or badly.",
        ("outcome", "resumption", "group", "key"),
        counters.handshakes.items(),
    )
    yield _counter(
        "edge_ocsp_fetches",
        "Attempts to get an OCSP response, by what came of it.",
        ("identity", "result"),
        counters.ocsp_fetches.items(),
    )
    yield _counter(
        "edge_certificate_loads",
        "Attempts to load a certificate: loaded, kept (as before), failed, reverted.",
        ("identity", "result"),
        counters.certificate_loads.items(),
    )


def _gauges(facts: Facts) -> Iterator[Metric]:
    yield _gauge(
        "edge_connections",
        "Open connections of clients, by listener.",
        ("listener",),
        (((name,), count) for name, count in facts.connections.items()),
    )
    yield GaugeMetricFamily(
        "edge_draining", "1 while nothing new is accepted, 0 otherwise.", float(facts.is_draining)
    )


def _tiers(facts: Facts) -> Iterator[Metric]:
    tiers = facts.tiers.items()
    for name, help_text, values in (
        ("objects", "Stored responses, each variant counted.", [t.objects for _, t in tiers]),
        ("bytes", "Octets that stored responses weigh.", [t.bytes for _, t in tiers]),
        ("capacity_bytes", "Octets that there is room for.", [t.bytes_max for _, t in tiers]),
    ):
        labels = [(tier,) for tier, _ in tiers]
        yield _gauge(f"edge_cache_{name}", help_text, ("tier",), zip(labels, values, strict=True))


def _certificates(certificates: Iterable[CertificateFacts]) -> Iterator[Metric]:
    """Times as absolute moments, as Prometheus wants them: what is left is the query's sum."""
    known = {(facts.identity, facts.key): facts for facts in certificates}
    for name, help_text, moments in (
        (
            "edge_certificate_not_before_timestamp_seconds",
            "When a served certificate begins to be valid, in seconds since the epoch.",
            {labels: facts.not_before for labels, facts in known.items()},
        ),
        (
            "edge_certificate_not_after_timestamp_seconds",
            "When a served certificate ends to be valid, in seconds since the epoch.",
            {labels: facts.not_after for labels, facts in known.items()},
        ),
        (
            "edge_staple_this_update_timestamp_seconds",
            "When the stapled OCSP response was true; absent without one.",
            {labels: facts.staple_this_update for labels, facts in known.items()},
        ),
        (
            "edge_staple_next_update_timestamp_seconds",
            "When there will be a newer OCSP response; absent without one.",
            {labels: facts.staple_next_update for labels, facts in known.items()},
        ),
    ):
        there = ((labels, at) for labels, at in moments.items() if at is not None)
        yield _gauge(name, help_text, ("identity", "key"), there)
    withheld: dict[tuple[str], float] = {}
    for facts in known.values():
        label = (facts.identity,)
        withheld[label] = max(withheld.get(label, 0.0), float(facts.is_withheld))
    yield _gauge(
        "edge_identity_withheld",
        "1 while an identity is not served because its staple is missing, 0 otherwise.",
        ("identity",),
        withheld.items(),
    )


def _processes(facts: ProcessFacts) -> Iterator[Metric]:
    yield GaugeMetricFamily("edge_workers", "Processes that serve clients.", float(facts.workers))
    yield CounterMetricFamily(
        "edge_worker_restarts",
        "Processes that ended unasked while they served, and were replaced.",
        value=facts.worker_restarts,
    )
    yield CounterMetricFamily(
        "edge_worker_hangs",
        "Processes that were killed because they said nothing, among those that were replaced.",
        value=facts.worker_hangs,
    )
    yield CounterMetricFamily(
        "edge_steward_restarts",
        "Times that the process of certificates and metrics ended unasked, and was replaced.",
        value=facts.steward_restarts,
    )
    yield _counter(
        "edge_worker_cpu_seconds",
        "CPU time of each worker, user and system, since it began.",
        ("worker",),
        (((name,), seconds) for name, seconds in facts.cpu_seconds.items()),
    )


def _build() -> Metric:
    python = platform.python_version()
    return InfoMetricFamily(
        "edge_build", "What runs here.", value={"version": __version__, "python": python}
    )


def _counter(name: str, help_text: str, labels: tuple[str, ...], counts: Labelled) -> Metric:
    family = CounterMetricFamily(name, help_text, labels=labels)
    for values, count in counts:
        family.add_metric(values, count)
    return family


def _gauge(name: str, help_text: str, labels: tuple[str, ...], values: Labelled) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, value)
    return family
