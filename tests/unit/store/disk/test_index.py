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
