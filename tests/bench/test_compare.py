"""The comparison's arithmetic: what h2load says, which runs count, what a ratio is."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from bench import report
from bench.compare.__main__ import arguments, requests_for
from bench.compare.load import (
    Load,
    LoadError,
    Sample,
    check,
    cpu_seconds,
    family,
    parse_h2load,
    resident_bytes,
)
from bench.compare.results import SizeResult, document
from bench.compare.servers import EDGE
from edgeproxy.config.load import load_text
from edgeproxy.tls.development import issue_leaf, make_ca

H2LOAD = """\
starting benchmark...
spawning thread #0: 20 total client(s). 50000 total requests
TLS Protocol: TLSv1.3
Cipher: TLS_AES_256_GCM_SHA384
Server Temp Key: X25519 253 bits
Application protocol: h2
progress: 100% done

finished in 1.20s, 41658.75 req/s, 46.76MB/s
requests: 50000 total, 50000 started, 50000 done, 50000 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 50000 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 56.12MB (58850480) total, 6.44MB (6750000) headers (space savings -2.27%), \
48.83MB (51200000) data
"""


def sample(microseconds: float) -> Sample:
    return Sample(microseconds, 1000.0, 100.0, 1 << 20)


def test_the_report_of_h2load_is_read():
    outcome = parse_h2load(H2LOAD)
    assert (outcome.requests, outcome.succeeded) == (50_000, 50_000)
    assert (outcome.header_bytes, outcome.data_bytes) == (6_750_000, 51_200_000)
    assert outcome.requests_per_second == 41658.75
    assert (outcome.protocol, outcome.suite) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")


def test_a_report_without_result_is_an_error():
    with pytest.raises(LoadError, match="no result"):
        parse_h2load("could not connect")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"succeeded": 49_999}, "49999 of 50000 requests succeeded"),
        ({"data_bytes": 51_199_999}, "51200000 were asked for"),
        ({"suite": "TLS_AES_128_GCM_SHA256"}, "TLS_AES_128_GCM_SHA256, not"),
        ({"protocol": "TLSv1.2"}, r"spoken was TLSv1\.2"),
    ],
)
def test_a_run_that_lost_anything_does_not_count(change, words):
    outcome = parse_h2load(H2LOAD)
    check(outcome, 50_000, 1024, Load())
    with pytest.raises(LoadError, match=words):
        check(replace(outcome, **change), 50_000, 1024, Load())


def test_the_ratio_compares_neighbours_in_time():
    # the machine was twice as slow in the second round: a ratio of medians would not tell that
    result = SizeResult(1024, 1000, [sample(10), sample(22), sample(9)])
    result.theirs = [sample(10), sample(20), sample(9)]
    assert result.ratio == 1.0
    assert result.to_json()["kept"] is True


def test_a_bar_can_be_passed():
    result = SizeResult(102_400, 1000, [sample(11.1)], [sample(10)])
    assert result.to_json()["kept"] is False
    assert result.to_json()["bar"] == 1.1


def test_the_table_says_what_was_measured_and_how():
    results = [
        SizeResult(1024, 1000, [sample(11)], [sample(10)]),
        SizeResult(1 << 20, 100, [sample(700)], [sample(500)]),
    ]
    load = Load(fields=("accept: */*",))
    versions = {"edgeproxy": "0.1.0", "nginx": "1.22.1"}
    text = report.table(document(results, load=load, versions=versions, server_core=0))
    assert "-c 20 -m 10, TLS 1.3 TLS_AES_256_GCM_SHA384, 1 extra request fields" in text
    assert "| body | edgeproxy 0.1.0 | nginx 1.22.1 | ratio | bar | kept |" in text
    assert "| 1 KB | 11.0 | 10.0 | 1.10 | 1.3 | yes |" in text
    assert "| 1 MB | 700.0 | 500.0 | 1.40 | 1.1 | NO |" in text


def test_cpu_and_memory_of_a_process_family_are_read_from_the_kernel():
    me = os.getpid()
    assert me in family(me)
    assert 0 < cpu_seconds(me) < 100_000
    assert resident_bytes(me) > 1 << 20


def test_runs_are_long_enough_to_be_counted_in_hundredths_of_a_second():
    assert requests_for(1024, None) == 160_000
    assert requests_for(300_000, None) == 5_333
    assert requests_for(1024, 50) == 50


def test_every_flag_has_a_default():
    options = arguments([])
    assert (options.clients, options.streams, options.rounds) == (20, 10, 5)
    assert not options.gate


def test_the_edge_is_measured_with_a_configuration_that_loads(tmp_path: Path):
    ca = make_ca(tmp_path)
    leaf = issue_leaf(ca, tmp_path)
    text = EDGE.format(
        workers=1,
        port=8443,
        origin_port=9443,
        ca=ca.path,
        chain=leaf.chain_path,
        key=leaf.key_path,
    )
    config = load_text(text, base=tmp_path)
    assert [rule.policy for rule in config.host[0].rule] == ["entry", "versioned"]
