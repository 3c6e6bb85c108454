import hashlib

from edgeproxy.store.disk import inspection
from edgeproxy.store.disk.faults import Health
from edgeproxy.store.disk.tier import DiskTier
from tests.support.clock import ManualClock
from tests.support.stored import NOW, stored

BUDGET = 16 * 1024**2


def opened(folder):
    clock = ManualClock()
    tier = DiskTier(folder, BUDGET, clock=clock, fsync=True, health=Health(clock, "x"))
    tier.open()
    return tier


def filled(folder):
    tier = opened(folder)
    for number in range(3):
        tier.put(stored(b"k%d" % number, b"%d" % number), NOW)
    tier.close()


def look(folder, *, is_repair=False):
    return inspection.verify(folder, is_repair=is_repair, progress=lambda *_: None)


def test_what_is_wrong_is_found_and_removed_when_asked(tmp_path):
    filled(tmp_path)
    assert look(tmp_path).findings == []
    name = hashlib.sha256(b"1").hexdigest()
    (tmp_path / "bodies" / name[0] / name[1] / name).write_bytes(b"9")
    orphan = tmp_path / "bodies" / "a" / "b" / ("ab" * 32)
    orphan.parent.mkdir(parents=True, exist_ok=True)
    orphan.touch()
    assert len(look(tmp_path).findings) == 2
    assert look(tmp_path, is_repair=True).repaired == 2
    report = look(tmp_path)
    assert (report.findings, report.responses) == ([], 2)


def test_stats_and_an_end_to_everything(tmp_path):
    filled(tmp_path)
    assert inspection.stats(tmp_path)["objects"] == 3
    assert inspection.clear(tmp_path) == 3
    said = inspection.stats(tmp_path)
    assert (said["objects"], said["bytes"], said["bodies"]) == (0, 0, 0)


def test_a_broken_index_is_repaired_only_when_asked(tmp_path):
    filled(tmp_path)
    (tmp_path / "index.sqlite").write_bytes(b"nothing" * 1000)
    report = look(tmp_path, is_repair=True)
    assert report.repaired == 4
    assert look(tmp_path).findings == []


def test_a_body_that_goes_while_it_is_looked_at_is_no_finding_nor_is_what_follows_it(tmp_path):
    filled(tmp_path)
    tier = opened(tmp_path)
    tier.swept()

    def change(number, total):
        if number == total - 1:  # the newest body's number is given again
            tier.forget(b"k2")
            tier.put(stored(b"k3", b"3"), NOW)

    report = inspection.verify(tmp_path, is_repair=True, progress=change)
    tier.close()
    assert report.findings == []
    assert inspection.stats(tmp_path)["objects"] == 3
