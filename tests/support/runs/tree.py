"""The processes of a running PoP, from outside: who they are, and which of them serves a client."""

import asyncio
import os
from pathlib import Path

_ESTABLISHED = "01"


def workers_of(main: int) -> dict[str, int]:
    """Return the process ids of the workers that there are now, by name."""
    return {name: pid for name, pid in children_of(main).items() if name.startswith("edge worker")}


def children_of(main: int) -> dict[str, int]:
    """Return the process ids of what a main process forked, by the names that they gave themselves.

    One that was born a moment ago may not have one yet, and is left out.
    """
    found = {}
    try:
        children = Path(f"/proc/{main}/task/{main}/children").read_text(encoding="ascii").split()
        for pid in map(int, children):
            name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
            if name.startswith("edge "):
                found[name] = pid
    except OSError:
        pass  # somebody has ended meanwhile
    return found


def serves(pid: int, writer: asyncio.StreamWriter) -> bool:
    """Tell whether this process holds the other end of a client's connection over loopback."""
    here, there = writer.get_extra_info("sockname")[1], writer.get_extra_info("peername")[1]
    inode = _inode(local_port=there, remote_port=here)
    if inode is None:
        return False
    try:
        for each in Path(f"/proc/{pid}/fd").iterdir():
            if os.readlink(each) == f"socket:[{inode}]":  # noqa: PTH115 - no path
                return True
    except OSError:
        pass  # a descriptor that was closed meanwhile, or all of them
    return False


def _inode(*, local_port: int, remote_port: int) -> str | None:
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        parts = line.split()
        ports = [int(address.rpartition(":")[2], 16) for address in parts[1:3]]
        if ports == [local_port, remote_port] and parts[3] == _ESTABLISHED:
            return parts[9]
    return None
