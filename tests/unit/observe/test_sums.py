"""Tests for edgeproxy/observe/sums.py: what several processes say, as one."""

import json

import pytest

from edgeproxy.observe.counters import Counters
from edgeproxy.observe.facts import Facts, TierFacts
from edgeproxy.observe.sums import (
    add_counters,
    ended,
    pack_counters,
    pack_facts,
    sum_facts,
    unpack_counters,
    unpack_facts,
)
from edgeproxy.tls.handshakes import Handshake


def busy() -> Counters:
    counters = Counters()
    counters.exchange(("a.example", "entry", "hit", "HTTP/2", 200), 7)
    counters.handshake(Handshake("completed", "full", "X25519", "ecdsa"))
    counters.origin_errors["connection_refused"] = 2
    counters.ocsp_fetches["a", "good"] = 1
    counters.coalesced = 3
    return counters


def test_counts_come_through_json_as_they_were():
    counters = busy()
    there = unpack_counters(json.loads(json.dumps(pack_counters(counters))))
    for name in Counters.__slots__:
        assert getattr(there, name) == getattr(counters, name), name
    assert there.snapshot() == counters.snapshot()


def test_counts_that_lack_something_are_none():
    packed = pack_counters(Counters())
    del packed["coalesced"]
    with pytest.raises(KeyError, match="coalesced"):
        unpack_counters(packed)


def test_counts_are_added_kind_by_kind():
    total = busy()
    other = busy()
    other.exchange(("a.example", "entry", "miss", "HTTP/2", 200), 1)
    add_counters(total, other)
    assert total.requests_by("outcome") == {"hit": 2, "miss": 1}
    assert (total.body_bytes, total.coalesced) == (15, 6)
    assert total.origin_errors == {"connection_refused": 4}
    assert sum(total.handshakes.values()) == 2
    assert sum(other.exchanges.values()) == 2  # the other stays as it was


ONE = Facts(
    connections={"https": 2},
    refusals={"tls": 1},
    tiers={"memory": TierFacts(1, 10, 100, 5), "disk": TierFacts(7, 70, 700, 1)},
    quic_replies={"retry": 1},
    early_data={"accepted": 1, "age": 1},
    datagrams_lost=2,
)


def test_facts_come_through_json_as_they_were():
    assert unpack_facts(json.loads(json.dumps(pack_facts(ONE)))) == ONE


def test_facts_are_added_but_what_is_shared_is_there_once():
    other = Facts(
        connections={"https": 1, "http": 4},
        refusals={"tls": 2},
        tiers={"memory": TierFacts(2, 20, 100, 0), "disk": TierFacts(8, 60, 700, 2)},
        quic_replies={"retry": 2, "refusal": 1},
        early_data={"accepted": 3},
        datagrams_lost=3,
    )
    assert sum_facts([ONE, other]) == Facts(
        connections={"https": 3, "http": 4},
        refusals={"tls": 3},
        tiers={"memory": TierFacts(3, 30, 200, 5), "disk": TierFacts(8, 70, 700, 3)},
        quic_replies={"retry": 3, "refusal": 1},
        early_data={"accepted": 4, "age": 1},
        datagrams_lost=5,
    )
    assert sum_facts([]) == Facts()


def test_of_a_process_that_has_ended_its_counts_stay():
    assert sum_facts([ended(ONE)]) == Facts(
        refusals={"tls": 1},
        tiers={"memory": TierFacts(0, 0, 0, 5), "disk": TierFacts(0, 0, 0, 1)},
        quic_replies={"retry": 1},
        early_data={"accepted": 1, "age": 1},
        datagrams_lost=2,
    )
