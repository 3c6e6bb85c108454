"""A tier below memory that is a dictionary, and reads as fast as a test lets it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from edgeproxy.cache.stored import LargeBody, StoredResponse
from edgeproxy.errors import StoreError
from tests.support.barrier import Barrier


class Octets:
    """A large body, being written or read; `gate` holds writes, `fault` is raised by both."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = bytearray(content)
        self.gate = Barrier()
        self.gate.open()
        self.fault: StoreError | None = None
        self.reads: list[tuple[int, int]] = []
        self.is_closed = False

    async def write(self, pieces: Sequence[bytes]) -> None:
        await self.gate.passed()
        if self.fault is not None:
            raise self.fault
        self.content += b"".join(pieces)

    async def read(self, position: int, size: int) -> bytes:
        self.reads.append((position, size))
        if self.fault is not None:
            raise self.fault
        assert not self.is_closed
        assert position + size <= len(self.content)
        return bytes(self.content[position : position + size])

    def close(self) -> None:
        self.is_closed = True


class DictLower:
    """Keeps what it is told; `gate` holds reads, `fault` is raised by them.

    Bodies up to `large_bytes_max` are kept beside, those of `spills` are being written; `refuses`
    to begin or to commit them, `commits` holds that.
    """

    def __init__(self) -> None:
        self.kept: dict[bytes, list[StoredResponse]] = {}
        self.gate = Barrier()
        self.gate.open()
        self.fault: Exception | None = None
        self.loads: Counter[bytes] = Counter()
        self.touched: list[bytes] = []
        self.large_bytes_max = 0
        self.large: dict[bytes, Octets] = {}
        self.spills: list[Octets] = []
        self.refuses: set[str] = set()
        self.commits = Barrier()
        self.commits.open()

    async def begin(self, size: int) -> Octets | None:
        if "begin" in self.refuses:
            return None
        self.spills.append(Octets())
        return self.spills[-1]

    async def commit(self, spill: Octets, stored: StoredResponse) -> bool:
        await self.commits.passed()
        if "commit" in self.refuses:
            return False
        self.large[stored.digest] = Octets(bytes(spill.content))
        self.put(stored)
        return True

    async def open(self, stored: StoredResponse) -> Octets | None:
        found = self.large.get(stored.digest)
        return None if found is None else Octets(bytes(found.content))

    async def load(self, key: bytes, body_bytes_max: int) -> tuple[StoredResponse, ...]:
        self.loads[key] += 1
        found = tuple(_within(each, body_bytes_max) for each in self.kept.get(key, ()))
        await self.gate.passed()
        if self.fault is not None:
            raise self.fault
        return found

    def put(self, stored: StoredResponse) -> None:
        others = [each for each in self.kept.get(stored.key, ()) if each.vary != stored.vary]
        self.kept[stored.key] = [*others, stored]

    def replace(self, old: StoredResponse, new: StoredResponse) -> None:
        kept = self.kept.get(old.key, [])
        if any(each.body_id == old.body_id for each in kept):
            self.put(new)

    def drop(self, stored: StoredResponse) -> None:
        kept = self.kept.get(stored.key, [])
        self.kept[stored.key] = [each for each in kept if each.body_id != stored.body_id]

    def forget(self, key: bytes) -> None:
        self.kept.pop(key, None)

    def touch(self, key: bytes) -> None:
        self.touched.append(key)


def _within(stored: StoredResponse, body_bytes_max: int) -> StoredResponse:
    if len(stored.body) <= body_bytes_max:
        return stored
    return replace(stored, body=LargeBody(len(stored.body)))
