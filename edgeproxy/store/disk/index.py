"""The index: which stored responses there are, in one SQLite file that several processes share.

Blocks. Raises `DiskError` of the part `index` and nothing else of SQLite's. Writing is one
transaction at a time over all processes (`BEGIN IMMEDIATE`); reading waits for nobody (WAL).

Triggers keep the ledger, so that no statement can forget it: `bytes` is what bodies, rows and
reservations take, `refs` how many responses share a body. A body's row goes after its file, so
what is on disk is always counted.

A file that SQLite does not understand, or whose version is not ours, is set aside (one is kept) and
a new one begun. Every writer holds a shared lock during its transaction, whoever sets aside an
exclusive one, and each transaction begins by seeing that its file is still the one in the folder.
"""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from edgeproxy.store.disk.faults import DiskError, failed

VERSION: Final = 1
FILE_NAME: Final = "index.sqlite"
ROW_BYTES: Final = 1024
"""What a response takes in the index beside its record: names, two indexes, half empty pages."""

_BUSY_SECONDS: Final = 5.0
_SCHEMA: Final = f"""
CREATE TABLE bodies (
    id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, length INTEGER NOT NULL,
    space INTEGER NOT NULL, refs INTEGER NOT NULL DEFAULT 0);
CREATE INDEX unreferenced ON bodies(id) WHERE refs = 0;
CREATE TABLE responses (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL, variant BLOB NOT NULL,
    body INTEGER NOT NULL REFERENCES bodies(id), response_time REAL NOT NULL,
    used REAL NOT NULL, record BLOB NOT NULL, UNIQUE (key, variant));
CREATE INDEX by_use ON responses(used, id);
CREATE INDEX by_body ON responses(body);
CREATE TABLE reservations (
    id INTEGER PRIMARY KEY AUTOINCREMENT, writer TEXT NOT NULL, digest BLOB NOT NULL,
    bytes INTEGER NOT NULL);
CREATE TABLE forgotten (
    key BLOB NOT NULL, writer TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (key, writer)
    ) WITHOUT ROWID;
CREATE TABLE ledger (bytes INTEGER NOT NULL, objects INTEGER NOT NULL, is_swept INTEGER NOT NULL);
INSERT INTO ledger VALUES (0, 0, 0);
CREATE TRIGGER response_added AFTER INSERT ON responses BEGIN
    UPDATE bodies SET refs = refs + 1 WHERE id = new.body;
    UPDATE ledger SET objects = objects + 1, bytes = bytes + {ROW_BYTES} + length(new.record); END;
CREATE TRIGGER response_gone AFTER DELETE ON responses BEGIN
    UPDATE bodies SET refs = refs - 1 WHERE id = old.body;
    UPDATE ledger SET objects = objects - 1, bytes = bytes - {ROW_BYTES} - length(old.record); END;
CREATE TRIGGER body_added AFTER INSERT ON bodies BEGIN
    UPDATE ledger SET bytes = bytes + new.space; END;
CREATE TRIGGER body_gone AFTER DELETE ON bodies BEGIN
    UPDATE ledger SET bytes = bytes - old.space; END;
CREATE TRIGGER reserved AFTER INSERT ON reservations BEGIN
    UPDATE ledger SET bytes = bytes + new.bytes; END;
CREATE TRIGGER released AFTER DELETE ON reservations BEGIN
    UPDATE ledger SET bytes = bytes - old.bytes; END;
PRAGMA user_version = {VERSION};
"""  # noqa: S608 - two numbers of ours


class Index:
    """One process's connections to the index."""

    def __init__(self, folder: Path, *, fsync: bool) -> None:
        self.path = folder / FILE_NAME
        # A process that is killed loses nothing with OFF; a machine that is may lose the index.
        self._synchronous = "NORMAL" if fsync else "OFF"
        self._lock = threading.Lock()
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection | None = None
        self._gate: int | None = None
        self._inode = 0
        self._generation = 0

    def open(self, *, may_create: bool = True) -> None:
        """Open the index, a new one where there is none; sets aside what is of no use.

        Without `may_create` nothing is made or renamed.
        """
        self.close()
        try:
            if may_create:
                self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            gate = self.path.with_name("lock")
            self._gate = os.open(gate, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                self._begin(may_create=may_create)
            except DiskError as error:
                if error.reason != "index" or not may_create:
                    raise
                self.set_aside()
                self._begin(may_create=True)
        except OSError as error:
            self.close()
            raise failed("index", error) from None
        except DiskError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of everything; harmless when repeated."""
        with self._lock:
            self._generation += 1
            for connection in self._connections:
                with suppress(sqlite3.Error):
                    connection.close()
            self._connections.clear()
            self._writer = None
            if self._gate is not None:
                os.close(self._gate)
                self._gate = None

    def set_aside(self) -> None:
        """Rename the file, unless some process is writing to it."""
        gate = self._gate
        if gate is None:
            raise DiskError("index", "index", "it is not open")
        try:
            fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DiskError("index", "busy", "others write to what is to be set aside") from None
        try:
            # The log first: a new index must never be told what an old one had to do.
            for suffix in ("-wal", "-shm", ""):
                path = self.path.with_name(FILE_NAME + suffix)
                if path.exists():
                    path.replace(self.path.with_name(f"{FILE_NAME}.bad{suffix}"))
        finally:
            fcntl.flock(gate, fcntl.LOCK_UN)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for one transaction, which ends with the block."""
        with self._lock:
            db, gate = self._writer, self._gate
            if db is None or gate is None:
                raise DiskError("index", "index", "it is not open")
            try:
                fcntl.flock(gate, fcntl.LOCK_SH | fcntl.LOCK_NB)
                if self.path.stat().st_ino != self._inode:
                    raise DiskError("index", "replaced", "another process began a new one")
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except sqlite3.Error as error:
                raise failed("index", error) from None
            except BlockingIOError:
                raise DiskError("index", "busy", "another process sets it aside") from None
            except FileNotFoundError as error:
                raise DiskError("index", "replaced", str(error)) from None
            finally:
                if db.in_transaction:
                    with suppress(sqlite3.Error):
                        db.execute("ROLLBACK")
                fcntl.flock(gate, fcntl.LOCK_UN)

    def read(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """Return what a query finds, over a connection of this thread's own."""
        try:
            held = getattr(self._local, "held", None)
            if held is None or held[0] != self._generation:
                held = (self._generation, self._connect())
                self._local.held = held
            found: list[tuple[object, ...]] = held[1].execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise failed("index", error) from None
        return found

    def _begin(self, *, may_create: bool) -> None:
        if not may_create and not self.path.exists():
            raise DiskError("index", "io", f"there is no {self.path}")
        try:
            db = self._connect(may_create=may_create)
            # In this order: who makes it at the same time commits tables and version in one.
            is_empty = db.execute("SELECT 1 FROM sqlite_master").fetchone() is None
            version = db.execute("PRAGMA user_version").fetchone()[0]
            is_new = is_empty and version == 0
            if not is_new and version != VERSION:
                raise DiskError("index", "index", f"version {version}, not {VERSION}")  # noqa: TRY301
            if is_new:
                self._create(db)
            if db.execute("SELECT count(*) FROM ledger").fetchone() != (1,):
                raise DiskError("index", "index", "its ledger is not one row")  # noqa: TRY301
        except sqlite3.Error as error:
            self._forget_connections()
            raise failed("index", error) from None
        except DiskError:
            self._forget_connections()
            raise
        self._inode = self.path.stat().st_ino
        self._writer = db

    def _create(self, db: sqlite3.Connection) -> None:
        db.execute("BEGIN IMMEDIATE")
        if db.execute("PRAGMA user_version").fetchone()[0] == 0:  # nobody was faster
            for statement in _statements(_SCHEMA):
                db.execute(statement)
        db.execute("COMMIT")

    def _connect(self, *, may_create: bool = False) -> sqlite3.Connection:
        mode = "rwc" if may_create else "rw"
        db = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        self._connections.append(db)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {self._synchronous}")
        db.execute("PRAGMA wal_autocheckpoint = 512")
        db.execute("PRAGMA journal_size_limit = 2097152")
        return db

    def _forget_connections(self) -> None:
        while self._connections:
            with closing(self._connections.pop()):
                pass


def _statements(script: str) -> Iterator[str]:
    """Split a script: `executescript` would commit before it begins."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
