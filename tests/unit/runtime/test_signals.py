import asyncio
import os
import signal

import pytest

from edgeproxy.runtime.signals import told_by_signals


@pytest.fixture
async def told():
    yield told_by_signals()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().remove_signal_handler(number)


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_asks_and_the_second_insists(told, first, second) -> None:
    os.kill(os.getpid(), first)
    await told.stop.wait()
    assert not told.hurry.is_set()
    os.kill(os.getpid(), second)
    await told.hurry.wait()


async def test_a_hangup_asks_for_news_each_time(told) -> None:
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGHUP)
        await told.reload.wait()
        told.reload.clear()
    assert not told.stop.is_set()
