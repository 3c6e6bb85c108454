"""A connection of a server with a stock client, for tests that do not care which."""

import pytest

from edgeproxy.tls.contexts import FrontContext
from tests.support.quic import Pair, any_identity, settings_of


@pytest.fixture
def settings():
    return settings_of(FrontContext([any_identity()]))


@pytest.fixture
def pair(settings):
    return Pair(settings, server_name="a.test").run()
