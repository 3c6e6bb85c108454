"""Where certificates and keys lie, and reading them as they were at one moment.

Renewal replaces several files one after the other, so a set of files is read until two readings in
a row agree: a new chain never meets an old key here. Judges no content (`material`); opens files
for reading only.
"""

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import fstat
from pathlib import Path
from typing import Final

from edgeproxy.errors import CertificateError

# A chain of three with RSA-4096 keys is some 8 KB; this only keeps us from reading a disk image.
_FILE_BYTES_MAX: Final = 256 * 1024
# Renewal is a matter of milliseconds; whoever writes for ever is told.
_READINGS_MAX: Final = 8

# Both kinds of certificate for the same names, and the pair whose kind nobody has said.
_PAIRS: Final = (
    ("fullchain.pem", "key.pem"),
    ("fullchain-ecdsa.pem", "key-ecdsa.pem"),
    ("fullchain-rsa.pem", "key-rsa.pem"),
)
_ISSUER: Final = "issuer.pem"


@dataclass(frozen=True, slots=True)
class KeyPairFiles:
    """The files of one credential.

    `issuer` holds the certificate that issued the leaf, for OCSP, where the chain does not.
    """

    chain: Path
    key: Path
    issuer: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All of them."""
        return (
            (self.chain, self.key) if self.issuer is None else (self.chain, self.key, self.issuer)
        )


@dataclass(frozen=True, slots=True)
class FileContent:
    """What a file held, and its permission bits."""

    data: bytes
    mode: int


def pairs_in(folder: Path) -> tuple[KeyPairFiles, ...]:
    """Return the pairs that are in a folder now; a second one may appear later.

    A pair of which only one file is there counts, and so does `fullchain.pem` with `key.pem` in an
    empty folder, so that loading names what is missing.
    """
    issuer = folder / _ISSUER
    pairs = [
        KeyPairFiles(folder / chain, folder / key, issuer if is_there(issuer) else None)
        for chain, key in _PAIRS
    ]
    found = [pair for pair in pairs if is_there(pair.chain) or is_there(pair.key)]
    return tuple(found or pairs[:1])


def is_there(path: Path) -> bool:
    """Tell whether there is something; in a folder that may not be searched there is nothing."""
    try:
        return path.exists()
    except PermissionError:
        return False


def read_pairs(pairs: Iterable[KeyPairFiles]) -> dict[Path, FileContent]:
    """Return what all files of the pairs held, all at one time.

    Raises:
        CertificateError: as `read_together`.
    """
    return read_together(list(dict.fromkeys(path for pair in pairs for path in pair.paths)))


def read_together(paths: Sequence[Path]) -> dict[Path, FileContent]:
    """Return what the files held, all at one time.

    Raises:
        CertificateError: one cannot be read, or they do not stop changing.
    """
    found = {path: read(path) for path in paths}
    for _ in range(_READINGS_MAX):
        before, found = found, {path: read(path) for path in paths}
        if found == before:
            return found
    changing = next(path for path in paths if before[path] != found[path])
    raise CertificateError(f"{changing}: changes while it is read")


def read(path: Path) -> FileContent:
    """Read one file.

    Raises:
        CertificateError: it is not there, not readable, no file, or larger than any certificate.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            mode = fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise CertificateError(f"{path}: not a file")
            data = file.read(_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise CertificateError(f"{path}: no such file") from None
    except PermissionError:
        raise CertificateError(f"{path}: not readable by this user") from None
    except IsADirectoryError:
        raise CertificateError(f"{path}: a directory, not a file") from None
    except OSError as error:
        raise CertificateError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > _FILE_BYTES_MAX:
        raise CertificateError(f"{path}: larger than any certificate or key")
    return FileContent(data, stat.S_IMODE(mode))


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for the writer of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)
