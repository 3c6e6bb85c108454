import logging
import os
import stat
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from edgeproxy.tls.ocsp.shelf import Shelf
from edgeproxy.tls.ocsp.staple import Staple
from edgeproxy.tls.ocsp.verification import verify
from tests.support.ca import LocalCa
from tests.support.ocsp_answers import OcspAnswers

MOMENT = datetime.now(UTC).replace(microsecond=0)
NOW = MOMENT.timestamp()
DAY = 86_400.0


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return LocalCa(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def leaf(ca):
    return ca.issue("a.test").certificate


@pytest.fixture(scope="module")
def staple(ca, leaf):
    staple = verify(
        OcspAnswers(ca, ca.ocsp_signer(), moment=MOMENT).about(leaf), leaf, ca.certificate, NOW
    )
    assert isinstance(staple, Staple)
    return staple


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state" / "ocsp"


@pytest.fixture
def shelf(folder):
    return Shelf(folder)


@pytest.fixture
def saved(leaf, staple, shelf):
    shelf.save(leaf, staple)


def only_file(folder):
    (path,) = folder.iterdir()
    return path


def warnings(caplog):
    return [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_what_is_saved_is_there_after_a_restart(ca, leaf, staple, shelf, folder):
    assert shelf.load(leaf, ca.certificate, NOW) is None
    shelf.save(leaf, staple)
    assert Shelf(folder).load(leaf, ca.certificate, NOW) == staple


def test_a_file_is_named_by_its_leaf_and_readable_by_all(leaf, staple, shelf, folder):
    before = os.umask(0o077)
    try:
        shelf.save(leaf, staple)
    finally:
        os.umask(before)
    path = only_file(folder)
    assert path.name == f"{leaf.fingerprint(leaf.signature_hash_algorithm).hex()}.der"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_newer_staple_takes_the_place_of_an_older_one(ca, leaf, staple, shelf, folder):
    shelf.save(leaf, replace(staple, der=b"older"))
    shelf.save(leaf, staple)
    assert shelf.load(leaf, ca.certificate, NOW) == staple
    assert only_file(folder).read_bytes() == staple.der


def test_a_file_that_has_been_tampered_with_is_not_used(ca, leaf, staple, shelf, folder):
    shelf.save(leaf, staple)
    only_file(folder).write_bytes(staple.der[:-1] + b"\x00")
    assert shelf.load(leaf, ca.certificate, NOW) is None


def test_a_file_about_another_leaf_is_not_used(ca, leaf, staple, shelf):
    other = ca.issue("b.test").certificate
    shelf.save(other, staple)
    assert shelf.load(other, ca.certificate, NOW) is None


def test_a_staple_whose_time_has_come_is_not_used(ca, leaf, staple, shelf):
    shelf.save(leaf, staple)
    assert shelf.load(leaf, ca.certificate, staple.usable_until - 1) == staple
    assert shelf.load(leaf, ca.certificate, staple.usable_until) is None


def test_what_is_discarded_does_not_come_back(ca, leaf, staple, shelf):
    shelf.save(leaf, staple)
    shelf.discard(leaf)
    shelf.discard(leaf)
    assert shelf.load(leaf, ca.certificate, NOW) is None


def test_a_giant_in_place_of_a_file_is_not_read_whole(ca, leaf, staple, shelf, folder):
    shelf.save(leaf, staple)
    os.truncate(only_file(folder), 1 << 40)
    assert shelf.load(leaf, ca.certificate, NOW) is None


@pytest.mark.parametrize("kind", ["fifo", "folder", "link"])
@pytest.mark.usefixtures("saved")
def test_what_is_no_file_is_not_read(ca, leaf, shelf, folder, caplog, kind):
    path = only_file(folder)
    if kind == "link":
        path.rename(folder.parent / "elsewhere")
        path.symlink_to(folder.parent / "elsewhere")
    else:
        path.unlink()
        os.mkfifo(path) if kind == "fifo" else path.mkdir()
    assert shelf.load(leaf, ca.certificate, NOW) is None
    assert len(warnings(caplog)) == 1


def test_a_broken_disk_is_one_warning_and_no_error(ca, leaf, staple, folder, caplog):
    folder.parent.mkdir()
    folder.write_text("not a folder")
    shelf = Shelf(folder)
    for _ in range(3):
        shelf.save(leaf, staple)
    assert len(warnings(caplog)) == 1
    assert shelf.load(leaf, ca.certificate, NOW) is None
    shelf.discard(leaf)
    assert shelf.prune((), NOW) == 0
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_a_disk_that_recovers_may_break_again_aloud(leaf, staple, folder, shelf, caplog):
    folder.parent.mkdir()
    folder.write_text("not a folder")
    shelf.save(leaf, staple)
    folder.unlink()
    shelf.save(leaf, staple)
    only_file(folder).unlink()
    folder.rmdir()
    folder.write_text("not a folder")
    shelf.save(leaf, staple)
    assert len(warnings(caplog)) == 2


def test_leaves_that_are_gone_for_a_month_are_pruned(ca, leaf, staple, shelf, folder):
    kept, gone = leaf, ca.issue("gone.test").certificate
    for each in (kept, gone):
        shelf.save(each, staple)
    (folder / "README").write_text("not ours")
    (folder / f".{'0' * 64}.der.00000000").write_text("left by a crash")
    (folder / f"{'0' * 64}.der").mkdir()
    for path in folder.iterdir():
        os.utime(path, (NOW, NOW))
    keep = [kept.fingerprint(kept.signature_hash_algorithm).hex()]
    assert shelf.prune(keep, NOW + 600) == 0
    assert shelf.prune(keep, NOW + DAY) == 1
    assert shelf.prune(keep, NOW + 31 * DAY) == 1
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [f"{keep[0]}.der", "README", f"{'0' * 64}.der"]
    )


def test_a_folder_that_does_not_exist_has_nothing_to_prune(shelf, caplog):
    assert shelf.prune((), NOW) == 0
    assert not caplog.records
