from edgeproxy.store.disk import budget, recovery
from edgeproxy.store.disk.files import BodyFiles
from edgeproxy.store.disk.index import Index


def test_what_the_dead_reserved_and_renamed_is_gone_at_the_next_start(tmp_path):
    index, files = Index(tmp_path, fsync=False), BodyFiles(tmp_path, fsync=False)
    index.open()
    files.claim()
    digest = b"\xab" * 32
    with index.write() as db:
        budget.reserve(db, files.writer, digest, 5000)
    files.settle(files.write(b"body"), digest)
    files.release()
    files.claim()
    assert recovery.bury_the_dead(index, files) == 1
    assert not files.has(digest, 4)
    assert index.read("SELECT bytes FROM ledger") == [(0,)]
    files.settle(files.write(b"body"), digest)
    assert recovery.sweep(index, files, "ab") == 1
    assert recovery.sweep(index, files, "ab") == 0
    files.release()
    index.close()
