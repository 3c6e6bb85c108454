"""A file system that is smaller than the budget: puts fail, nothing else does."""

import subprocess
import sys

from tests.support.mounts import need_mounts, with_mount

PROGRAM = """
import asyncio, sys
from pathlib import Path
from edgeproxy.clock import SystemClock
from edgeproxy.store.disk.store import DiskStore
from tests.support.stored import stored

async def main():
    store = DiskStore(Path(sys.argv[1]) / "cache", 64 << 20, clock=SystemClock())
    await store.start()
    for number in range(40):
        store.put(stored(b"k%d" % number, bytes([number]) * (1 << 20)))
        await store.load(b"k%d" % number)
    assert await store.load(b"k0"), store.faults
    store.forget(b"k0")
    assert await store.load(b"k0") == ()
    assert store.faults["no_space"] >= 1, store.faults
    await store.aclose()
asyncio.run(main())
"""


def test_a_full_file_system_costs_puts_only(tmp_path):
    need_mounts()
    mount = with_mount(tmp_path, "-t", "tmpfs", "-o", "size=8m", "none")
    command = (*mount, sys.executable, "-c", PROGRAM, str(tmp_path))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
