"""Tests for edgeproxy/tls/files.py."""

import os

import pytest

from edgeproxy.errors import CertificateError
from edgeproxy.tls.files import KeyPairFiles, is_there, pairs_in, read, read_together
from tests.support.privileges import without_privileges


def made(folder, *names):
    for name in names:
        (folder / name).write_text(name)
    return folder


def found(folder):
    return [(pair.chain.name, pair.key.name) for pair in pairs_in(folder)]


def test_a_file_and_its_permissions(tmp_path):
    path = made(tmp_path, "a") / "a"
    path.chmod(0o640)
    content = read(path)
    assert (content.data, content.mode) == (b"a", 0o640)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(CertificateError, match=r"absent\.pem: no such file"):
        read(tmp_path / "absent.pem")
    with pytest.raises(CertificateError, match="a directory, not a file"):
        read(tmp_path)
    with pytest.raises(CertificateError, match="cannot be read"):
        read(tmp_path / ("x" * 300))
    large = tmp_path / "large.pem"
    large.write_bytes(bytes(300_000))
    with pytest.raises(CertificateError, match=r"large\.pem: larger than any"):
        read(large)


def test_a_file_without_permission(tmp_path):
    path = made(tmp_path, "key.pem") / "key.pem"
    path.chmod(0)
    with (
        without_privileges(),
        pytest.raises(CertificateError, match=r"key\.pem: not readable by this user"),
    ):
        read(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CertificateError, match="pipe: not a file"):
        read(tmp_path / "pipe")


def test_a_folder_that_may_not_be_searched_has_files_that_may_not_be_read(tmp_path):
    closed = made(tmp_path, "fullchain.pem", "key.pem") / "fullchain.pem"
    tmp_path.chmod(0)
    with without_privileges():
        assert not is_there(closed)
        [pair] = pairs_in(tmp_path)
        with pytest.raises(CertificateError, match=r"fullchain\.pem: not readable by this user"):
            read(pair.chain)
    tmp_path.chmod(0o700)


class Writer:
    """Stands between us and the kernel: changes the files each time that one has been read."""

    def __init__(self, monkeypatch, *steps):
        self.steps = list(steps)
        self.fstat = os.fstat
        monkeypatch.setattr("edgeproxy.tls.files.fstat", self.stat)

    def stat(self, descriptor):
        state = self.fstat(descriptor)
        if self.steps:
            self.steps.pop(0)()
        return state


def test_files_that_change_between_two_readings_are_read_as_they_are_in_the_end(
    tmp_path, monkeypatch
):
    chain, key = tmp_path / "chain", tmp_path / "key"

    def renew(number):
        chain.write_text(f"chain {number}")
        key.write_text(f"key {number}")

    renew(1)
    # The old chain has been read, the key not yet.
    Writer(monkeypatch, lambda: None, lambda: renew(2), lambda: None, lambda: renew(3))
    contents = read_together([chain, key])
    assert contents[chain].data == b"chain 3"
    assert contents[key].data == b"key 3"


def test_a_file_that_never_rests_is_given_up(tmp_path, monkeypatch):
    path = tmp_path / "chain"
    path.write_text("")
    numbers = iter(range(100))
    Writer(monkeypatch, *[lambda: path.write_text(str(next(numbers)))] * 100)
    with pytest.raises(CertificateError, match="chain: changes while it is read"):
        read_together([path])


def test_permissions_that_change_count_too(tmp_path, monkeypatch):
    path = made(tmp_path, "key") / "key"
    path.chmod(0o600)
    Writer(monkeypatch, lambda: path.chmod(0o666))
    assert read_together([path])[path].mode == 0o666


def test_an_empty_folder_lacks_the_first_pair(tmp_path):
    assert found(tmp_path) == [("fullchain.pem", "key.pem")]
    assert found(tmp_path / "absent") == [("fullchain.pem", "key.pem")]


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["fullchain.pem", "key.pem"], ["fullchain.pem"]),
        (["key.pem"], ["fullchain.pem"]),
        (["fullchain-rsa.pem", "key-rsa.pem"], ["fullchain-rsa.pem"]),
        (["key-ecdsa.pem", "fullchain-rsa.pem"], ["fullchain-ecdsa.pem", "fullchain-rsa.pem"]),
        (["fullchain.pem", "key-rsa.pem"], ["fullchain.pem", "fullchain-rsa.pem"]),
        (["other.pem"], ["fullchain.pem"]),
    ],
)
def test_the_pairs_of_a_folder(tmp_path, names, pairs):
    assert [chain for chain, _ in found(made(tmp_path, *names))] == pairs


def test_a_second_pair_appears_later(tmp_path):
    made(tmp_path, "fullchain.pem", "key.pem")
    assert len(pairs_in(tmp_path)) == 1
    made(tmp_path, "fullchain-rsa.pem")
    assert len(pairs_in(tmp_path)) == 2


def test_the_issuer_lies_beside(tmp_path):
    made(tmp_path, "fullchain.pem", "key.pem")
    [pair] = pairs_in(tmp_path)
    assert pair.issuer is None
    assert pair.paths == (tmp_path / "fullchain.pem", tmp_path / "key.pem")
    made(tmp_path, "issuer.pem")
    [pair] = pairs_in(tmp_path)
    assert pair == KeyPairFiles(*pair.paths)
    assert pair.paths[2] == tmp_path / "issuer.pem"
