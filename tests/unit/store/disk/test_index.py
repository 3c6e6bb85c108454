import sqlite3

import pytest

from edgeproxy.store.disk.faults import DiskError
from edgeproxy.store.disk.index import Index


@pytest.fixture
def index(tmp_path):
    one = Index(tmp_path, fsync=False)
    one.open()
    yield one
    one.close()


def test_a_transaction_that_fails_changes_nothing(index):
    def fail():
        with index.write() as db:
            db.execute("UPDATE ledger SET bytes = 7")
            db.execute("NONSENSE")

    with pytest.raises(DiskError):
        fail()
    assert index.read("SELECT bytes FROM ledger") == [(0,)]


def test_an_index_of_another_version_is_set_aside(index, tmp_path):
    index.close()
    db = sqlite3.connect(tmp_path / "index.sqlite")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(DiskError, match="version 99"):
        index.open(may_create=False)
    index.open()
    assert (tmp_path / "index.sqlite.bad").exists()


def test_who_has_the_old_file_open_notices_the_new_one(index, tmp_path):
    other = Index(tmp_path, fsync=False)
    other.open()
    other.set_aside()
    other.open()
    with pytest.raises(DiskError, match="replaced"), index.write():
        pass
    other.close()


class Overtaken(Index):
    """Meets one that makes the same index meanwhile, right behind its n-th statement."""

    def __init__(self, folder, other, behind):
        super().__init__(folder, fsync=False)
        self.other, self.left = other, behind

    def _connect(self, *, may_create=False):
        db = super()._connect(may_create=may_create)
        overtaken = self

        class Connection:
            def execute(self, statement):
                found = db.execute(statement)
                overtaken.left -= 1
                if not overtaken.left:
                    overtaken.other.open()
                return found

            def __getattr__(self, name):
                return getattr(db, name)

        return Connection()


@pytest.mark.parametrize("behind", [1, 2])
def test_two_that_begin_at_once_share_what_one_of_them_makes(tmp_path, behind):
    other = Index(tmp_path, fsync=False)
    one = Overtaken(tmp_path, other, behind)
    one.open()
    assert one.left <= 0
    assert not (tmp_path / "index.sqlite.bad").exists()
    for each in (one, other):
        with each.write():
            pass
        each.close()
