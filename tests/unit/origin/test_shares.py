import asyncio

import pytest

from edgeproxy.origin.shares import Share, Shares
from tests.support.barrier import settle


async def all_of(shares: Shares, client: str) -> list[Share]:
    """Take until there is no more."""
    taken = []
    while True:
        waiting = asyncio.ensure_future(shares.take(client))
        await settle()
        if not waiting.done():
            waiting.cancel()
            await settle()
            return taken
        taken.append(waiting.result())


@pytest.mark.parametrize(("connections", "each"), [(1, 1), (2, 1), (4, 3), (7, 6), (64, 48)])
async def test_one_client_never_has_the_whole_pool(connections: int, each: int):
    shares = Shares(connections)
    assert len(await all_of(shares, "192.0.2.1")) == each
    assert len(await all_of(shares, "192.0.2.2")) == each


async def test_a_share_that_is_given_back_goes_to_who_waits():
    shares = Shares(2)
    first = await shares.take("a")
    waiting = asyncio.ensure_future(shares.take("a"))
    await settle()
    assert not waiting.done()
    first.release()
    first.release()
    second = await waiting
    assert await all_of(shares, "a") == []
    second.release()
    assert len(await all_of(shares, "a")) == 1


async def test_nothing_is_kept_of_clients_without_connections():
    shares = Shares(4)
    for share in await all_of(shares, "192.0.2.1"):
        share.release()
    assert shares._clients == {}


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "", True),
    ],
)
async def test_who_is_the_same_client(one: str, other: str, is_same: bool):
    shares = Shares(4)
    assert len(await all_of(shares, one)) == 3
    assert (await all_of(shares, other) == []) is is_same


async def test_the_last_one_to_leave_is_noticed():
    left = []
    shares = Shares(4, on_idle=lambda: left.append(1))
    first, second = await shares.take("a"), await shares.take("b")
    first.release()
    assert (left, shares.is_idle) == ([], False)
    second.release()
    assert (left, shares.is_idle) == ([1], True)
