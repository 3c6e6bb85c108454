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


def test_handshakes_are_counted_by_what_they_came_to() -> None:
    counters = Counters()
    for _ in range(2):
        counters.handshake(("completed", "full", "X25519", "ecdsa"))
    counters.handshake(("timeout", "", "", ""))
    assert counters.handshakes["completed", "full", "X25519", "ecdsa"] == 2
    assert counters.snapshot()["handshakes"] == {"completed full X25519 ecdsa": 2, "timeout": 1}
