"""The control socket: a Unix socket in the state folder, for its owner and root.

Speaks no HTTP. Access is the file's mode (0600), and a second time the peer's credentials. One PoP
per name: a lock beside the socket is held as long as it lives, so that two starts at the same
moment cannot take it from each other; a socket that a dead process left behind is replaced.

Invariant: what is at the path while the lock is held is this process's.
"""

import asyncio
import errno
import fcntl
import os
import socket
import stat
import struct
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

PATH_BYTES_MAX = 107
"""What Linux has room for: `sun_path` of unix(7), less the zero at its end."""

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: `struct ucred`


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why there is no control socket; the PoP serves all the same."""

    path: Path
    reason: str


@dataclass(frozen=True)
class ControlSocket:
    """A bound socket, and what is undone when it is closed."""

    path: Path
    sock: socket.socket
    _held: ExitStack

    def close(self) -> None:
        """Remove it; harmless when repeated."""
        self._held.close()


def socket_path(folder: Path, name: str) -> Path:
    """Return where the control socket of a PoP is."""
    return folder / f"{name}.sock"


def too_long(path: Path) -> str:
    """Return why a path is too long for a socket, "" if it is not."""
    size = len(os.fsencode(path))
    if size <= PATH_BYTES_MAX:
        return ""
    return f"its path has {size} bytes, {PATH_BYTES_MAX} are the most"


def claim(folder: Path, name: str) -> ControlSocket | Unusable:
    """Make `folder/name.sock`, and the folder where there is none."""
    path = socket_path(folder, name)
    if reason := too_long(path):
        return Unusable(path, reason)
    with ExitStack() as held:
        try:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            mode = stat.S_IMODE(folder.stat().st_mode)
            if mode & stat.S_IWOTH:
                return Unusable(path, f"everybody may write to its folder (mode {mode:04o})")
            _lock(folder / f"{name}.lock", path, held)
            _make_way(path)
            sock = held.enter_context(_bound(path))
        except OSError as error:
            return Unusable(path, error.strerror or str(error))
        held.callback(path.unlink, missing_ok=True)
        kept = held.pop_all()
    return ControlSocket(path, sock, kept)


def is_ours(transport: asyncio.BaseTransport) -> bool:
    """Tell whether the peer on a Unix socket is root or our own user."""
    sock = transport.get_extra_info("socket")
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _pid, uid, _gid = _CREDENTIALS.unpack(raw)
    return uid in (0, os.geteuid())


def _lock(lock: Path, path: Path, held: ExitStack) -> None:
    """Hold the lock; the kernel lets go of it when the process ends, however it ends."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    held.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _taken(path) from None


def _make_way(path: Path) -> None:
    """Remove what a dead process left behind."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "it is something else")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)  # noqa: FBT003 - the method takes no keyword
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:  # somebody listens, and has no time
            pass
    raise _taken(path)


def _bound(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The file gets the socket's mode (unix(7)): there is no moment at which others may connect.
        os.fchmod(sock.fileno(), 0o600)
        sock.setblocking(False)  # noqa: FBT003 - the method takes no keyword
        sock.bind(os.fspath(path))
    except OSError:
        sock.close()
        raise
    return sock


def _taken(path: Path) -> OSError:
    why = f"another PoP named {path.stem!r} is running (pop.name and pop.state_dir tell them apart)"
    return OSError(errno.EADDRINUSE, why)
