from dataclasses import FrozenInstanceError

import pytest

from edgeproxy.cache.policy import TRANSPARENT, CachePolicy


def test_the_transparent_policy_invents_nothing():
    assert TRANSPARENT.edge_lifetime is None
    assert TRANSPARENT.default_lifetime is None
    assert TRANSPARENT.stale_while_revalidate is None
    assert TRANSPARENT.stale_if_error is None
    assert TRANSPARENT.negative_lifetime == 0
    assert TRANSPARENT.may_store
    assert TRANSPARENT.honours_request_directives
    assert not TRANSPARENT.store_set_cookie
    assert CachePolicy() == TRANSPARENT


def test_a_policy_is_frozen():
    with pytest.raises(FrozenInstanceError):
        TRANSPARENT.may_store = False
