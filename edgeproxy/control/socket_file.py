"""The control socket: a Unix socket in the state folder, for its owner and root.

Speaks no HTTP. Access is the file's mode (0600), and a second time the peer's credentials. One PoP
per name: a lock beside the socket is held as long as it lives, so that two starts at the same
moment cannot take it from each other; a socket that a dead process left behind is replaced. Lock
and socket may go on in another process together (SCM_RIGHTS): then nobody else ever had the name.

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
from io import FileIO
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
    """A bound socket, and the open file that is locked as long as the name is taken."""

    path: Path
    sock: socket.socket
    lock: FileIO

    def close(self) -> None:
        """Remove it; harmless when repeated."""
        if not self.lock.closed:
            self.path.unlink(missing_ok=True)
            self.leave()

    def leave(self) -> None:
        """Let go of it where another process goes on with socket and lock."""
        self.sock.close()
        self.lock.close()


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
            lock = held.enter_context(_locked(folder / f"{name}.lock", path))
            _make_way(path)
            sock = bind_private(path)
        except OSError as error:
            return Unusable(path, error.strerror or str(error))
        held.pop_all()
    return ControlSocket(path, sock, lock)


def is_ours(transport: asyncio.BaseTransport) -> bool:
    """Tell whether the peer on a Unix socket is root or our own user."""
    sock = transport.get_extra_info("socket")
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _pid, uid, _gid = _CREDENTIALS.unpack(raw)
    return uid in (0, os.geteuid())


def _locked(lock: Path, path: Path) -> FileIO:
    """Hold the lock; the kernel lets go of it with the last process that has it open."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    held = FileIO(descriptor, "r+")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held.close()
        raise _taken(path) if isinstance(error, BlockingIOError) else error from None
    return held


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


def bind_private(path: Path, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """Return a socket at a path that nobody has, for its owner.

    Raises:
        OSError: it cannot be bound.
    """
    sock = socket.socket(socket.AF_UNIX, kind)
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
