"""What the tests of several modules here share."""

from collections.abc import AsyncIterator

import pytest

from tests.support.http1_session import Connection
from tests.support.http2_session import SessionPeer


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    connection = Connection()
    yield connection
    connection.session.lost()
    await connection.settle()


@pytest.fixture
async def peer() -> SessionPeer:
    return SessionPeer()
