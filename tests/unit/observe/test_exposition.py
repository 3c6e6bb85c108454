import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from edgeproxy.observe.counters import Counters
from edgeproxy.observe.exposition import Exposition, render
from edgeproxy.observe.facts import CertificateFacts, Facts

OPEN = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


def exposition(counters: Counters | None = None, facts: Facts | None = None) -> Exposition:
    return Exposition(counters or Counters(), lambda: facts or Facts())


@pytest.mark.parametrize(
    ("accept", "parse", "media_type"),
    [
        ("", parse_plain, "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", parse_plain, "text/plain; version=0.0.4; charset=utf-8"),
        (OPEN, parse_open, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ],
)
def test_both_formats_are_read_by_their_parsers(accept, parse, media_type):
    counters = Counters()
    counters.exchange(("a.example", "entry", "hit", "HTTP/2", 200), 10)
    text, said = render(exposition(counters).snapshot(), accept)
    assert said == media_type
    found = {s.name: s.value for family in parse(text.decode()) for s in family.samples}
    assert found["edge_requests_total"] == 1
    assert found["edge_response_bytes_total"] == 10
    assert found["process_resident_memory_bytes"] > 1_000_000
    assert found["edge_build_info"] == 1


def test_every_family_has_a_help_text_and_stands_once():
    lines = render(exposition().snapshot())[0].decode().splitlines()
    helped = [line.split(" ")[2] for line in lines if line.startswith("# HELP ")]
    typed = [line.split(" ")[2] for line in lines if line.startswith("# TYPE ")]
    assert helped == typed
    assert len(set(typed)) == len(typed)
    assert all(len(line.split(" ", 3)) == 4 for line in lines if line.startswith("#"))


def test_all_numbers_are_of_the_moment_of_the_snapshot():
    counters = Counters()
    counters.exchange(("a", "", "hit", "HTTP/2", 200), 1)
    snapshot = exposition(counters).snapshot()
    counters.exchange(("a", "", "hit", "HTTP/2", 200), 1)
    counters.exchange(("b", "", "hit", "HTTP/2", 200), 1)
    counters.stale_served["error"] += 1
    text = render(snapshot)[0].decode()
    assert 'host="b"' not in text
    assert 'host="a",proto="HTTP/2",rule="_none"} 1.0' in text
    assert "edge_stale_served_total{" not in text


def test_names_of_any_kind_stay_within_their_label():
    facts = Facts(certificates=(CertificateFacts('a"}\n\\x 1', "ecdsa", 1.0, 2.0),))
    text = render(exposition(facts=facts).snapshot())[0].decode()
    found = {
        s.labels["identity"]
        for family in parse_plain(text)
        if family.name == "edge_certificate_not_after_timestamp_seconds"
        for s in family.samples
    }
    assert found == {'a"}\n\\x 1'}
