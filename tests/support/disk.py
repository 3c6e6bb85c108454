"""Fills a disk tier until it is killed: python -m tests.support.disk FOLDER BYTES."""

import asyncio
import hashlib
import random
import sys
from pathlib import Path

from edgeproxy.clock import SystemClock
from edgeproxy.store.disk.store import DiskStore
from tests.support.stored import stored


def body_of(number: int, version: int) -> bytes:
    seed = hashlib.sha256(b"%d %d" % (number, version)).digest()
    return seed * (1 + 37 * number % 4000)


async def fill(folder: Path, bytes_max: int) -> None:
    store = DiskStore(folder, bytes_max, clock=SystemClock())
    await store.start()
    print("started", flush=True)
    while True:
        number = random.randrange(500)
        key = b"k%d" % number
        if number % 10 == 0:
            store.forget(key)
        elif number % 3 == 0:
            for found in await store.load(key):
                assert hashlib.sha256(found.body).digest() == found.digest
        store.put(stored(key, body_of(number, random.randrange(3))))
        if store.queued_bytes > 1 << 20:
            await store.load(key)


if __name__ == "__main__":
    asyncio.run(fill(Path(sys.argv[1]), int(sys.argv[2])))
