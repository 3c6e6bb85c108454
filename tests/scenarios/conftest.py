"""Scenarios run on the loop that the program runs on: its transports have ways of their own."""

import pytest
import uvloop


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories():
    return {"uvloop": uvloop.new_event_loop}
