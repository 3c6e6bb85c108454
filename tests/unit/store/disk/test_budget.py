import pytest

from edgeproxy.store.disk import budget
from edgeproxy.store.disk.files import BodyFiles
from edgeproxy.store.disk.index import Index


@pytest.fixture
def folder(tmp_path):
    index, files = Index(tmp_path, fsync=False), BodyFiles(tmp_path, fsync=False)
    index.open()
    files.claim()
    yield index, files
    files.release()
    index.close()


def test_what_is_reserved_counts_until_it_is_given_up(folder):
    index, files = folder
    with index.write() as db:
        reservation = budget.reserve(db, files.writer, b"d" * 32, 5000)
        assert budget.missing(db, 1000, 5999) == 1
        assert budget.is_expected(db, b"d" * 32)
        budget.abandon(db, files, reservation)
        budget.abandon(db, files, reservation)
        assert budget.missing(db, 1000, 5999) == -4999
        assert not budget.is_expected(db, b"d" * 32)


def test_nothing_is_evicted_where_nothing_is(folder):
    index, files = folder
    with index.write() as db:
        assert budget.evict(db, 1) == 0
        assert budget.reap(db, files) == 0
