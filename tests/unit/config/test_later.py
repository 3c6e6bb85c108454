import pytest

from edgeproxy.config.later import is_later


@pytest.mark.parametrize(
    "loc",
    [
        ("shield",),
        ("listen", "admin"),
        ("origin", "a", "health"),
        ("host", 0, "rule", 1, "rollout"),
    ],
)
def test_what_is_planned_is_told_from_what_is_misspelt(loc):
    assert is_later(loc)


@pytest.mark.parametrize(
    "loc", [("sheild",), ("listen",), ("listen", "https"), ("origin", "health")]
)
def test_everything_else_is_not_planned(loc):
    assert not is_later(loc)
