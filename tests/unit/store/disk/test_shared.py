import hashlib
import os

import pytest

from edgeproxy.store.disk import shared
from edgeproxy.store.disk.shared import Proven, SharedFile, digest_of, is_file_of

CONTENT = bytes(range(256)) * 20


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "body"
    path.write_bytes(CONTENT)
    return path


def opened(path, flags=os.O_RDWR):
    return SharedFile(os.open(path, flags | os.O_CLOEXEC))


def test_it_is_read_anywhere_and_never_beyond_its_end(path):
    file = opened(path)
    assert file.read(10, 5) == CONTENT[10:15]
    assert file.read(0, 0) == b""
    assert file.read(len(CONTENT) - 3, 10) == CONTENT[-3:]
    assert file.read(len(CONTENT), 10) == b""
    file.let_go()


def test_what_is_written_piece_by_piece_is_there_as_a_whole(path):
    file = opened(path)
    file.write(4, [b"ab", b"", b"cd"])
    file.flush()
    assert file.read(0, 10) == CONTENT[:4] + b"abcd" + CONTENT[8:10]
    file.let_go()


def test_short_reads_and_writes_are_gone_on_with(path, monkeypatch):
    pread, pwrite = os.pread, os.pwrite
    monkeypatch.setattr(os, "pread", lambda fd, size, at: pread(fd, min(size, 3), at))
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:2], at))
    file = opened(path)
    file.write(0, [b"hello", b"world"])
    assert file.read(0, 10) == b"helloworld"
    file.let_go()


def test_it_is_closed_when_the_last_lets_go(path):
    file = opened(path)
    number = file._descriptor
    file.hold()
    file.let_go()
    assert file.read(0, 1) == b"\0"
    file.let_go()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_a_digest_is_of_everything(path, monkeypatch):
    monkeypatch.setattr(shared, "_HASHED_BYTES", 100)
    file = opened(path)
    assert file.digest() == digest_of(file._descriptor) == hashlib.sha256(CONTENT).digest()
    file.let_go()


def test_only_an_ordinary_file_of_the_length_is_one(path, tmp_path):
    assert is_file_of(path.stat(), len(CONTENT))
    assert not is_file_of(path.stat(), 1)
    assert not is_file_of(tmp_path.stat(), tmp_path.stat().st_size)


def test_what_is_proven_is_so_as_long_as_the_file_is_untouched(path):
    proven, before = Proven(), path.stat()
    assert not proven.knows(b"d", before)
    proven.note(b"d", before)
    assert proven.knows(b"d", path.stat())
    path.write_bytes(CONTENT)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert not proven.knows(b"d", path.stat())
