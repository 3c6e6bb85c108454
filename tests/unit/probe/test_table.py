"""Tests for edgeproxy/probe/table.py."""

import time

import pytest

from edgeproxy.probe.table import lines, span
from edgeproxy.probe.verification import Report
from tests.support.ca import LocalCa
from tests.support.probed import failed, inspection, shown


@pytest.mark.parametrize(
    ("seconds", "text"), [(3600, "1 h"), (-7200, "-2 h"), (3 * 86400, "3 d"), (-3e6, "-35 d")]
)
def test_times_to_go(seconds, text):
    assert span(seconds) == text


def test_columns_and_verdict(tmp_path):
    leaf = LocalCa(tmp_path).issue("a.test")
    report = Report(
        (
            inspection("10.0.0.1", shown(leaf), failed("rsa", is_absent=True), resumes=None),
            inspection("10.0.0.200", failed(), sni=None, unknown=("TLSv1",)),
        ),
        (),
        time.time(),
    )
    head, first, second, empty, note, verdict = lines(report)
    assert head.index("KEY") == first.index("ecdsa") == second.index("any")
    assert first.endswith("-")
    assert second.split() == ["10.0.0.200:443", "-", "any", "failed:", "a", "reason"]
    assert empty == ""
    assert note == "note: 10.0.0.200:443: TLS 1.0: no answer"
    assert verdict == "ok: 2 addresses, all valid and the same"
