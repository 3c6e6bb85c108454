import re
from dataclasses import replace

import pytest
from prometheus_client.metrics_core import Metric

from edgeproxy.observe.counters import Counters
from edgeproxy.observe.facts import CertificateFacts, Facts, ProcessFacts, TierFacts
from edgeproxy.observe.families import families

FACTS = Facts(
    connections={"https": 3, "http": 0},
    refusals={"connections_max": 2},
    quic_replies={"retry": 4, "stateless_reset": 1},
    early_data={"replayed": 2},
    datagrams_lost=6,
    tiers={"memory": TierFacts(5, 1000, 4096, 7)},
    certificates=(
        CertificateFacts("a.example", "ecdsa", 100.0, 900.0, 200.0, 300.0),
        CertificateFacts("a.example", "rsa", 100.0, 800.0),
        CertificateFacts("b.example", "ecdsa", 100.0, 700.0, is_withheld=True),
    ),
)


def counted() -> Counters:
    """Every counter counts something."""
    counters = Counters()
    counters.exchange(("a.example", "entry", "hit", "HTTP/2", 200), 10)
    counters.exchange(("a.example", "", "miss", "HTTP/1.1", 404), 5)
    for name in Counters.__slots__:
        value = getattr(counters, name)
        if isinstance(value, int):
            setattr(counters, name, value or 1)
    for words in (counters.origin_errors, counters.stale_served, counters.discarded_fills):
        words["word"] += 1
    counters.refusals["host"] += 1
    counters.reloads["refused"] += 1
    counters.sibling_requests["answered"] += 1
    counters.codings["identity br fast"] += 4
    counters.certificate_swaps["a.example"] += 1
    counters.handshakes["ok", "full", "X25519MLKEM768", "ecdsa"] += 9
    counters.ocsp_fetches["a.example", "good"] += 1
    counters.certificate_loads["a.example", "loaded"] += 1
    return counters


def values(facts: Facts = FACTS) -> dict[str, float]:
    """All samples, as they would stand in a query."""
    return {
        f"{s.name}{{{','.join(f'{k}={v}' for k, v in s.labels.items())}}}": s.value
        for family in families(counted(), facts)
        for s in family.samples
    }


def test_every_counter_is_shown():
    shown = {sample.name for family in families(counted(), FACTS) for sample in family.samples}
    empty = {sample.name for family in families(Counters(), FACTS) for sample in family.samples}
    labelled = [
        name for name in Counters.__slots__ if not isinstance(getattr(Counters(), name), int)
    ]
    assert len(shown - empty) + 1 == len(labelled)  # edge_refusals has those of connections too
    assert values()["edge_refusals_total{of=request,limit=host}"] == 1


@pytest.mark.parametrize(
    ("series", "value"),
    [
        ("edge_requests_total{host=a.example,rule=entry,cache=hit,proto=HTTP/2,code=200}", 1),
        ("edge_requests_total{host=a.example,rule=_none,cache=miss,proto=HTTP/1.1,code=404}", 1),
        ("edge_response_bytes_total{}", 15),
        ("edge_refusals_total{of=connection,limit=connections_max}", 2),
        ("edge_codings_total{source=identity,target=br,level=fast}", 4),
        ("edge_connections{listener=https}", 3),
        ("edge_quic_replies_total{kind=retry}", 4),
        ("edge_quic_early_data_total{outcome=replayed}", 2),
        ("edge_quic_datagrams_lost_total{}", 6),
        ("edge_draining{}", 0),
        ("edge_cache_objects{tier=memory}", 5),
        ("edge_cache_bytes{tier=memory}", 1000),
        ("edge_cache_capacity_bytes{tier=memory}", 4096),
        ("edge_cache_evictions_total{tier=memory}", 7),
        (
            "edge_tls_handshakes_total{outcome=ok,resumption=full,group=X25519MLKEM768,key=ecdsa}",
            9,
        ),
        ("edge_ocsp_fetches_total{identity=a.example,result=good}", 1),
        ("edge_certificate_loads_total{identity=a.example,result=loaded}", 1),
        ("edge_certificate_swaps_total{identity=a.example}", 1),
        ("edge_certificate_not_before_timestamp_seconds{identity=a.example,key=rsa}", 100),
        ("edge_certificate_not_after_timestamp_seconds{identity=a.example,key=rsa}", 800),
        ("edge_staple_this_update_timestamp_seconds{identity=a.example,key=ecdsa}", 200),
        ("edge_staple_next_update_timestamp_seconds{identity=a.example,key=ecdsa}", 300),
        ("edge_identity_withheld{identity=a.example}", 0),
        ("edge_identity_withheld{identity=b.example}", 1),
    ],
)
def test_what_is_known_has_a_series(series, value):
    assert values()[series] == value


def test_a_staple_that_is_not_there_has_no_time():
    shown = [series for series in values() if series.startswith("edge_staple_")]
    assert len(shown) == 2
    assert all("key=ecdsa" in series and "a.example" in series for series in shown)


def test_one_certificate_of_two_identities_is_no_series_twice():
    twice = Facts(certificates=(*FACTS.certificates, *FACTS.certificates))
    samples = [s for family in families(Counters(), twice) for s in family.samples]
    series = [(s.name, tuple(s.labels.items())) for s in samples]
    assert len(series) == len(set(series))


def test_the_build_is_named():
    assert any(series.startswith("edge_build_info{version=") for series in values())


@pytest.mark.parametrize("family", [*families(counted(), FACTS)], ids=lambda each: each.name)
def test_names_are_what_promtool_asks_for(family: Metric):
    assert re.fullmatch(r"edge_[a-z]+(_[a-z]+)*", family.name)
    assert family.documentation.endswith(".")
    for reserved in ("_total", "_info", "_count", "_sum", "_bucket"):
        assert not family.name.endswith(reserved)  # suffixes are the format's
    abbreviated = {"ms", "sec", "secs", "kb", "mb", "milliseconds", "minutes", "hours"}
    assert not abbreviated & set(family.name.split("_"))
    for sample in family.samples:
        assert sample.name.endswith("_total") == (family.type == "counter")
        for label, text in sample.labels.items():
            assert re.fullmatch("[a-z]+", label)
            assert isinstance(text, str)


def test_processes_are_shown_where_there_are_several():
    shown = values(replace(FACTS, processes=ProcessFacts(2, 3, 2, 1, {"0": 1.5, "1": 2.0})))
    assert shown["edge_workers{}"] == 2
    assert shown["edge_worker_restarts_total{}"] == 3
    assert shown["edge_worker_hangs_total{}"] == 2
    assert shown["edge_steward_restarts_total{}"] == 1
    assert shown["edge_worker_cpu_seconds_total{worker=1}"] == 2.0
    assert not [name for name in values() if "worker" in name]
