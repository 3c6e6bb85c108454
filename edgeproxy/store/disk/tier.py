"""The disk tier as one process sees it: what is stored, replaced, read back and let go.

Blocks; may be called by several threads, but for one key only in order (`queue`). Raises
`DiskError` and nothing else of the system's. Whether a response may be stored or reused is not
its business.

A body is written so: reserve its size → temporary file → in one transaction rename it, insert its
rows, drop the reservation. A process that ends anywhere in between leaves a reservation, by which
the next one finds what to remove.
"""

import hashlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgeproxy.cache.stored import StoredResponse
from edgeproxy.cache.vary import Vary
from edgeproxy.clock import Clock
from edgeproxy.store.disk import budget, recovery
from edgeproxy.store.disk.faults import DiskError, Health, failed
from edgeproxy.store.disk.files import SHARDS, BodyFiles, space_of
from edgeproxy.store.disk.index import ROW_BYTES, Index
from edgeproxy.store.disk.records import RecordError, decode, encode, key_name, variant_name
from edgeproxy.store.memory import VARIANTS_MAX

# Rounds of evicting and removing for one body, 256 files each: then it is too large a change.
_ROUNDS_MAX: Final = 64
# How long another process may hold back a response that was forgotten here.
_FORGOTTEN_SECONDS: Final = 600.0

_ROWS: Final = (
    "SELECT r.id, r.record, b.digest, b.length FROM responses r JOIN bodies b ON b.id = r.body "
    "WHERE r.key = ? ORDER BY r.id"
)
_IS_IT: Final = "key = ? AND variant = ? AND response_time = ? AND body IN "
_OF_DIGEST: Final = "(SELECT id FROM bodies WHERE digest = ?)"


@dataclass(frozen=True, slots=True)
class _Row:
    """A stored response as the index knows it."""

    key: bytes
    variant: bytes
    response_time: float
    digest: bytes
    length: int
    record: bytes

    @property
    def size(self) -> int:
        return ROW_BYTES + len(self.record)


class DiskTier:
    """One folder."""

    def __init__(
        self, folder: Path, bytes_max: int, *, clock: Clock, fsync: bool, health: Health
    ) -> None:
        self.folder = folder
        self.bytes_max = bytes_max
        self._usable = budget.usable(bytes_max)
        self._clock = clock
        self._health = health
        self._files = BodyFiles(folder, fsync=fsync)
        self._index = Index(folder, fsync=fsync)
        self._unreleased: set[int] = set()
        self.opening = threading.Lock()
        self.objects = 0
        self.bytes = 0
        self.evictions = 0

    def open(self) -> None:
        """Open or begin the index, and clear away what processes that ended left behind."""
        try:
            self._files.release()
            self._index.open()
            self._files.claim()
            with self._writing() as db:
                db.execute(
                    "DELETE FROM forgotten WHERE at < ?", (self._clock.now() - _FORGOTTEN_SECONDS,)
                )
                if not any(any(self._files.names(shard)) for shard in SHARDS):
                    db.execute("UPDATE ledger SET is_swept = 1")
            recovery.bury_the_dead(self._index, self._files)
            self._until_fits()
        except OSError as error:
            raise failed("index", error) from None

    def close(self) -> None:
        """Let go of the folder."""
        self._files.release()
        self._index.close()

    def load(self, key: bytes) -> tuple[StoredResponse, ...]:
        """Return everything stored under the key, the newest last; what is broken is discarded."""
        found = []
        for row, record, digest, length in self._index.read(_ROWS, key_name(key)):
            assert isinstance(record, bytes)  # noqa: S101 - as the schema says
            assert isinstance(digest, bytes)  # noqa: S101
            assert isinstance(length, int)  # noqa: S101
            reason = ""
            try:
                stored = decode(record, self._read(digest, length))
                if stored.digest != digest:
                    reason = "record"
                elif stored.key == key:
                    found.append(stored)
            except RecordError:
                reason = "record"
            except DiskError as error:
                reason = error.reason
            if reason:
                self._discard(row, digest, reason)
        return tuple(found)

    def put(self, stored: StoredResponse, queued_at: float) -> None:
        """Store a response in place of the one with equal selecting values."""
        row = _row(stored)
        if row.size + space_of(row.length) > self._usable:
            self.drop_variant(stored.key, stored.vary)
            return
        reservation = self._reserve(row, queued_at)
        if reservation is None:
            return
        try:
            temporary = self._files.write(stored.body)
        except OSError as error:
            self._give_up(reservation, None)
            raise failed("bodies", error) from None
        try:
            with self._writing() as db:
                self._settle(db, row, reservation, temporary, queued_at)
        except DiskError:
            self._give_up(reservation, temporary)
            raise
        temporary.unlink(missing_ok=True)

    def replace(self, old: StoredResponse, new: StoredResponse) -> bool:
        """Put `new`, which has the same body, where `old` is still kept; False where it is not."""
        row = _row(new)
        with self._writing() as db:
            body = self._body(db, row)
            gone = db.execute(f"DELETE FROM responses WHERE {_IS_IT}{_OF_DIGEST}", _identity(old))  # noqa: S608 - our own words
            if not gone.rowcount or body is None:
                return False
            self._insert(db, row, body)
        return True

    def drop(self, stored: StoredResponse) -> None:
        """Let go of one response, if it is still that one."""
        with self._writing() as db:
            db.execute(f"DELETE FROM responses WHERE {_IS_IT}{_OF_DIGEST}", _identity(stored))  # noqa: S608 - our own words
        self._reap()

    def drop_variant(self, key: bytes, vary: Vary) -> None:
        """Let go of what is stored for these selecting values, whatever it is."""
        with self._writing() as db:
            names = (key_name(key), variant_name(vary))
            db.execute("DELETE FROM responses WHERE key = ? AND variant = ?", names)
        self._reap()

    def forget(self, key: bytes) -> None:
        """Let go of everything under the key, and of what other processes are about to store."""
        name = key_name(key)
        with self._writing() as db:
            db.execute("DELETE FROM responses WHERE key = ?", (name,))
            db.execute(
                "INSERT OR REPLACE INTO forgotten VALUES (?, ?, ?)",
                (name, self._files.writer, self._clock.now()),
            )
        self._reap()

    def clear(self) -> None:
        """Let go of everything."""
        with self._writing() as db:
            db.execute("DELETE FROM responses")
        self._reap()

    def touch(self, keys: Mapping[bytes, float]) -> None:
        """Note when keys were used last."""
        with self._writing() as db:
            db.executemany(
                "UPDATE responses SET used = max(used, ?) WHERE key = ?",
                [(at, key_name(key)) for key, at in keys.items()],
            )

    def sweep(self, shard: str) -> int:
        """Remove the files of a shard that nobody refers to; returns how many."""
        return recovery.sweep(self._index, self._files, shard)

    def swept(self) -> None:
        """Note that all shards were looked through: from now on the ledger counts everything."""
        with self._writing() as db:
            db.execute("UPDATE ledger SET is_swept = 1")

    def _read(self, digest: bytes, length: int) -> bytes:
        try:
            body = self._files.read(digest, length)
        except FileNotFoundError as error:
            raise DiskError("bodies", "missing_file", str(error)) from None
        except OSError as error:
            raise failed("bodies", error) from None
        if len(body) != length or hashlib.sha256(body).digest() != digest:
            raise DiskError("bodies", "digest", digest.hex())
        return body

    def _discard(self, row: object, digest: bytes, reason: str) -> None:
        """Let go of what turned out broken; it may rightly have gone since the index was read."""
        with self._writing() as db:
            gone = db.execute("DELETE FROM responses WHERE id = ?", (row,)).rowcount
            if reason in ("digest", "missing_file"):  # then it is so for all who share the body
                gone += db.execute(
                    f"DELETE FROM responses WHERE body IN {_OF_DIGEST}",  # noqa: S608
                    (digest,),
                ).rowcount
        if gone:
            self._health.count(reason)
            self._reap()

    def _reserve(self, row: _Row, queued_at: float) -> int | None:
        """Make room; None where nothing has to be written, since the body is there already."""
        need = row.size + space_of(row.length)
        for _ in range(_ROUNDS_MAX):
            with self._writing() as db:
                if self._was_forgotten(db, row.key, queued_at) or not _is_swept(db):
                    return None
                for reservation in tuple(self._unreleased):
                    budget.abandon(db, self._files, reservation)
                    self._unreleased.discard(reservation)
                body = self._body(db, row)
                excess = budget.missing(db, need, self._usable)
                if body is not None and excess - space_of(row.length) <= 0:
                    self._link(db, row, body)
                    return None
                if excess <= 0:
                    return budget.reserve(db, self._files.writer, row.digest, need)
                if not budget.reap(db, self._files):
                    self.evictions += budget.evict(db, excess)
        raise DiskError("bodies", "no_space", "other processes have reserved all of the budget")

    def _settle(
        self,
        db: sqlite3.Connection,
        row: _Row,
        reservation: int,
        temporary: Path,
        queued_at: float,
    ) -> None:
        given_up = db.execute("DELETE FROM reservations WHERE id = ?", (reservation,)).rowcount == 0
        if given_up or self._was_forgotten(db, row.key, queued_at):
            return
        body = self._body(db, row)
        if body is None:
            self._files.settle(temporary, row.digest)
            made = db.execute(
                "INSERT INTO bodies (digest, length, space) VALUES (?, ?, ?)",
                (row.digest, row.length, space_of(row.length)),
            )
            body = int(made.lastrowid or 0)
        self._link(db, row, body)

    def _body(self, db: sqlite3.Connection, row: _Row) -> int | None:
        """Return the body that is there already; a row without its file is none."""
        found = db.execute("SELECT id FROM bodies WHERE digest = ?", (row.digest,)).fetchone()
        if found is None:
            return None
        if self._files.has(row.digest, row.length):
            return int(found[0])
        self._health.count("missing_file")
        db.execute("DELETE FROM responses WHERE body = ?", found)
        db.execute("DELETE FROM bodies WHERE id = ?", found)
        self._files.remove(row.digest)
        return None

    def _link(self, db: sqlite3.Connection, row: _Row, body: int) -> None:
        names = (row.key, row.variant)
        db.execute("DELETE FROM responses WHERE key = ? AND variant = ?", names)
        self._insert(db, row, body)
        pruned = db.execute(
            "DELETE FROM responses WHERE key = ? AND id NOT IN "
            "(SELECT id FROM responses WHERE key = ? ORDER BY id DESC LIMIT ?)",
            (row.key, row.key, VARIANTS_MAX),
        )
        self.evictions += pruned.rowcount

    def _insert(self, db: sqlite3.Connection, row: _Row, body: int) -> None:
        db.execute("DELETE FROM responses WHERE key = ? AND variant = ?", (row.key, row.variant))
        db.execute(
            "INSERT INTO responses (key, variant, body, response_time, used, record) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (row.key, row.variant, body, row.response_time, self._clock.now(), row.record),
        )

    def _was_forgotten(self, db: sqlite3.Connection, key: bytes, queued_at: float) -> bool:
        """Tell whether another process forgot the key later; our own operations are in order."""
        return bool(
            db.execute(
                "SELECT 1 FROM forgotten WHERE key = ? AND writer != ? AND at > ?",
                (key, self._files.writer, queued_at),
            ).fetchone()
        )

    def _give_up(self, reservation: int, temporary: Path | None) -> None:
        with suppress(OSError):
            if temporary is not None:
                temporary.unlink(missing_ok=True)
        self._unreleased.add(reservation)
        with suppress(DiskError), self._writing() as db:
            budget.abandon(db, self._files, reservation)
            self._unreleased.discard(reservation)

    def _until_fits(self) -> None:
        """Shrink to the budget, which may be smaller than it was for the last process."""
        for _ in range(_ROUNDS_MAX):
            with self._writing() as db:
                excess = budget.missing(db, 0, self._usable)
                if not budget.reap(db, self._files):
                    if excess <= 0:
                        return
                    self.evictions += budget.evict(db, excess)

    def _reap(self) -> None:
        """Remove files after their rows: what cannot be removed stays counted, and goes later."""
        try:
            with self._writing() as db:
                budget.reap(db, self._files)
        except DiskError as error:
            if error.part != "bodies":
                raise
            self._health.failed(error)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._index.write() as db:
            try:
                yield db
            except OSError as error:
                raise failed("bodies", error) from None
            self.bytes, self.objects = db.execute("SELECT bytes, objects FROM ledger").fetchone()


def _is_swept(db: sqlite3.Connection) -> bool:
    return bool(db.execute("SELECT is_swept FROM ledger").fetchone()[0])


def _row(stored: StoredResponse) -> _Row:
    return _Row(
        key_name(stored.key),
        variant_name(stored.vary),
        stored.response_time,
        stored.digest,
        len(stored.body),
        encode(stored),
    )


def _identity(stored: StoredResponse) -> tuple[object, ...]:
    names = key_name(stored.key), variant_name(stored.vary)
    return (*names, stored.response_time, stored.digest)
