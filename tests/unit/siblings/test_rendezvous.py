"""Tests for edgeproxy/siblings/rendezvous.py."""

from collections import Counter

from edgeproxy.siblings.rendezvous import owner_of

KEYS = [b"https\0h\0/%d" % number for number in range(4000)]


def test_every_worker_owns_as_much_as_any_other() -> None:
    for workers in (1, 2, 3, 8):
        owned = Counter(owner_of(key, workers) for key in KEYS)
        assert set(owned) == set(range(workers))
        assert min(owned.values()) > 0.85 * len(KEYS) / workers


def test_one_worker_more_takes_its_share_and_moves_nothing_else() -> None:
    moved = [key for key in KEYS if owner_of(key, 4) != owner_of(key, 5)]
    assert {owner_of(key, 5) for key in moved} == {4}
