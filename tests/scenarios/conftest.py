"""Scenarios run on the loop that the program runs on: its transports have ways of their own."""

import pytest
import pytest_asyncio
import uvloop

from tests.support.pop import clock_of_today, running_pop
from tests.support.rows import PROTOCOLS, Stage


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories():
    return {"uvloop": uvloop.new_event_loop}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory):
    """A point of presence without rules, for all tests of a module."""
    clock = clock_of_today()
    async with running_pop(tmp_path_factory.mktemp("pop"), clock=clock) as pop:
        yield Stage(pop, clock)


@pytest.fixture(params=PROTOCOLS)
def stage(running, request):
    """That one, asked in one protocol and then in the other."""
    return Stage(running.pop, running.clock, request.param)
