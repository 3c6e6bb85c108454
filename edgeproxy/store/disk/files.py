"""Bodies in files, named by what is in them, and the temporary files that they begin as.

    bodies/a/b/<sha256>        one body each; never changed, only renamed into place and removed
    temporary/<writer>/<n>     one folder per process that writes, locked as long as it lives

Blocks; raises OSError. Knows nothing of budgets and references (`index`, `budget`): who calls
`settle` and `remove` holds the index's write transaction, so that no process removes what another
one is about to refer to. A lock, not a process id, tells the living from the dead: ids are reused,
and are others in another container.
"""

import fcntl
import itertools
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_HEX: Final = "0123456789abcdef"
SHARDS: Final = tuple(first + second for first in _HEX for second in _HEX)
"""256 folders: a million bodies are 4,000 names in each, and the folders themselves take 1 MiB."""

BLOCK_BYTES: Final = 4096
"""What file systems give out; a body costs whole ones."""

_CLAIMS_MAX: Final = 8
_DIGEST_CHARACTERS: Final = 64
_WRITE_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SPILL_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a FIFO in place of a file must not hold us.
_READ_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def space_of(length: int) -> int:
    """Return what a body of `length` octets takes on a disk."""
    return -(-length // BLOCK_BYTES) * BLOCK_BYTES


class BodyFiles:
    """The files of one folder, as one process sees them."""

    def __init__(self, folder: Path, *, fsync: bool) -> None:
        self._bodies = folder / "bodies"
        self._temporary = folder / "temporary"
        self.fsync = fsync
        self._numbers = itertools.count()
        self._held: int | None = None
        self.writer = ""

    def claim(self) -> None:
        """Make the folders, and one for this process to write in."""
        self._bodies.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._temporary.mkdir(mode=0o750, exist_ok=True)
        for _ in range(_CLAIMS_MAX):
            path = self._temporary / secrets.token_hex(8)
            path.mkdir(mode=0o750)
            held = _locked(path)
            if held is not None:
                self._held, self.writer = held, path.name
                return
        raise OSError(f"no folder in {self._temporary} stays ours")

    def release(self) -> None:
        """Give the folder for writing back."""
        if self._held is not None:
            with suppress(OSError):
                (self._temporary / self.writer).rmdir()
            os.close(self._held)
            self._held = None

    def write(self, body: bytes) -> Path:
        """Write a body into a temporary file; nothing stays of one that could not be written."""
        path = self._temporary / self.writer / str(next(self._numbers))
        try:
            with os.fdopen(os.open(path, _WRITE_FLAGS, 0o640), "wb", buffering=0) as file:
                unwritten = memoryview(body)
                while unwritten:
                    unwritten = unwritten[file.write(unwritten) :]
                if self.fsync:
                    os.fdatasync(file.fileno())
        except BaseException:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise
        return path

    def create(self) -> tuple[Path, int]:
        """Begin a temporary file whose content comes bit by bit; returns its descriptor, too."""
        path = self._temporary / self.writer / str(next(self._numbers))
        return path, os.open(path, _SPILL_FLAGS, 0o640)

    def settle(self, temporary: Path, digest: bytes) -> None:
        """Give a written file its name."""
        path = self._path(digest)
        try:
            temporary.replace(path)
        except FileNotFoundError:
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            temporary.replace(path)

    def read(self, digest: bytes, length: int) -> bytes:
        """Return what is in a body's file, one octet more than `length` at most."""
        descriptor = os.open(self._path(digest), _READ_FLAGS)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError("it is not a file")
            content = file.read(length + 1) or b""
            while len(content) < length and (more := file.read(length + 1 - len(content))):
                content += more
            return content

    def open(self, digest: bytes) -> int:
        """Return a descriptor to read a body by."""
        return os.open(self._path(digest), _READ_FLAGS)

    def has(self, digest: bytes, length: int) -> bool:
        """Tell whether there is a file of that name and length."""
        try:
            found = self._path(digest).lstat()
        except FileNotFoundError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == length

    def remove(self, digest: bytes) -> None:
        """Remove a body, if it is there."""
        self._path(digest).unlink(missing_ok=True)

    def names(self, shard: str) -> Iterator[bytes]:
        """Yield the digests of all files of a shard; other names are none of ours."""
        try:
            with os.scandir(self._bodies / shard[0] / shard[1]) as entries:
                for entry in entries:
                    if len(entry.name) == _DIGEST_CHARACTERS and not set(entry.name) - set(_HEX):
                        yield bytes.fromhex(entry.name)
        except FileNotFoundError:
            return

    def writers(self) -> set[str]:
        """Return the names of all folders for writing."""
        with os.scandir(self._temporary) as entries:
            return {entry.name for entry in entries if entry.is_dir(follow_symlinks=False)}

    def is_alive(self, writer: str) -> bool:
        """Tell whether the process that writes there still runs."""
        if writer == self.writer:
            return True
        try:
            held = _locked(self._temporary / writer)
        except FileNotFoundError:
            return False
        if held is None:
            return True
        os.close(held)
        return False

    def bury(self, writer: str) -> int:
        """Remove what a dead process left half written; returns how many files that were.

        The lock is held meanwhile: nobody else can be doing the same.
        """
        folder = self._temporary / writer
        try:
            held = _locked(folder)
        except FileNotFoundError:
            return 0
        if held is None:
            return 0
        removed = 0
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    Path(entry).unlink(missing_ok=True)
                    removed += 1
            folder.rmdir()
        finally:
            os.close(held)
        return removed

    def _path(self, digest: bytes) -> Path:
        name = digest.hex()
        return self._bodies / name[0] / name[1] / name


def _locked(path: Path) -> int | None:
    """Lock a folder; None where somebody else has it, or took it away before it was locked."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.lstat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
