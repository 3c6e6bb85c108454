import re

from hypothesis import given
from hypothesis import strategies as st

from edgeproxy.config.coverage import is_covered
from edgeproxy.edge.patterns import compile_pattern


def plain(source):
    """Leave out what the grammar refuses: `**` twice in a row."""
    return re.sub(r"\*\*(/\*\*)+", "**", source)


PIECES = st.lists(
    st.sampled_from(["a", "b", "ab", "{a,b}", "{hash:2+}", "{semver}", "1a", "1.0.0"]), max_size=2
).map("".join)
NAMED = st.sampled_from(["a", "b", "1a", "{a,b}", "{semver}", "{hash:2+}"])
SEGMENTS = st.one_of(
    st.just("**"),
    st.tuples(NAMED, PIECES).map("".join),
    st.tuples(PIECES, st.just("*"), PIECES).map("".join),
)
PATTERNS = st.lists(SEGMENTS, min_size=1, max_size=4).map(lambda p: plain("/" + "/".join(p)))
WORDS = st.sampled_from(["a", "b", "ab", "ba", "1a", "1a1a", "1.0.0", "a1.0.0", "aab"])
PATHS = st.lists(WORDS, min_size=1, max_size=4).map(lambda parts: ("/" + "/".join(parts)).encode())


@st.composite
def wider_and_narrower(draw):
    """Draw a pattern and a likely wider one: segments become `*`, runs of them `**`."""
    later = draw(PATTERNS)
    earlier = [
        draw(st.sampled_from([segment, segment, "*", "**"])) for segment in later[1:].split("/")
    ]
    return plain("/" + "/".join(earlier)), later


@given(wider_and_narrower(), st.lists(PATHS, max_size=30))
def test_a_proof_holds_for_every_path(patterns, paths):
    first, second = map(compile_pattern, patterns)
    is_proven = is_covered([first], second)
    for path in paths:
        assert not (is_proven and second.matches(path)) or first.matches(path)


def naive(source):
    """Translate a pattern without any of the tricks that make matching linear."""
    parts = []
    segments = source[1:].split("/")
    for number, segment in enumerate(segments):
        is_last = number == len(segments) - 1
        if segment == "**":
            parts.append(".*" if is_last else "(?:[^/]*/)*")
            continue
        text = re.escape(segment).replace(r"\*", "[^/]*").replace(r"\{a,b\}", "(?:a|b)")
        parts.append(text + ("" if is_last else "/"))
    return re.compile("/" + "".join(parts))


STARRED = st.tuples(
    st.sampled_from(["", "a", "{a,b}"]),
    st.lists(st.sampled_from(["a", "b", "ab"]), max_size=3).map(
        lambda words: "*".join(["", *words])
    ),
    st.sampled_from(["", "*", "*{a,b}", "*b"]),
).map("".join)
DEEP = st.lists(st.one_of(st.just("**"), STARRED.filter(bool)), min_size=1, max_size=6)
DEEP_PATHS = st.lists(
    st.sampled_from(["a", "b", "ab", "ba", "aba", "babab"]), min_size=1, max_size=7
).map("/".join)


@given(DEEP.map(lambda parts: plain("/" + "/".join(parts))), DEEP_PATHS, st.booleans())
def test_linear_matching_decides_as_plain_backtracking_does(source, rest, has_slash):
    path = "/" + rest + ("/" if has_slash else "")
    expected = naive(source).fullmatch(path) is not None
    assert compile_pattern(source).matches(path.encode()) == expected
