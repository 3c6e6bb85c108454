"""The disk tier as one process sees it: what is stored, replaced, read back and let go.

Blocks; may be called by several threads, but for one key only in order (`queue`). Raises
`DiskError` and nothing else of the system's. Whether a response may be stored or reused is not
its business.

A body is written so: reserve its size → temporary file → in one transaction rename it, insert its
rows, drop the reservation. A process that ends anywhere in between leaves a reservation, by which
the next one finds what to remove. A large body is written before its digest is known: reserve what
is expected → file → reserve more as it grows → name the digest in the reservation → as above.
"""

import hashlib
import secrets
import sqlite3
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from edgeproxy.cache.stored import LargeBody, StoredResponse
from edgeproxy.cache.vary import Vary
from edgeproxy.clock import Clock
from edgeproxy.store.disk import budget, recovery, rows
from edgeproxy.store.disk.faults import DiskError, Health, failed
from edgeproxy.store.disk.files import SHARDS, BodyFiles, space_of
from edgeproxy.store.disk.index import ROW_BYTES, Index
from edgeproxy.store.disk.records import RecordError, decode, key_name, variant_name
from edgeproxy.store.disk.rows import Row, row_of
from edgeproxy.store.disk.shared import Proven, SharedFile, is_file_of
from edgeproxy.store.disk.temporary import Temporary

# Rounds of evicting and removing for one body, 256 files each: then it is too large a change.
_ROUNDS_MAX: Final = 64
# A larger body pushes more small ones out: one round for each of these, at least.
_ROUND_BYTES: Final = 1024 * 1024
# Reserved beside a large body for its record, which is not known yet.
_RECORD_BYTES: Final = 16 * 1024
_DIGEST_BYTES: Final = 32
# How long another process may hold back a response that was forgotten here.
_FORGOTTEN_SECONDS: Final = 600.0

_BROKEN: Final = ("digest", "missing_file")


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
        self._proven = Proven()
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

    @property
    def body_bytes_max(self) -> int:
        """What a single body may have at most."""
        return self._usable - ROW_BYTES - _RECORD_BYTES

    def load(self, key: bytes, body_bytes_max: int = sys.maxsize) -> tuple[StoredResponse, ...]:
        """Return everything stored under the key, the newest last; what is broken is discarded.

        Bodies larger than that stay where they are, and are only seen to be there.
        """
        found = []
        for row, record, digest, length in self._index.read(rows.ALL_OF_KEY, key_name(key)):
            assert isinstance(record, bytes)  # noqa: S101 - as the schema says
            assert isinstance(digest, bytes)  # noqa: S101
            assert isinstance(length, int)  # noqa: S101
            reason = ""
            try:
                stored = decode(record, self._body_of(digest, length, body_bytes_max))
                if stored.digest != digest:
                    reason = "record"
                elif stored.key == key:
                    found.append(stored)
            except RecordError:
                reason = "record"
            except DiskError as error:
                reason = error.reason
            if reason:
                self._discard(row, digest, length, reason)
        return tuple(found)

    def put(self, stored: StoredResponse, queued_at: float) -> None:
        """Store a response in place of the one with equal selecting values."""
        row, body = row_of(stored), stored.body
        if isinstance(body, LargeBody):
            self._put_beside(row, queued_at)
            return
        if row.size + space_of(row.length) > self._usable:
            self.drop_variant(stored.key, stored.vary)
            return
        reservation = self._reserve(row, queued_at)
        if reservation is None:
            return
        try:
            temporary = self._files.write(body)
        except OSError as error:
            self._give_up([reservation], None)
            raise failed("bodies", error) from None
        try:
            with self._writing() as db:
                self._settle(db, row, [reservation], temporary, queued_at)
        except DiskError:
            self._give_up([reservation], temporary)
            raise
        temporary.unlink(missing_ok=True)

    def _put_beside(self, row: Row, queued_at: float) -> None:
        """Store a response of a body that is there already; without it nothing is stored."""
        with self._writing() as db:
            body = self._body(db, row)
            if body is not None and not self._was_forgotten(db, row.key, queued_at):
                self._link(db, row, body)
            else:
                rows.remove_variant(db, row.key, row.variant)
        self._reap()

    # --- large bodies ---

    def begin(self, size: int) -> Temporary | None:
        """Begin a file for a body of some `size`; None where there is no room for it."""
        need = space_of(size) + ROW_BYTES + _RECORD_BYTES
        reservation = self._reserve_space(need)
        if reservation is None:
            return None
        try:
            path, descriptor = self._files.create()
        except OSError as error:
            self._give_up([reservation], None)
            raise failed("bodies", error) from None
        return Temporary(path, SharedFile(descriptor), [reservation], need)

    def extend(self, temporary: Temporary, size: int) -> bool:
        """Reserve so much more for it; False where there is no room."""
        with temporary.lock:
            return self._extend(temporary, size)

    def _extend(self, temporary: Temporary, size: int) -> bool:
        if temporary.is_over or temporary.reserved + size > self._usable:
            return False
        reservation = self._reserve_space(size)
        if reservation is None:
            return False
        temporary.reservations.append(reservation)
        temporary.reserved += size
        return True

    def keep(self, temporary: Temporary, stored: StoredResponse, queued_at: float) -> bool:
        """Store the response whose body is in the file; False where it is not to be stored."""
        row = row_of(stored)
        with temporary.lock:
            need = row.size + space_of(row.length)
            lacking = need - temporary.reserved
            if temporary.is_over or (lacking > 0 and not self._extend(temporary, lacking)):
                return False
            try:
                if self._files.fsync:
                    temporary.file.flush()
            except OSError as error:
                raise failed("bodies", error) from None
            with self._writing() as db:  # by this the file is found if the next one stays half done
                db.execute(
                    "UPDATE reservations SET digest = ? WHERE id = ?",
                    (row.digest, temporary.reservations[0]),
                )
            with self._writing() as db:
                is_kept = self._settle(db, row, temporary.reservations, temporary.path, queued_at)
            temporary.is_over = True
            with suppress(OSError):
                if is_kept and not temporary.path.exists():  # it is the body now
                    self._proven.note(row.digest, temporary.file.status)
                temporary.path.unlink(missing_ok=True)
        self._reap()  # what it took the place of is large, too
        return is_kept

    def discard(self, temporary: Temporary) -> None:
        """Give up what was not stored: the file goes, and what was reserved for it."""
        with temporary.lock:
            if not temporary.is_over:
                temporary.is_over = True
                self._give_up(temporary.reservations, temporary.path)

    def open_body(self, digest: bytes, length: int) -> SharedFile:
        """Return a large body to be read, its digest seen to; what is broken is discarded."""
        try:
            return self._opened(digest, length)
        except DiskError as error:
            if error.reason in _BROKEN:
                self._discard(None, digest, length, error.reason)
            raise

    def _opened(self, digest: bytes, length: int) -> SharedFile:
        try:
            file = SharedFile(self._files.open(digest))
        except FileNotFoundError as error:
            raise DiskError("bodies", "missing_file", str(error)) from None
        except OSError as error:
            raise failed("bodies", error) from None
        try:
            if self._is_proven(file, digest, length):
                return file
        except OSError as error:
            file.let_go()
            raise failed("bodies", error) from None
        file.let_go()
        raise DiskError("bodies", "digest", digest.hex())

    def _is_proven(self, file: SharedFile, digest: bytes, length: int) -> bool:
        """Tell whether the file holds what its name says, reading it if that is not known yet."""
        status = file.status
        if not is_file_of(status, length):
            return False
        if not self._proven.knows(digest, status):
            if file.digest() != digest:
                return False
            self._proven.note(digest, status)
        return True

    # --- letting go ---

    def replace(self, old: StoredResponse, new: StoredResponse) -> bool:
        """Put `new`, which has the same body, where `old` is still kept; False where it is not."""
        row = row_of(new)
        with self._writing() as db:
            body = self._body(db, row)
            if not rows.remove(db, old) or body is None:
                return False
            rows.insert(db, row, body, now=self._clock.now())
        return True

    def drop(self, stored: StoredResponse) -> None:
        """Let go of one response, if it is still that one."""
        with self._writing() as db:
            rows.remove(db, stored)
        self._reap()

    def drop_variant(self, key: bytes, vary: Vary) -> None:
        """Let go of what is stored for these selecting values, whatever it is."""
        with self._writing() as db:
            rows.remove_variant(db, key_name(key), variant_name(vary))
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

    def _body_of(self, digest: bytes, length: int, body_bytes_max: int) -> bytes | LargeBody:
        if length <= body_bytes_max:
            return self._read(digest, length)
        try:
            if self._files.has(digest, length):
                return LargeBody(length)
        except OSError as error:
            raise failed("bodies", error) from None
        raise DiskError("bodies", "missing_file", digest.hex())

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

    def _discard(self, row: object, digest: bytes, length: int, reason: str) -> None:
        """Let go of what turned out broken; it may rightly have gone since the index was read."""
        with self._writing() as db:
            if reason == "missing_file" and self._files.has(digest, length):
                return  # another process has just stored it once more
            gone = db.execute("DELETE FROM responses WHERE id = ?", (row,)).rowcount
            if reason in _BROKEN:  # then it is so for all who share the body
                gone += rows.remove_all_of(db, digest)
        if gone:
            self._health.count(reason)
            self._reap()

    def _reserve(self, row: Row, queued_at: float) -> int | None:
        """Make room; None where nothing has to be written, since the body is there already."""
        need = row.size + space_of(row.length)
        for _ in range(_ROUNDS_MAX):
            with self._writing() as db:
                if self._was_forgotten(db, row.key, queued_at) or not rows.is_swept(db):
                    return None
                self._release(db)
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

    def _reserve_space(self, need: int) -> int | None:
        """Make room for what has no digest yet; None where there is none to be had."""
        if need > self._usable:
            return None
        for _ in range(_ROUNDS_MAX + need // _ROUND_BYTES):
            with self._writing() as db:
                if not rows.is_swept(db):
                    return None
                self._release(db)
                excess = budget.missing(db, need, self._usable)
                if excess <= 0:
                    # no body's name: giving it up before the digest is known removes no file
                    name = secrets.token_bytes(_DIGEST_BYTES)
                    return budget.reserve(db, self._files.writer, name, need)
                if not budget.reap(db, self._files):
                    gone = budget.evict(db, excess)
                    self.evictions += gone
                    if not gone:
                        return None
        return None

    def _release(self, db: sqlite3.Connection) -> None:
        """Give up the reservations that could not be given up before."""
        for reservation in tuple(self._unreleased):
            budget.abandon(db, self._files, reservation)
            self._unreleased.discard(reservation)

    def _settle(
        self,
        db: sqlite3.Connection,
        row: Row,
        reservations: Iterable[int],
        temporary: Path,
        queued_at: float,
    ) -> bool:
        """Let a written file be the body of a response; False where that came to nothing."""
        if not rows.release(db, reservations) or self._was_forgotten(db, row.key, queued_at):
            return False
        body = self._body(db, row)
        if body is None:
            self._files.settle(temporary, row.digest)
            made = db.execute(
                "INSERT INTO bodies (digest, length, space) VALUES (?, ?, ?)",
                (row.digest, row.length, space_of(row.length)),
            )
            body = int(made.lastrowid or 0)
        self._link(db, row, body)
        return True

    def _body(self, db: sqlite3.Connection, row: Row) -> int | None:
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

    def _link(self, db: sqlite3.Connection, row: Row, body: int) -> None:
        rows.insert(db, row, body, now=self._clock.now())
        self.evictions += rows.prune(db, row.key)

    def _was_forgotten(self, db: sqlite3.Connection, key: bytes, queued_at: float) -> bool:
        return rows.was_forgotten(db, key, writer=self._files.writer, since=queued_at)

    def _give_up(self, reservations: Iterable[int], temporary: Path | None) -> None:
        with suppress(OSError):
            if temporary is not None:
                temporary.unlink(missing_ok=True)
        self._unreleased.update(reservations)
        with suppress(DiskError), self._writing() as db:
            self._release(db)

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
