"""The vectors of docs/verification.md meet one running point of presence per module."""

import pytest
import pytest_asyncio

from tests.support.raw import attacked
from tests.support.rows import PROTOCOLS


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory):
    async with attacked(tmp_path_factory.mktemp("pop")) as site:
        yield site


@pytest.fixture
def site(place):
    """That one; whatever reaches its origin in a test has to be a request by RFC 9112."""
    before = place.asked
    yield place
    place.forwarded(before)


@pytest.fixture(params=PROTOCOLS)
def protocol(request):
    return request.param
