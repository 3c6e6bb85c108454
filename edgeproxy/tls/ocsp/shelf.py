"""Staples on disk, by the digest of their leaf, so that a restart needs no network.

Nothing that is read is believed: it is verified as if it came from the network. A broken disk is
never an error to the caller: it is a miss, and one warning per kind of trouble. Blocks; call it
off the event loop. Files are `<sha256>.der`, replaced in one step.
"""

import logging
import os
import re
import secrets
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from edgeproxy.tls.ocsp.staple import Staple
from edgeproxy.tls.ocsp.verification import RESPONSE_BYTES_MAX, verify

_log = logging.getLogger(__name__)

_NAME: Final = re.compile(r"([0-9a-f]{64})\.der")
_TEMPORARY: Final = re.compile(r"\.[0-9a-f]{64}\.der\.[0-9a-f]{8}")
# Ours. A leaf may be away while a site is moved; its staple has long expired by then.
_KEPT_SECONDS: Final = 30 * 86_400.0
_TEMPORARY_SECONDS: Final = 3600.0
_PRUNED_MAX: Final = 10_000


class Shelf:
    """One folder of staples, made when first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._complaints: set[str] = set()

    def load(self, leaf: x509.Certificate, issuer: x509.Certificate, now: float) -> Staple | None:
        """Return the leaf's staple if there is one that may still be handed out."""
        try:
            der = _read(self._path(leaf))
        except FileNotFoundError:
            return None
        except OSError as error:
            self._complain("read", error)
            return None
        judged = verify(der, leaf, issuer, now)
        return judged if isinstance(judged, Staple) else None

    def save(self, leaf: x509.Certificate, staple: Staple) -> None:
        """Keep the staple for the next start, in place of an older one."""
        try:
            self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            _write(self._path(leaf), staple.der)
        except OSError as error:
            self._complain("written", error)
        else:
            self._complaints.discard("written")

    def discard(self, leaf: x509.Certificate) -> None:
        """Forget the leaf's staple: what has been revoked must not come back after a restart."""
        try:
            self._path(leaf).unlink(missing_ok=True)
        except OSError as error:
            self._complain("removed", error)

    def prune(self, keep: Collection[str], now: float) -> int:
        """Remove what has not been written for a month, but for the leaves (sha256) to keep.

        Returns how many files are gone. Files that are not ours are left alone.
        """
        gone = 0
        try:
            with os.scandir(self._folder) as entries:
                for _, entry in zip(range(_PRUNED_MAX), entries, strict=False):
                    if _is_outdated(entry, keep, now):
                        Path(entry).unlink(missing_ok=True)
                        gone += 1
        except FileNotFoundError:
            return gone
        except OSError as error:
            self._complain("pruned", error)
        return gone

    def _path(self, leaf: x509.Certificate) -> Path:
        return self._folder / f"{leaf.fingerprint(SHA256()).hex()}.der"

    def _complain(self, what: str, error: OSError) -> None:
        if what not in self._complaints:
            self._complaints.add(what)
            _log.warning(
                "staples in %s cannot be %s: %s; a restart will need the responders",
                self._folder,
                what,
                error.strerror or error,
            )


def _read(path: Path) -> bytes:
    # O_NONBLOCK: a FIFO in place of a file must not hold us.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path.name} is not a file")
        return file.read(RESPONSE_BYTES_MAX + 1)


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, 0o644), "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), 0o644)  # whatever the umask: a staple is public
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _is_outdated(entry: os.DirEntry[str], keep: Collection[str], now: float) -> bool:
    if not entry.is_file(follow_symlinks=False):
        return False
    age = now - entry.stat(follow_symlinks=False).st_mtime
    if name := _NAME.fullmatch(entry.name):
        return name[1] not in keep and age > _KEPT_SECONDS
    return _TEMPORARY.fullmatch(entry.name) is not None and age > _TEMPORARY_SECONDS
