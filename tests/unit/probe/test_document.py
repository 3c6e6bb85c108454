"""Tests for edgeproxy/probe/document.py."""

import json
import time

from edgeproxy.probe.document import document
from edgeproxy.probe.findings import Finding
from edgeproxy.probe.staples import judge
from edgeproxy.probe.verification import Report
from tests.support.ca import LocalCa
from tests.support.ocsp_answers import OcspAnswers
from tests.support.probed import failed, inspection, shown


def test_everything_is_said(tmp_path):
    ca, now = LocalCa(tmp_path), time.time()
    leaf = ca.intermediate().issue("a.test")
    [_, issuer] = leaf.chain
    staple = judge(OcspAnswers(ca).about(leaf.certificate), leaf.certificate, None, now)
    one = inspection("10.0.0.1", shown(leaf, staple=staple, issuer=issuer), failed("rsa"))
    finding = Finding("10.0.0.1:443", "", "rsa", "failed")
    made = json.loads(json.dumps(document(Report((one,), (finding,), now))))
    assert made["ok"] is False
    assert made["findings"] == [
        {"address": "10.0.0.1:443", "name": None, "key_type": "rsa", "message": "failed"}
    ]
    first, second = made["targets"][0]["credentials"]
    assert [each["subject"] for each in first["chain"]] == ["CN=a.test", "CN=test intermediate"]
    assert first["has_sent_issuer"] is True
    assert first["staple"]["state"] == "no_issuer"
    assert 0 < first["staple"]["seconds_left"] < 4 * 86400
    assert (second["outcome"], second["failure"]) == ("handshake", "a reason")
    assert made["certificates"] == [{"sha256": first["sha256"], "count": 1}]
