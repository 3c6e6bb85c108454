"""Tests for edgeproxy/runtime/serving.py; whole workers are in tests/protocol/test_workers.py."""

from edgeproxy.runtime.serving import _unstapled
from edgeproxy.tls.identity import load_identity
from tests.support.ca import LocalCa


def test_what_must_be_stapled_and_is_not_is_named(tmp_path):
    ca = LocalCa(tmp_path)
    plain = load_identity([ca.issue("a.test").files])
    strict = load_identity([ca.issue("b.test", must_staple=True).files])
    assert _unstapled([plain, strict]) == ["b.test"]
