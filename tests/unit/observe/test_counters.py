import json

import pytest

from edgeproxy.observe.counters import Counters


def test_exchanges_sum_up_by_every_label() -> None:
    counters = Counters()
    counters.exchange(("a", "entry", "hit", "HTTP/2", 200), 10)
    counters.exchange(("a", "entry", "hit", "HTTP/2", 304), 0)
    counters.exchange(("b", "", "miss", "HTTP/1.1", 404), 5)
    assert counters.requests_by("site") == {"a": 2, "b": 1}
    assert counters.requests_by("rule") == {"entry": 2, "": 1}
    assert counters.requests_by("outcome") == {"hit": 2, "miss": 1}
    assert counters.requests_by("protocol") == {"HTTP/2": 2, "HTTP/1.1": 1}
    assert counters.requests_by("status_class") == {"2xx": 1, "3xx": 1, "4xx": 1}
    assert counters.body_bytes == 15


def test_an_unknown_label_is_a_defect() -> None:
    counters = Counters()
    counters.exchange(("a", "", "hit", "HTTP/2", 200), 1)
    with pytest.raises(ValueError, match="client"):
        counters.requests_by("client")


def test_a_snapshot_is_plain_data() -> None:
    counters = Counters()
    counters.exchange(("a", "", "hit", "HTTP/2", 200), 1)
    counters.refusals["host"] += 2
    counters.stale_served["error"] += 1
    snapshot = json.loads(json.dumps(counters.snapshot()))
    assert snapshot["requests"] == 1
    assert snapshot["requests_by_status_class"] == {"2xx": 1}
    assert snapshot["refusals"] == {"host": 2}
    assert snapshot["stale_served"] == {"error": 1}


def test_a_snapshot_does_not_move() -> None:
    counters = Counters()
    before = counters.snapshot()
    counters.refusals["host"] += 1
    assert before["refusals"] == {}


def test_a_copy_has_the_same_counts_and_is_its_own() -> None:
    counters = Counters()
    counters.exchange(("a", "", "hit", "HTTP/2", 200), 7)
    counters.handshakes["ok", "full", "X25519", "rsa"] += 1
    copied = counters.copy()
    assert copied.snapshot() == counters.snapshot()
    counters.exchange(("a", "", "hit", "HTTP/2", 200), 7)
    counters.handshakes["ok", "full", "X25519", "rsa"] += 1
    counters.coalesced += 1
    assert (copied.body_bytes, copied.coalesced, copied.handshakes.total()) == (7, 0, 1)


def test_counts_by_several_words_can_be_json() -> None:
    counters = Counters()
    counters.ocsp_fetches["www.example", "good"] += 2
    snapshot = json.loads(json.dumps(counters.snapshot()))
    assert snapshot["ocsp_fetches"] == {"www.example good": 2}
    assert snapshot["handshakes"] == {}
