import sqlite3

import pytest

from edgeproxy.store.disk import budget
from edgeproxy.store.disk.faults import DiskError, Health
from edgeproxy.store.disk.tier import DiskTier
from edgeproxy.store.memory import VARIANTS_MAX
from tests.support.clock import ManualClock
from tests.support.stored import NOW, stored

BUDGET = 16 * 1024**2


@pytest.fixture
def tiers(tmp_path):
    clock = ManualClock()
    both = [
        DiskTier(tmp_path, BUDGET, clock=clock, fsync=False, health=Health(clock, "x"))
        for _ in range(2)
    ]
    for tier in both:
        tier.open()
    yield both
    for tier in both:
        tier.close()


def test_another_process_forgets_what_is_on_its_way(tiers):
    one, other = tiers
    other.forget(b"k")
    one.put(stored(), NOW - 1)
    assert one.load(b"k") == ()
    one.put(stored(), NOW + 1)
    assert len(other.load(b"k")) == 1


def test_equal_bodies_are_kept_once_and_as_long_as_anybody_has_them(tiers):
    one, other = tiers
    one.put(stored(b"a"), NOW)
    other.put(stored(b"b"), NOW)
    other.forget(b"a")
    assert len(one.load(b"b")) == 1
    one.clear()
    assert (one.objects, one.bytes) == (0, 0)


def test_variants_are_bounded(tiers):
    one, _ = tiers
    for number in range(VARIANTS_MAX + 2):
        line = (b"accept-language", b"l%d" % number)
        fields = [(b"vary", b"Accept-Language")]
        one.put(stored(fields=fields, request_fields=[line]), NOW)
    assert one.objects == VARIANTS_MAX


def test_what_is_larger_than_the_tier_is_not_kept_and_takes_the_older_one_along(tiers):
    one, _ = tiers
    one.put(stored(), NOW)
    one.put(stored(body=b"." * BUDGET), NOW)
    assert one.load(b"k") == ()


def test_a_file_that_cannot_be_removed_undoes_nothing_and_goes_later(tiers, tmp_path):
    one, _ = tiers
    one.put(stored(), NOW)
    bodies, away = tmp_path / "bodies", tmp_path / "away"
    bodies.rename(away)
    bodies.symlink_to("bodies")
    one.forget(b"k")
    assert (one.load(b"k"), one.objects) == ((), 0)
    assert one.bytes > 0  # it is still there, and counted
    bodies.unlink()
    away.rename(bodies)
    one.forget(b"other")
    assert one.bytes == 0


def test_an_index_that_fails_is_nothing_to_be_passed_over(tiers, monkeypatch):
    one, _ = tiers
    one.put(stored(), NOW)
    with monkeypatch.context() as patched:
        patched.setattr(
            budget, "reap", lambda *_: (_ for _ in ()).throw(sqlite3.OperationalError("disk I/O"))
        )
        with pytest.raises(DiskError):
            one.forget(b"k")
