"""The long runs, scaled down to seconds; `make soak` has them whole.

Kills while the disk tier is filled, a warm start, and reloads under a mixed load.
"""

from tests.support.chaos.run import BUDGET, chaos
from tests.support.mixed.run import mix
from tests.support.warm.run import warm


async def test_whatever_is_killed_what_is_on_disk_agrees_and_nobody_gets_wrong_bytes(tmp_path):
    found = await chaos(tmp_path, rounds=2, http1=3, http2=1, kinds=("worker", "PoP"))
    print(found.summary())
    assert found.faults() == []
    assert dict(found.kills) == {"worker": 1, "PoP": 1}
    assert 0 < found.most.blocks <= BUDGET
    assert found.seen["counts"]["whole"] > 0


async def test_a_pop_that_starts_again_asks_no_origin_for_what_is_on_disk(tmp_path):
    found = await warm(tmp_path, objects=40, mean_bytes=60_000, restarts=1, asked=20)
    print(found.summary())
    assert [each for each in found.faults() if "took" not in each] == []  # seconds do not matter


async def test_reloads_and_a_drain_fail_nobody(tmp_path):
    found = await mix(tmp_path, seconds=4, rate=25, reload_seconds=0.5)
    print(found.summary())
    assert found.faults() == []
    assert found.seen["counts"]["downloads"] > 0
