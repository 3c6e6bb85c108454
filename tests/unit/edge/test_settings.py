from dataclasses import FrozenInstanceError, fields

import pytest

from edgeproxy.edge.settings import EdgeSettings


def test_every_default_is_a_bound() -> None:
    settings = EdgeSettings()
    assert all(0 < getattr(settings, each.name) < 1e9 for each in fields(settings))


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        EdgeSettings().fills_max = 1
