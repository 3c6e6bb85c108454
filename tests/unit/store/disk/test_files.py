import hashlib

from edgeproxy.store.disk.files import BodyFiles, space_of


def test_a_body_is_found_by_its_digest(tmp_path):
    files = BodyFiles(tmp_path, fsync=True)
    files.claim()
    digest = hashlib.sha256(b"body").digest()
    files.settle(files.write(b"body"), digest)
    assert files.read(digest, 4) == b"body"
    assert files.has(digest, 4)
    assert not files.has(digest, 5)
    assert list(files.names(digest.hex()[:2])) == [digest]
    files.remove(digest)
    files.remove(digest)
    assert not files.has(digest, 4)
    files.release()


def test_the_living_are_not_buried_and_the_dead_are(tmp_path):
    one, other = BodyFiles(tmp_path, fsync=False), BodyFiles(tmp_path, fsync=False)
    one.claim()
    other.claim()
    one.write(b"body")
    assert other.is_alive(one.writer)
    assert other.bury(one.writer) == 0
    dead = one.writer
    one.release()
    assert not other.is_alive(dead)
    assert other.bury(dead) == 1
    assert other.writers() == {other.writer}
    other.release()


def test_space_is_whole_blocks():
    assert [space_of(n) for n in (0, 1, 4096, 4097)] == [0, 4096, 4096, 8192]
