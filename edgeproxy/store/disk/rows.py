"""Stored responses as rows of the index: made, found, put in place of others.

Functions over an open write transaction, as in `budget`; they decide nothing about what may be on
disk. Raises what SQLite and the system raise.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from edgeproxy.cache.stored import StoredResponse
from edgeproxy.store.disk.index import ROW_BYTES
from edgeproxy.store.disk.records import encode, key_name, variant_name
from edgeproxy.store.memory import VARIANTS_MAX

ALL_OF_KEY: Final = (
    "SELECT r.id, r.record, b.digest, b.length FROM responses r JOIN bodies b ON b.id = r.body "
    "WHERE r.key = ? ORDER BY r.id"
)
_IS_IT: Final = "key = ? AND variant = ? AND response_time = ? AND body IN "
_OF_DIGEST: Final = "(SELECT id FROM bodies WHERE digest = ?)"


@dataclass(frozen=True, slots=True)
class Row:
    """A stored response as the index knows it."""

    key: bytes
    variant: bytes
    response_time: float
    digest: bytes
    length: int
    record: bytes

    @property
    def size(self) -> int:
        """What it counts for, in octets, without its body."""
        return ROW_BYTES + len(self.record)


def row_of(stored: StoredResponse) -> Row:
    """Return the row of a stored response."""
    return Row(
        key_name(stored.key),
        variant_name(stored.vary),
        stored.response_time,
        stored.digest,
        len(stored.body),
        encode(stored),
    )


def insert(db: sqlite3.Connection, row: Row, body: int, *, now: float) -> None:
    """Insert a row in place of the one with equal selecting values."""
    remove_variant(db, row.key, row.variant)
    db.execute(
        "INSERT INTO responses (key, variant, body, response_time, used, record) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (row.key, row.variant, body, row.response_time, now, row.record),
    )


def prune(db: sqlite3.Connection, key: bytes) -> int:
    """Let go of the oldest variants where there are too many; returns how many."""
    return db.execute(
        "DELETE FROM responses WHERE key = ? AND id NOT IN "
        "(SELECT id FROM responses WHERE key = ? ORDER BY id DESC LIMIT ?)",
        (key, key, VARIANTS_MAX),
    ).rowcount


def remove(db: sqlite3.Connection, stored: StoredResponse) -> int:
    """Remove one response, if it is still that one; returns how many that were."""
    names = key_name(stored.key), variant_name(stored.vary)
    return db.execute(
        f"DELETE FROM responses WHERE {_IS_IT}{_OF_DIGEST}",  # noqa: S608 - our own words
        (*names, stored.response_time, stored.digest),
    ).rowcount


def remove_variant(db: sqlite3.Connection, key: bytes, variant: bytes) -> None:
    """Remove what is stored for these selecting values; both as names."""
    db.execute("DELETE FROM responses WHERE key = ? AND variant = ?", (key, variant))


def remove_all_of(db: sqlite3.Connection, digest: bytes) -> int:
    """Remove every response of a body; returns how many."""
    return db.execute(
        f"DELETE FROM responses WHERE body IN {_OF_DIGEST}",  # noqa: S608 - our own words
        (digest,),
    ).rowcount


def was_forgotten(db: sqlite3.Connection, key: bytes, *, writer: str, since: float) -> bool:
    """Tell whether another process forgot the key later; our own operations are in order."""
    return bool(
        db.execute(
            "SELECT 1 FROM forgotten WHERE key = ? AND writer != ? AND at > ?",
            (key, writer, since),
        ).fetchone()
    )


def is_swept(db: sqlite3.Connection) -> bool:
    """Tell whether the ledger counts every file of the folder."""
    return bool(db.execute("SELECT is_swept FROM ledger").fetchone()[0])


def release(db: sqlite3.Connection, reservations: Iterable[int]) -> bool:
    """Give back what was reserved; False where some of it had been given up before."""
    gone = [
        db.execute("DELETE FROM reservations WHERE id = ?", (each,)).rowcount
        for each in reservations
    ]
    return all(gone)
