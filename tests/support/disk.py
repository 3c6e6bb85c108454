"""Fills a disk tier until it is killed: python -m tests.support.disk FOLDER BYTES."""

import asyncio
import hashlib
import random
import sys
from pathlib import Path

from edgeproxy.cache.stored import LargeBody
from edgeproxy.clock import SystemClock
from edgeproxy.store.disk.store import DiskStore
from tests.support.stored import stored


def body_of(number: int, version: int) -> bytes:
    seed = hashlib.sha256(b"%d %d" % (number, version)).digest()
    return seed * (1 + 37 * number % 4000)


async def spill(store: DiskStore, key: bytes, body: bytes) -> None:
    """Write a body bit by bit, as one that memory does not keep, and read it again."""
    made = stored(key, body)
    made.body = LargeBody(len(body))
    begun = await store.begin(random.choice([0, len(body)]))
    if begun is None:
        return
    for start in range(0, len(body), 50_000):
        await begun.write([body[start : start + 50_000]])
    if random.randrange(4) and await store.commit(begun, made):
        opened = await store.open(made)
        if opened is not None:  # else it has gone already
            assert await opened.read(0, len(body)) == body
            opened.close()
    begun.close()


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
        elif number % 7 == 0:
            await spill(store, key, body_of(number, random.randrange(3)))
            continue
        store.put(stored(key, body_of(number, random.randrange(3))))
        if store.queued_bytes > 1 << 20:
            await store.load(key)


if __name__ == "__main__":
    asyncio.run(fill(Path(sys.argv[1]), int(sys.argv[2])))
