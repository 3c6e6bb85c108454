"""What may be on disk: reserving before writing, evicting and removing until there is room.

Functions over an open write transaction; they decide what goes, in the order of last use. Nothing
is written without a reservation, which counts as long as the temporary file may be there. What is
evicted loses its row in one transaction and its file in a later one (`reap`): a process may end
between any two of them, and what is on disk stays counted.
"""

import sqlite3
from typing import Final

from edgeproxy.store.disk.files import BodyFiles
from edgeproxy.store.disk.index import ROW_BYTES

REAPED_MAX: Final = 256
"""Files removed in one transaction, since other processes wait for it."""

_EVICTED_MAX: Final = 4096
# The log of the index (2 MiB, twice that while it is read) and folders of shards.
_INDEX_BYTES: Final = 8 * 1024 * 1024


def usable(bytes_max: int) -> int:
    """Return what stored responses may take of a budget for the whole folder."""
    return bytes_max - min(_INDEX_BYTES, bytes_max // 4)


def missing(db: sqlite3.Connection, need: int, bytes_max: int) -> int:
    """Return how many octets must go before `need` more fit; negative where more would fit."""
    (taken,) = db.execute("SELECT bytes FROM ledger").fetchone()
    return int(taken) + need - bytes_max


def reserve(db: sqlite3.Connection, writer: str, digest: bytes, size: int) -> int:
    """Count `size` octets for a body that is about to be written; returns the reservation."""
    made = db.execute(
        "INSERT INTO reservations (writer, digest, bytes) VALUES (?, ?, ?)", (writer, digest, size)
    )
    return int(made.lastrowid or 0)


def abandon(db: sqlite3.Connection, files: BodyFiles, reservation: int) -> None:
    """Give a reservation up, and the file that was renamed under it but never got a row."""
    row = db.execute("SELECT digest FROM reservations WHERE id = ?", (reservation,)).fetchone()
    if row is None:
        return
    db.execute("DELETE FROM reservations WHERE id = ?", (reservation,))
    if not is_expected(db, row[0]):
        files.remove(row[0])


def is_expected(db: sqlite3.Connection, digest: bytes) -> bool:
    """Tell whether a file of that name is, or may be about to become, somebody's body."""
    return bool(
        db.execute("SELECT 1 FROM bodies WHERE digest = ?", (digest,)).fetchone()
        or db.execute("SELECT 1 FROM reservations WHERE digest = ?", (digest,)).fetchone()
    )


def evict(db: sqlite3.Connection, needed: int) -> int:
    """Let go of the least recently used until `needed` octets are free once they are reaped.

    Returns how many stored responses went; none where nothing more is to be had.
    """
    (doomed,) = db.execute("SELECT coalesce(sum(space), 0) FROM bodies WHERE refs = 0").fetchone()
    freed, gone = int(doomed), 0
    rows = db.execute(
        "SELECT r.id, length(r.record), b.id, b.space FROM responses r "
        "JOIN bodies b ON b.id = r.body ORDER BY r.used, r.id LIMIT ?",
        (_EVICTED_MAX,),
    )
    victims = []
    for row, record, body, space in rows:
        if freed >= needed:
            break
        victims.append((row, body, space))
        freed += ROW_BYTES + record  # at least; its body too, where nobody shares it
        (refs,) = db.execute("SELECT refs FROM bodies WHERE id = ?", (body,)).fetchone()
        if refs == sum(other == body for _, other, _ in victims):
            freed += space
    for row, _, _ in victims:
        gone += db.execute("DELETE FROM responses WHERE id = ?", (row,)).rowcount
    return gone


def reap(db: sqlite3.Connection, files: BodyFiles) -> int:
    """Remove bodies that no response refers to, a number at a time; returns how many."""
    rows = db.execute(
        "SELECT id, digest FROM bodies WHERE refs = 0 LIMIT ?", (REAPED_MAX,)
    ).fetchall()
    for body, digest in rows:
        files.remove(digest)
        db.execute("DELETE FROM bodies WHERE id = ?", (body,))
    return len(rows)
