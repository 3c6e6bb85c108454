"""What has to be put right after processes that ended in the middle, and after lost indexes.

Reservations of the dead are given up at every start, by a few rows. Files that nobody refers to
are left only by a power cut or an index that was set aside; they are swept a shard at a time.
"""

from typing import Final

from edgeproxy.store.disk import budget
from edgeproxy.store.disk.files import BodyFiles
from edgeproxy.store.disk.index import Index

_SWEPT_MAX: Final = 256


def bury_the_dead(index: Index, files: BodyFiles) -> int:
    """Remove what writers that run no more left behind; returns how many reservations it was."""
    writers = files.writers()
    writers |= {str(row[0]) for row in index.read("SELECT DISTINCT writer FROM reservations")}
    given_up = 0
    for writer in sorted(writers):
        if files.is_alive(writer):
            continue
        files.bury(writer)  # first the files, then what counts for them
        with index.write() as db:
            reserved = db.execute("SELECT id FROM reservations WHERE writer = ?", (writer,))
            for (reservation,) in reserved.fetchall():
                budget.abandon(db, files, reservation)
                given_up += 1
    return given_up


def sweep(index: Index, files: BodyFiles, shard: str) -> int:
    """Remove the files of a shard that nobody refers to; returns how many."""
    known = {
        row[0]
        for row in index.read(
            "SELECT digest FROM bodies WHERE digest >= ? AND digest <= ?",
            bytes.fromhex(shard),
            bytes.fromhex(shard) + b"\xff" * 32,
        )
    }
    orphans = [digest for digest in files.names(shard) if digest not in known]
    removed = 0
    for start in range(0, len(orphans), _SWEPT_MAX):
        with index.write() as db:
            for digest in orphans[start : start + _SWEPT_MAX]:
                if not budget.is_expected(db, digest):
                    files.remove(digest)
                    removed += 1
    return removed
