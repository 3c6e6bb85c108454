"""Patterns mean the same on every Python that the product runs on.

CPython before 3.11.5 matches too much where a group that can backtrack is repeated possessively
(its issue 106052); Debian 12 ships 3.11.2. An atomic group around a greedy repetition says the same
and is right everywhere.
"""

import importlib
import pkgutil
import re
import re._constants as codes
import re._parser as parser
from collections.abc import Iterator
from typing import Any

import pytest

import edgeproxy


def _patterns() -> Iterator[re.Pattern[Any]]:
    for module in pkgutil.walk_packages(edgeproxy.__path__, "edgeproxy."):
        if module.name.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            for each in value if isinstance(value, tuple | list) else (value,):
                found = getattr(each, "__self__", each)  # `_is_name = re.compile(...).fullmatch`
                if isinstance(found, re.Pattern):
                    yield found


def _repeats_group_possessively(tree: Any) -> bool:
    for code, value in tree:
        parts = value if isinstance(value, tuple | list) else (value,)
        if code is codes.POSSESSIVE_REPEAT and _is_group(value[2]):
            return True
        for part in parts:
            nested = part if isinstance(part, list) else [part]
            for each in nested:
                if isinstance(each, parser.SubPattern) and _repeats_group_possessively(each):
                    return True
    return False


def _is_group(repeated: Any) -> bool:
    return len(repeated) != 1 or repeated[0][0] not in (
        codes.LITERAL,
        codes.NOT_LITERAL,
        codes.IN,
        codes.ANY,
    )


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (rb"[a-z]*+", False),
        (rb"(?:a|bc)*+", True),
        (rb"x(y(?:ab)++)?", True),
        (rb"(?>(?:a)*)", False),
    ],
)
def test_the_check_tells_them_apart(pattern: bytes, expected: bool) -> None:
    assert _repeats_group_possessively(parser.parse(pattern)) is expected


def test_no_group_is_repeated_possessively() -> None:
    patterns = set(_patterns())
    assert len(patterns) > 30
    found = [each.pattern for each in patterns if _repeats_group_possessively(_parsed(each))]
    assert not found


def _parsed(pattern: re.Pattern[Any]) -> Any:
    flags = pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else pattern.flags
    return parser.parse(pattern.pattern, flags)
