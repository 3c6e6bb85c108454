"""Looks at a disk tier from outside, beside processes that use it or without any.

Blocks. A finding is only believed after a second look inside a write transaction, while nobody
else changes anything. Removes nothing unless it is told to.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeproxy.store.disk import budget
from edgeproxy.store.disk.faults import DiskError
from edgeproxy.store.disk.files import SHARDS, BodyFiles, space_of
from edgeproxy.store.disk.index import FILE_NAME, Index
from edgeproxy.store.disk.records import RecordError, decode, key_name
from edgeproxy.store.disk.shared import digest_of, is_file_of

Progress = Callable[[int, int], None]
"""Is told how many bodies were looked at, of how many."""


@dataclass(slots=True)
class Report:
    """What `verify` saw; `leftovers` are of ended processes and go at the next start."""

    bodies: int = 0
    responses: int = 0
    bytes: int = 0
    leftovers: int = 0
    findings: list[str] = field(default_factory=list)
    repaired: int = 0


def exists(folder: Path) -> bool:
    """Tell whether a disk tier was ever begun there."""
    return (folder / FILE_NAME).exists()


def stats(folder: Path) -> dict[str, Any]:
    """Return what the index says is there.

    Raises:
        DiskError: it cannot be read.
    """
    with _opened(folder) as index:
        (taken, objects, is_swept) = index.read("SELECT bytes, objects, is_swept FROM ledger")[0]
        (bodies, space) = index.read("SELECT count(*), coalesce(sum(space), 0) FROM bodies")[0]
        (reserved,) = index.read("SELECT coalesce(sum(bytes), 0) FROM reservations")[0]
    return {
        "objects": objects,
        "bytes": taken,
        "bodies": bodies,
        "body_bytes": space,
        "reserved_bytes": reserved,
        "is_swept": bool(is_swept),
    }


def verify(folder: Path, *, is_repair: bool, progress: Progress) -> Report:
    """Read every file and every row; with `is_repair` remove what is wrong.

    Raises:
        DiskError: the index cannot be read, and is not to be repaired.
    """
    report = Report()
    files = BodyFiles(folder, fsync=False)
    with _opened(folder, is_repair=is_repair, report=report) as index:
        _bodies(index, files, report, is_repair=is_repair, progress=progress)
        _responses(index, report, is_repair=is_repair)
        _orphans(index, files, report, is_repair=is_repair)
        _ledger(index, report, is_repair=is_repair)
        writers = [str(row[0]) for row in index.read("SELECT writer FROM reservations")]
        report.leftovers = sum(not files.is_alive(writer) for writer in writers)
        report.bytes = int(str(index.read("SELECT bytes FROM ledger")[0][0]))
    return report


def clear(folder: Path) -> int:
    """Let go of everything that is stored; returns how many stored responses that were."""
    files = BodyFiles(folder, fsync=False)
    with _opened(folder, is_repair=True) as index:
        with index.write() as db:
            gone = db.execute("DELETE FROM responses").rowcount
        while True:
            with index.write() as db:
                if not budget.reap(db, files):
                    break
        for shard in SHARDS:
            _remove_orphans(index, files, shard)
    return gone


def _opened(
    folder: Path, *, is_repair: bool = False, report: Report | None = None
) -> "closing[Index]":
    index = Index(folder, fsync=True)
    try:
        index.open(may_create=False)
    except DiskError as error:
        if error.reason != "index" or not is_repair:
            raise
        index.open()
        if report is not None:
            report.findings.append(f"{FILE_NAME}: {error.detail}")
            report.repaired += 1
    return closing(index)


def _bodies(
    index: Index, files: BodyFiles, report: Report, *, is_repair: bool, progress: Progress
) -> None:
    rows = index.read("SELECT id, digest, length, space, refs FROM bodies")
    for number, (body, digest, length, space, refs) in enumerate(rows):
        progress(number, len(rows))
        report.bodies += 1
        assert isinstance(digest, bytes)  # noqa: S101 - as the schema says
        assert isinstance(length, int)  # noqa: S101
        if not _wrong(files, digest, length) and space == space_of(length):
            continue
        with index.write() as db:
            # by its digest too: a number is given again when the newest body has gone
            kept = db.execute(
                "SELECT refs, space FROM bodies WHERE id = ? AND digest = ?", (body, digest)
            ).fetchone()
            if kept is None or (not kept[0] and not refs):
                continue  # let go of meanwhile, or its file already and its row next
            wrong = _wrong(files, digest, length)
            if not wrong and kept[1] == space_of(length):
                continue  # written again meanwhile
            report.findings.append(
                f"body {digest.hex()}: {wrong or 'its space is not what the index says'}"
            )
            if is_repair:
                db.execute("DELETE FROM responses WHERE body = ?", (body,))
                files.remove(digest)
                db.execute("DELETE FROM bodies WHERE id = ?", (body,))
                report.repaired += 1


def _wrong(files: BodyFiles, digest: bytes, length: int) -> str:
    try:
        descriptor = files.open(digest)
        try:
            if not is_file_of(os.fstat(descriptor), length):
                return f"its file has not {length} octets"
            is_right = digest_of(descriptor) == digest
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return "its file is missing"
    except OSError as error:
        return error.strerror or str(error)
    return "" if is_right else "its file holds something else"


def _responses(index: Index, report: Report, *, is_repair: bool) -> None:
    last = 0
    query = (
        "SELECT r.id, r.key, r.record, b.digest FROM responses r LEFT JOIN bodies b "
        "ON b.id = r.body WHERE r.id > ? ORDER BY r.id LIMIT 1000"
    )
    while rows := index.read(query, last):
        for row, key, record, digest in rows:
            report.responses += 1
            last = int(str(row))
            if wrong := _wrong_record(key, record, digest):
                report.findings.append(f"response {last}: {wrong}")
                if is_repair:
                    with index.write() as db:
                        db.execute("DELETE FROM responses WHERE id = ?", (last,))
                    report.repaired += 1


def _wrong_record(key: object, record: object, digest: object) -> str:
    if not isinstance(record, bytes):
        return "its record is no octets"
    try:
        stored = decode(record, b"")
    except RecordError as error:
        return str(error)
    if stored.digest != digest:
        return "it speaks of another body"
    return "" if key_name(stored.key) == key else "it stands under another key"


def _orphans(index: Index, files: BodyFiles, report: Report, *, is_repair: bool) -> None:
    for shard in SHARDS:
        for digest in _suspects(index, files, shard):
            with index.write() as db:
                if budget.is_expected(db, digest):
                    continue
                report.findings.append(f"file {digest.hex()}: no response refers to it")
                if is_repair:
                    files.remove(digest)
                    report.repaired += 1


def _remove_orphans(index: Index, files: BodyFiles, shard: str) -> None:
    for digest in _suspects(index, files, shard):
        with index.write() as db:
            if not budget.is_expected(db, digest):
                files.remove(digest)


def _suspects(index: Index, files: BodyFiles, shard: str) -> Iterator[bytes]:
    first = bytes.fromhex(shard)
    known = "SELECT digest FROM bodies WHERE digest >= ? AND digest <= ?"
    expected = {row[0] for row in index.read(known, first, first + b"\xff" * 32)}
    yield from (digest for digest in files.names(shard) if digest not in expected)


_TRUE_SUMS = """SELECT
    (SELECT coalesce(sum(space), 0) FROM bodies)
    + (SELECT coalesce(sum(1024 + length(record)), 0) FROM responses)
    + (SELECT coalesce(sum(bytes), 0) FROM reservations),
    (SELECT count(*) FROM responses)"""


def _ledger(index: Index, report: Report, *, is_repair: bool) -> None:
    with index.write() as db:
        said = db.execute("SELECT bytes, objects FROM ledger").fetchone()
        true = db.execute(_TRUE_SUMS).fetchone()
        if said != true:
            report.findings.append(f"the ledger says {said}, and it is {true}")
            if is_repair:
                db.execute("UPDATE ledger SET bytes = ?, objects = ?", true)
                report.repaired += 1
        _references(db, report, is_repair=is_repair)


def _references(db: sqlite3.Connection, report: Report, *, is_repair: bool) -> None:
    wrong = "refs != (SELECT count(*) FROM responses WHERE body = bodies.id)"
    for (digest,) in db.execute(f"SELECT digest FROM bodies WHERE {wrong}").fetchall():  # noqa: S608
        report.findings.append(f"body {digest.hex()}: its references are miscounted")
        if is_repair:
            db.execute(
                "UPDATE bodies SET refs = (SELECT count(*) FROM responses WHERE body = bodies.id) "
                "WHERE digest = ?",
                (digest,),
            )
            report.repaired += 1
