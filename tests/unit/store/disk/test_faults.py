import errno
import sqlite3

import pytest

from edgeproxy.store.disk.faults import DiskError, Health, failed, reason_of
from tests.support.clock import ManualClock


@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.ENOSPC, "no_space"), (errno.EROFS, "read_only"), (errno.EIO, "io")],
)
def test_each_fault_has_a_word(number, reason):
    assert reason_of(OSError(number, "x")) == reason
    assert failed("bodies", OSError(number, "x")).reason == reason


def test_what_is_no_database_is_a_matter_of_the_index(tmp_path):
    (tmp_path / "x").write_bytes(b"nothing" * 200)
    db = sqlite3.connect(tmp_path / "x")
    with pytest.raises(sqlite3.DatabaseError) as caught:
        db.execute("SELECT * FROM a")
    db.close()
    assert reason_of(caught.value) == "index"


def test_a_part_that_fails_is_left_alone_for_longer_each_time(caplog):
    clock = ManualClock()
    health = Health(clock, "here")
    for seconds in (1, 2, 4):
        health.failed(DiskError("index", "io", "x"))
        clock.advance(seconds - 0.5)
        assert health.is_down("index")
        clock.advance(0.5)
        assert not health.is_down("index")
    assert not health.is_down("bodies")
    health.fine("index")
    assert health.faults == {"io": 3}
    assert len(caplog.records) == 1


def test_what_fails_while_a_part_is_left_alone_makes_it_no_longer():
    clock = ManualClock()
    health = Health(clock, "here")
    for _ in range(50):
        health.failed(DiskError("bodies", "io", "x"))
    assert health.faults == {"io": 50}
    clock.advance(1.0)
    assert not health.is_down("bodies")
