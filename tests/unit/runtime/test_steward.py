"""Tests for edgeproxy/runtime/steward.py; a whole one is in tests/protocol/test_workers.py."""

from edgeproxy.clock import SystemClock
from edgeproxy.config.certificates import load_certificates
from edgeproxy.config.files import identity_sources
from edgeproxy.config.load import load_text
from edgeproxy.runtime.generation import Generation
from edgeproxy.runtime.steward import Stewardship, reread
from tests.support.pop import make_place


def test_a_following_steward_reads_what_can_be_used_now(tmp_path, caplog):
    place = make_place(tmp_path)
    config = load_text(place.text("https://127.0.0.1:9"), base=tmp_path)
    first = load_certificates(config)
    pairs = list(zip(identity_sources(config), first, strict=True))
    generation = Generation(0, config, pairs)
    given = Stewardship(generation, 1, None, [], None, SystemClock(), 0.0, 1, is_first=False)
    leaf = place.ca.issue("localhost", "other.test")
    place.leaf.chain_path.write_bytes(leaf.chain_path.read_bytes())
    assert reread(given) == pairs  # the key does not belong to it yet
    assert "that of the start is used" in caplog.text
    place.leaf.key_path.write_bytes(leaf.key_path.read_bytes())
    [(_, now)] = reread(given)
    assert now.names == ("localhost", "other.test")
