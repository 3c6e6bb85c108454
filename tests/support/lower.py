"""A tier below memory that is a dictionary, and reads as fast as a test lets it."""

from collections import Counter

from edgeproxy.cache.stored import StoredResponse
from tests.support.barrier import Barrier


class DictLower:
    """Keeps what it is told; `gate` holds reads, `fault` is raised by them."""

    def __init__(self) -> None:
        self.kept: dict[bytes, list[StoredResponse]] = {}
        self.gate = Barrier()
        self.gate.open()
        self.fault: Exception | None = None
        self.loads: Counter[bytes] = Counter()
        self.touched: list[bytes] = []

    async def load(self, key: bytes) -> tuple[StoredResponse, ...]:
        self.loads[key] += 1
        found = tuple(self.kept.get(key, ()))
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
