import asyncio
import os
import signal

import pytest

from edgeproxy.runtime.signals import Signals


@pytest.fixture
async def told():
    yield Signals()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_asks_and_the_second_insists(told, first, second) -> None:
    os.kill(os.getpid(), first)
    await told.stop.wait()
    assert not told.hurry.is_set()
    os.kill(os.getpid(), second)
    await told.hurry.wait()
