import copy
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeproxy.config.document import Document
from edgeproxy.config.load import judge
from edgeproxy.config.locate import Lines
from edgeproxy.errors import ConfigError

TEXT = (Path(__file__).parents[2] / "config" / "production.toml").read_text()
RAW = tomllib.loads(TEXT)
ODD = st.sampled_from(
    [0, -1, True, 1.5, "", "x", "assets", "/**", "1s", [], [1], ["x"], {}, {"x": 1}, [{}], [[]]]
)


def places(value, loc=()):
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    else:
        return
    for key, child in list(inner):
        yield (*loc, key)
        yield from places(child, (*loc, key))


PLACES = list(places(RAW))


def broken(data):
    """Replace, remove or misspell a few things anywhere in a good configuration."""
    raw = copy.deepcopy(RAW)
    for loc in data.draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=4)):
        parent = raw
        try:
            for part in loc[:-1]:
                parent = parent[part]
            old = parent[loc[-1]]
        except (KeyError, IndexError, TypeError):
            continue
        what = data.draw(st.sampled_from(["replace", "remove", "misspell", "add"]))
        if what == "replace" or isinstance(parent, list):
            parent[loc[-1]] = copy.deepcopy(data.draw(ODD))  # TOML has no aliases
        elif what == "remove":
            del parent[loc[-1]]
        elif what == "misspell":
            parent[loc[-1][:-1] + "q"] = parent.pop(loc[-1])
        elif isinstance(old, dict):
            old["unheard_of"] = copy.deepcopy(data.draw(ODD))
    return raw


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whatever_is_wrong_is_told_and_never_crashes(data):
    document = Document("edge.toml", Path("/nowhere"), broken(data), Lines(TEXT))
    # The files of the good configuration are not there, so something is always wrong.
    with pytest.raises(ConfigError) as caught:
        judge(document)
    problems = caught.value.problems
    assert problems
    assert len(set(problems)) == len(problems)
    assert all(problem.message and problem.line >= 1 for problem in problems)
