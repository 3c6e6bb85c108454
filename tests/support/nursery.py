"""`edgeproxy` as a process of its own without its imports: forked by one that has made them.

    process = await start(["serve", "-c", "edge.toml"])
    line = await process.stderr.readline()

Half a second of CPU at each start is Python that reads modules. The nursery is a process
(`python -m tests.support.nursery`) that has read them, runs no thread and no loop, and forks for
whoever asks. What comes of it has arguments, environment, folder, descriptors and an end of its
own, and is a child of who asked, as if it had been executed: the fork in between ends at once, and
orphans are ours meanwhile. Where coverage is measured it begins behind the imports.
"""

import asyncio
import atexit
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_ORDER_BYTES = 1 << 20
_PR_SET_CHILD_SUBREAPER = 36
_COVERAGE = "COVERAGE_PROCESS_CONFIG"
_ONE_AFTER_ANOTHER = threading.Lock()
_libc = ctypes.CDLL(None)


class Forked:
    """What tests use of `asyncio.subprocess.Process`; no `stdout` where it goes nowhere."""

    def __init__(self, pid: int, stdout: asyncio.StreamReader | None, stderr: asyncio.StreamReader):
        self.pid, self.stdout, self.stderr = pid, stdout, stderr
        self.returncode: int | None = None
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._descriptor = os.pidfd_open(pid)
        self._loop.add_reader(self._descriptor, self._end)

    def _end(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self._ended.set()

    async def wait(self) -> int:
        await self._ended.wait()
        return self.returncode

    async def communicate(self) -> tuple[bytes, bytes]:
        out, err = await self.stdout.read(), await self.stderr.read()  # neither fills its pipe
        await self.wait()
        return out, err

    def send_signal(self, number: int) -> None:
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


async def start(arguments: Sequence[str], *, keeps_stdout: bool = False) -> Forked:
    """Run `edgeproxy` with these arguments; its standard output goes nowhere unless it is kept."""
    err, their_err = os.pipe()
    out, their_out = os.pipe() if keeps_stdout else (None, os.open(os.devnull, os.O_WRONLY))
    try:
        # the first time for as long as the imports take
        pid = await asyncio.to_thread(_bear, arguments, their_out, their_err)
    finally:
        os.close(their_out)
        os.close(their_err)
    stdout = None if out is None else await _reader(out)
    return Forked(pid, stdout, await _reader(err))


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
    return reader


class _Nursery:
    """The other process, and the way to it."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", __name__, str(theirs.fileno())]
            environ = {name: os.environ[name] for name in os.environ.keys() - {_COVERAGE}}
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environ)
        atexit.register(self._close)

    def _close(self) -> None:
        self._control.close()
        self._process.wait()

    def bear(self, arguments: Sequence[str], stdout: int, stderr: int) -> int:
        """Have a process forked, and adopt it; return its id."""
        order = {"argv": list(arguments), "environ": dict(os.environ), "folder": str(Path.cwd())}
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        try:
            socket.send_fds(self._control, [json.dumps(order).encode()], [stdout, stderr])
            return int(self._control.recv(32))
        finally:
            _libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@cache
def _nursery() -> _Nursery:
    return _Nursery()


def _bear(arguments: Sequence[str], stdout: int, stderr: int) -> int:
    with _ONE_AFTER_ANOTHER:
        return _nursery().bear(arguments, stdout, stderr)


# --- the other process ----------------------------------------------------------------------------


def _nurse(control: socket.socket) -> None:
    """Fork as often as told; returns in each child, and ends with who asks."""
    while True:
        said, descriptors, _, _ = socket.recv_fds(control, _ORDER_BYTES, 2)
        if not said:
            sys.exit()
        reading, writing = os.pipe()
        between = os.fork()
        if between == 0:
            pid = os.fork()
            if pid == 0:
                for each in (reading, writing):
                    os.close(each)
                control.close()
                _become(json.loads(said), *descriptors)
                return
            os.write(writing, b"%d" % pid)
            os._exit(0)
        pid = os.read(reading, 32)
        os.waitpid(between, 0)  # from here on it is the child of who asked
        for each in (reading, writing, *descriptors):
            os.close(each)
        control.send(pid)


def _become(order: dict, stdout: int, stderr: int) -> None:
    for here, there in ((stdout, 1), (stderr, 2)):
        os.dup2(here, there)
        os.close(here)
    os.environ.clear()
    os.environ.update(order["environ"])
    os.chdir(order["folder"])
    sys.argv = ["edgeproxy", *order["argv"]]
    if _COVERAGE in os.environ:
        coverage.process_startup()


if __name__ == "__main__":
    import gc

    import coverage

    import edgeproxy.cli.loading
    import edgeproxy.runtime.process

    gc.freeze()
    _nurse(socket.socket(fileno=int(sys.argv[1])))
    edgeproxy.cli.main(prog_name="edgeproxy")
