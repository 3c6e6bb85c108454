"""Large objects where the disk is full, or memory is short: in processes of their own."""

import os
import shutil
import subprocess
import sys

import pytest

COMMON = """
import asyncio, hashlib, sys
from pathlib import Path
from edgeproxy.cache.policy import CachePolicy
from edgeproxy.clock import SystemClock
from edgeproxy.store.disk.store import DiskStore
from edgeproxy.store.tiered import TieredStore
from tests.support.barrier import Barrier, settle
from tests.support.edge import make_pop, rule

MIB = 1 << 20
POLICY = CachePolicy(honours_request_directives=False, body_bytes_max=1 << 30)

async def begin(budget):
    disk = DiskStore(Path(sys.argv[1]) / "cache", budget, clock=SystemClock())
    await disk.start()
    while disk._queue.operations:
        await settle()
    store = TieredStore(8 * MIB, MIB, disk)
    return disk, make_pop(rule(cache=POLICY), store=store)

async def read(pop, whole):
    response = await pop.respond(pop.request("/a"))
    digest = hashlib.sha256()
    async for chunk in response.body:
        digest.update(chunk)
    await response.body.aclose()
    assert digest.hexdigest() == whole, len(response.body)

def digest_of(chunks):
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()

async def ended(disk, pop):
    while pop.edge._flights.count or disk._queue.operations:
        await settle()
    left = [e for e in (Path(sys.argv[1]) / "cache" / "temporary").rglob("*") if e.is_file()]
    assert not left, left
"""

FULL = (
    COMMON
    + """
async def main():
    disk, pop = await begin(64 * MIB)
    chunks = [bytes([n]) * 65536 for n in range(256)] * 2
    pop.origin.on("GET", "/a").reply(200, chunks, cache_control="max-age=60")
    whole = digest_of(chunks)
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(read(pop, whole))
    await ended(disk, pop)
    assert disk.faults["no_space"] >= 1, disk.faults
    assert pop.store.objects == disk.objects == 0
    assert pop.origin.requests == 1
    await disk.aclose()
asyncio.run(main())
"""
)

MEMORY = (
    COMMON
    + """
def peak_kib():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])

async def main():
    disk, pop = await begin(512 * MIB)
    chunks = [bytes([n]) * 65536 for n in range(16)] * 100  # 100 MiB, of 1 MiB of objects
    whole = digest_of(chunks)
    reply = pop.origin.on("GET", "/a").reply(200, chunks, cache_control="max-age=60")
    reply.pause(800, middle := Barrier())
    before = peak_kib()
    crowd = [asyncio.ensure_future(read(pop, whole)) for _ in range(3)]
    await middle.reached()
    crowd += [asyncio.ensure_future(read(pop, whole)) for _ in range(3)]
    middle.open()
    await asyncio.wait(crowd)
    await ended(disk, pop)
    assert all(task.exception() is None for task in crowd)
    assert pop.origin.requests == 1
    await read(pop, whole)
    grown = peak_kib() - before
    assert grown < 24 * 1024, f"{grown} KiB"
    print(grown, 'KiB')
    await disk.aclose()
asyncio.run(main())
"""
)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs mounts")
def test_a_disk_that_is_full_in_the_middle_of_a_fill_fails_no_request(tmp_path):
    script = 'mount -t tmpfs -o size=8m none "$1" && exec "$2" -c "$3" "$1"'
    command = ["unshare", "-m", "sh", "-c", script, "sh", tmp_path, sys.executable, FULL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_memory_holds_windows_of_a_large_object_however_many_read_it(tmp_path):
    command = [sys.executable, "-c", MEMORY, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
