"""What only the disk holds, between two workers that share a disk."""

import pytest

from edgeproxy.cache.policy import CachePolicy
from edgeproxy.cache.stored import LargeBody
from edgeproxy.store.tiered import TieredStore
from tests.support.barrier import Barrier, settle
from tests.support.edge import rule
from tests.support.lower import DictLower
from tests.support.sibling import make_family, target_owned_by

OWNED = target_owned_by(1)
SMALL, LARGE = 1 << 16, 1 << 24
CHUNKS = [bytes([number]) * 10_000 for number in range(100)]
BODY = b"".join(CHUNKS)
RULE = rule(cache=CachePolicy(honours_request_directives=False, body_bytes_max=LARGE))


def lowers(*, is_shared: bool) -> list[DictLower]:
    """The disk as each of two workers sees it."""
    both = [DictLower(), DictLower()]
    for each in both:
        each.large_bytes_max = LARGE
    return [both[0], both[0]] if is_shared else both


async def test_two_cold_crowds_are_one_request_to_the_origin() -> None:
    disks = lowers(is_shared=True)
    stores = iter([TieredStore(LARGE, SMALL, each) for each in disks])
    async with make_family(2, RULE, stores=stores) as family:
        asker, owner = family
        reply = asker.origin.on("GET", OWNED).reply(200, CHUNKS, cache_control="max-age=60")
        reply.pause(50, middle := Barrier())
        crowds = [*asker.crowd(5, OWNED), *owner.crowd(5, OWNED)]
        await middle.reached()
        await settle(50)
        crowds += [*asker.crowd(5, OWNED), *owner.crowd(5, OWNED)]
        middle.open()
        assert {(await each).body for each in crowds} == {BODY}
        assert asker.origin.requests == 1
        while any(pop.edge._flights.count for pop in family):
            await settle()
        for pop in family:
            assert (await pop.get(OWNED)).outcome == "hit"


@pytest.mark.parametrize("is_gone", [False, True])
async def test_what_the_owner_has_on_disk_is_read_from_there(is_gone: bool) -> None:
    disks = lowers(is_shared=False)
    stores = iter([TieredStore(LARGE, SMALL, each) for each in disks])
    async with make_family(2, RULE, stores=stores) as family:
        asker, owner = family
        asker.origin.on("GET", OWNED).reply(200, CHUNKS, cache_control="max-age=60")
        await owner.get(OWNED)
        while owner.edge._flights.count:
            await settle()
        assert [each.body for each in owner.store.candidates(_key(owner), 0.0)] == [
            LargeBody(len(BODY))
        ]
        if is_gone:
            disks[1].large.clear()
        assert (await asker.get(OWNED)).body == BODY
        assert asker.origin.requests == (2 if is_gone else 1)


def _key(pop) -> bytes:
    [key] = list(pop.store._index)
    return key
