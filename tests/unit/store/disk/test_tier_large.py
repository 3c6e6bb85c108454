"""Large bodies in one folder: begun, grown, kept or given up, opened and seen to."""

import hashlib
import os

import pytest

from edgeproxy.cache.stored import LargeBody
from edgeproxy.store.disk import budget, inspection
from edgeproxy.store.disk.faults import DiskError, Health
from edgeproxy.store.disk.rows import row_of
from edgeproxy.store.disk.tier import DiskTier
from tests.support.clock import ManualClock
from tests.support.stored import NOW, stored

BUDGET = 16 * 1024**2
MIB = 1024**2
BODY = bytes(range(256)) * 4096  # 1 MiB
DIGEST = hashlib.sha256(BODY).digest()


@pytest.fixture
def tiers(tmp_path):
    clock = ManualClock()
    both = [
        DiskTier(tmp_path, BUDGET, clock=clock, fsync=number == 0, health=Health(clock, "x"))
        for number in range(2)
    ]
    for tier in both:
        tier.open()
    yield both
    for tier in both:
        tier.close()


@pytest.fixture
def tier(tiers):
    return tiers[0]


def begun(tier, body=BODY, size=None):
    temporary = tier.begin(len(body) if size is None else size)
    temporary.file.write(0, [body])
    return temporary


def large(key=b"k", body=BODY, **more):
    made = stored(key, body, **more)
    made.body = LargeBody(len(body))
    return made


def kept(tier, key=b"k", body=BODY):
    temporary = begun(tier, body)
    assert tier.keep(temporary, large(key, body), NOW)
    temporary.file.let_go()


def reserved(tier):
    return inspection.stats(tier.folder)["reserved_bytes"]


def faults(tier):
    return dict(tier._health.faults)


def body_path(tier):
    name = DIGEST.hex()
    return tier.folder / "bodies" / name[0] / name[1] / name


def test_what_was_kept_is_loaded_without_its_body(tiers):
    one, other = tiers
    kept(one)
    [found] = other.load(b"k", 1000)
    assert found.body == LargeBody(len(BODY))
    assert found.digest == DIGEST
    [found] = other.load(b"k", len(BODY))
    assert found.body == BODY
    assert reserved(one) == 0
    assert one.bytes == len(BODY) + row_of(found).size


def test_what_is_given_up_leaves_nothing(tier):
    temporary = begun(tier)
    assert reserved(tier) > len(BODY)
    tier.discard(temporary)
    tier.discard(temporary)
    assert not temporary.path.exists()
    assert reserved(tier) == 0
    assert not tier.keep(temporary, large(), NOW)
    assert not tier.extend(temporary, 1)
    temporary.file.let_go()


def test_what_was_kept_cannot_be_given_up(tier):
    temporary = begun(tier)
    assert tier.keep(temporary, large(), NOW)
    tier.discard(temporary)
    assert len(tier.load(b"k", 0)) == 1
    temporary.file.let_go()


def test_a_body_that_grows_reserves_more(tier):
    temporary = begun(tier, size=0)
    before = reserved(tier)
    assert tier.extend(temporary, MIB)
    assert reserved(tier) == before + MIB
    assert not tier.extend(temporary, BUDGET)
    assert tier.keep(temporary, large(), NOW)
    assert reserved(tier) == 0
    temporary.file.let_go()


def test_what_turns_out_longer_than_was_reserved_reserves_the_rest(tier):
    temporary = begun(tier, size=0)
    assert tier.keep(temporary, large(), NOW)
    assert reserved(tier) == 0
    temporary.file.let_go()
    hungry = begun(tier, b"x" * 5 * MIB, size=0)
    others = tier.begin(9 * MIB)
    assert not tier.keep(hungry, large(b"h", b"x" * 5 * MIB), NOW)
    for each in (hungry, others):
        tier.discard(each)
        each.file.let_go()
    assert reserved(tier) == 0


def test_what_does_not_fit_is_not_begun(tier):
    assert tier.begin(BUDGET) is None
    one = tier.begin(8 * MIB)
    assert tier.begin(8 * MIB) is None  # all that could go is gone, and it is still too much
    tier.discard(one)
    one.file.let_go()


def test_a_large_body_makes_small_ones_go(tier):
    for number in range(6):
        tier.put(stored(b"k%d" % number, bytes([number]) * MIB), NOW)
    temporary = tier.begin(10 * MIB)
    assert temporary is not None
    assert tier.objects < 3
    assert tier.evictions > 3
    tier.discard(temporary)
    temporary.file.let_go()


def test_nothing_is_begun_before_the_folder_was_swept(tier):
    with tier._writing() as db:
        db.execute("UPDATE ledger SET is_swept = 0")
    assert tier.begin(1) is None


def test_what_another_process_forgot_meanwhile_is_not_kept(tiers):
    one, other = tiers
    temporary = begun(one)
    other.forget(b"k")
    assert not one.keep(temporary, large(), NOW - 1)
    assert not temporary.path.exists()
    assert reserved(one) == 0
    temporary.file.let_go()


def test_equal_bodies_are_one_file(tiers):
    one, other = tiers
    kept(one, b"a")
    kept(other, b"b")
    assert len([each for each in (one.folder / "bodies").rglob("*") if each.is_file()]) == 1
    assert (one.load(b"a", 0)[0].digest, one.load(b"b", 0)[0].digest) == (DIGEST, DIGEST)


def test_a_process_that_ends_before_the_last_step_leaves_nothing(tiers):
    one, other = tiers
    temporary = begun(one)
    with one._writing() as db:  # the name is in place, its row is not
        db.execute("UPDATE reservations SET digest = ?", (DIGEST,))
    one._files.settle(temporary.path, DIGEST)
    one._files.release()
    other.open()
    assert not body_path(other).exists()
    assert reserved(other) == 0
    temporary.file.let_go()


def test_a_file_that_cannot_be_begun_gives_back_what_was_reserved(tier, monkeypatch):
    monkeypatch.setattr(tier._files, "create", lambda: os.open("/nowhere/at/all", os.O_RDONLY))
    with pytest.raises(DiskError):
        tier.begin(1)
    assert reserved(tier) == 0


def test_a_file_that_cannot_be_flushed_is_a_fault(tier, monkeypatch):
    temporary = begun(tier)

    def flush():
        raise OSError(28, "no space")

    monkeypatch.setattr(temporary.file, "flush", flush)
    with pytest.raises(DiskError) as caught:
        tier.keep(temporary, large(), NOW)
    assert caught.value.reason == "no_space"
    tier.discard(temporary)
    temporary.file.let_go()


def test_a_response_of_a_body_that_is_there_is_put_beside_it(tier):
    kept(tier)
    tier.put(large(b"other"), NOW)
    assert len(tier.load(b"other", 0)) == 1
    tier.put(large(b"other", b"nobody has this"), NOW)
    assert tier.load(b"other", 0) == ()


def test_an_opened_body_is_seen_to_once(tier, monkeypatch):
    kept(tier)
    monkeypatch.setattr(tier._proven, "knows", lambda *_: False)
    file = tier.open_body(DIGEST, len(BODY))
    assert file.read(0, 10) == BODY[:10]
    file.let_go()
    monkeypatch.undo()
    monkeypatch.setattr("edgeproxy.store.disk.shared.digest_of", None)  # it is not asked again
    file = tier.open_body(DIGEST, len(BODY))
    file.let_go()


@pytest.mark.parametrize("damage", ["flip", "shorten", "remove"])
def test_what_is_broken_is_let_go_of_by_all_who_have_it(tiers, damage):
    one, other = tiers
    kept(one, b"a")
    kept(one, b"b")
    path = body_path(one)
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(BODY[:-1] if damage == "shorten" else BODY[:-1] + b"\1")
    with pytest.raises(DiskError):
        other.open_body(DIGEST, len(BODY))
    assert other.load(b"a", 0) == other.load(b"b", 0) == ()
    assert faults(other) == {"missing_file" if damage == "remove" else "digest": 1}
    assert not path.exists()


def test_what_was_stored_once_more_meanwhile_stays(tier, monkeypatch):
    kept(tier)

    def missing(*_):
        raise FileNotFoundError(2, "no such file")

    monkeypatch.setattr(tier._files, "open", missing)
    with pytest.raises(DiskError):
        tier.open_body(DIGEST, len(BODY))
    assert len(tier.load(b"k", 0)) == 1
    assert faults(tier) == {}


def test_a_file_that_is_missing_is_noticed_when_it_is_loaded(tier):
    kept(tier)
    body_path(tier).unlink()
    assert tier.load(b"k", 0) == ()
    assert faults(tier) == {"missing_file": 1}


def test_a_disk_that_cannot_be_read_is_a_fault_and_nothing_goes(tier, monkeypatch):
    kept(tier)

    def fails(*_):
        raise OSError(5, "input/output error")

    monkeypatch.setattr(tier._files, "open", fails)
    with pytest.raises(DiskError) as caught:
        tier.open_body(DIGEST, len(BODY))
    assert caught.value.reason == "io"
    monkeypatch.undo()
    monkeypatch.setattr(tier._proven, "knows", fails)
    with pytest.raises(DiskError):
        tier.open_body(DIGEST, len(BODY))
    monkeypatch.undo()
    assert len(tier.load(b"k", 0)) == 1
    monkeypatch.setattr(tier._files, "has", fails)
    assert tier.load(b"k", 0) == ()


def test_reservations_that_could_not_be_given_up_are_so_with_the_next_one(tier, monkeypatch):
    temporary = begun(tier)

    def fails(*_):
        raise DiskError("index", "busy", "x")

    monkeypatch.setattr(budget, "abandon", fails)
    tier.discard(temporary)
    monkeypatch.undo()
    assert reserved(tier) > 0
    other = tier.begin(1)
    tier.discard(other)
    for each in (temporary, other):
        each.file.let_go()
    assert reserved(tier) == 0
