"""What the tests of several modules here share."""

import pytest

from tests.support.origin import ScriptedOrigin
from tests.support.outbound import origin_client


@pytest.fixture
async def origin():
    async with ScriptedOrigin() as scripted:
        yield scripted


@pytest.fixture
async def client(origin):
    made = origin_client(origin.settings())
    yield made
    await made.aclose()
