"""Drive a server with ngtcp2's client, and read from the kernel what that cost the server.

The client is of other hands than any server here, and in C; its CPU time is not counted.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.compare.load import LoadError, family

# What both servers of ours let a client open at once.
STREAMS_MAX = 1024
RUN_SECONDS = 120
_STATUS = re.compile(r"\[:status: ([0-9]{3})\]")
_CLIENTS = ("gtlsclient", "osslclient", "qtlsclient")


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the client and nginx are found: on the path, or in a folder (`programs.sh`)."""

    root: Path | None

    def command(self, name: str) -> list[str] | None:
        """Return what runs a program, None when there is none."""
        if self.root is None:
            found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
            return None if found is None else [found]
        loader = self.root / "usr/lib64/ld-linux-x86-64.so.2"
        libraries = self.root / "usr/lib/x86_64-linux-gnu"
        for folder in ("usr/bin", "usr/sbin"):
            program = self.root / folder / name
            if program.is_file() and loader.exists():
                return [str(loader), "--library-path", str(libraries), str(program)]
        return None

    def client(self) -> list[str] | None:
        """Return what runs an ngtcp2 client, None when there is none."""
        return next((found for name in _CLIENTS if (found := self.command(name))), None)


def ask(
    client: Sequence[str], port: int, path: str, requests: int, core: int, *, is_quiet: bool = True
) -> str:
    """Make requests on one connection, as many at once as the server allows; return what it says.

    Raises:
        LoadError: the client failed or did not end.
    """
    command = ["taskset", "-c", str(core), *client, "--exit-on-all-streams-close"]
    command += ["-q"] if is_quiet else ["--no-quic-dump", "--no-http-dump"]
    command += ["-n", str(requests), "localhost", str(port), f"https://localhost:{port}{path}"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=RUN_SECONDS, check=True
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise LoadError(f"the client failed: {error}") from error
    return done.stdout + done.stderr


def check(client: Sequence[str], port: int, path: str, requests: int, core: int) -> None:
    """Look once at every status: the runs that are measured are silent."""
    said = ask(client, port, path, requests, core, is_quiet=False)
    found = _STATUS.findall(said)
    if found != ["200"] * requests:
        raise LoadError(f"{found.count('200')} of {requests} requests succeeded")


def cpu_seconds(root: int) -> float:
    """Return the CPU seconds of a process and its descendants so far, counted in nanoseconds."""
    spent = 0
    for pid in family(root):
        for task in Path(f"/proc/{pid}/task").iterdir():
            spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1e9


def loopback_octets() -> int:
    """Return what has come over the loopback interface so far."""
    return int(Path("/sys/class/net/lo/statistics/rx_bytes").read_text())
