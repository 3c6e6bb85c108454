import pytest

from edgeproxy.edge.patterns import compile_pattern


def matches(pattern, path):
    return compile_pattern(pattern).matches(path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/a.js", b"/a.js"),
        ("/", b"/"),
        ("/*", b"/"),
        ("/*", b"/x"),
        ("/*.js", b"/.js"),
        ("/a*", b"/a"),
        ("/**", b"/"),
        ("/**", b"/a/b/c"),
        ("/a/**", b"/a/"),
        ("/a/**", b"/a/b/c.js"),
        ("/**/x", b"/x"),
        ("/**/x", b"/a/b/x"),
        ("/a/**/x/**/y", b"/a/x/y"),
        ("/a/**/x/**/y", b"/a/1/x/x/2/y"),
        ("/**/b/*/**/d", b"/b/b/1/2/d"),
        ("/*a*b*", b"/xxaxxbxx"),
        ("/*a*b", b"/abab"),
        ("/x*a*b*c.js", b"/xaab1bc.js"),
        ("/{a,bc}.js", b"/bc.js"),
        ("/a{,.min}.js", b"/a.js"),
        ("/a{,.min}.js", b"/a.min.js"),
        ("/v{semver}/**", b"/v1.4.2/widget.js"),
        ("/v{semver}/**", b"/v10.0.0-rc.1+b.7/widget.js"),
        ("/widget-v{semver}.js", b"/widget-v2.1.0.js"),
        ("/widget-v{semver}.js", b"/widget-v2.1.0-beta.3.js"),
        ("/*-v{semver}.{js,css}", b"/my-widget-v2.1.0.css"),
        ("/**/*.{hash:8+}.{js,css,woff2,map}", b"/a/b/main.3f9c1a2b.js"),
        ("/**/*.{hash:8+}.{js,css,woff2,map}", b"/main.chunk.3f9c1a2bdeadbeef.woff2"),
        ("/*-{hash:8}.js", b"/index-Ab3dEf9h.js"),
        ("/widget_{hash:8+}.js", b"/widget_3f9c1a2b.js"),
        ("/a%20b", b"/a%20b"),
    ],
)
def test_a_path_of_the_pattern_matches(pattern, path):
    assert matches(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/a.js", b"/aXjs"),
        ("/a.js", b"/A.js"),
        ("/a.js", b"/a.js/"),
        ("/a.js", b"/b/a.js"),
        ("/a/**", b"/a"),
        ("/a/**", b"/ab/c"),
        ("/*", b"/a/b"),
        ("/*.js", b"/a/b.js"),
        ("/**/x", b"/ax"),
        ("/a/**/x/**/y", b"/a/y/x"),
        ("/*a*b*", b"/xxbxxa"),
        ("/{a,bc}.js", b"/b.js"),
        ("/v{semver}/**", b"/v1.4/widget.js"),
        ("/v{semver}/**", b"/v01.4.2/widget.js"),
        ("/v{semver}/**", b"/v1.4.2"),
        ("/v{semver}/**", b"/v1.4.2.3/widget.js"),
        ("/*{semver}.js", b"/11.2.3.4.js"),
        ("/**/*.{hash:8+}.js", b"/main.3f9c1a2.js"),  # seven
        ("/**/*-{hash:8+}.js", b"/index-dashboard.js"),  # a word, no digit
        ("/*{hash:8+}.js", b"/index-3f9c1a2.js"),  # seven: a run is taken whole
        ("/*-{hash:8}.js", b"/index-3f9c1a2b4.js"),  # nine
        ("/{hash:8+}", b"/" + b"a1" * 65),  # longer than any digest
    ],
)
def test_another_path_does_not(pattern, path):
    assert not matches(pattern, path)


@pytest.mark.parametrize(
    "path",
    [b"/v1.0.0/..%2faccount", b"/v1.0.0/../account", b"/v1.0.0/a;.js", b"/v1.0.0//a", b"/a\\b.js"],
)
@pytest.mark.parametrize("pattern", ["/v{semver}/**", "/**", "/**/*", "/*"])
def test_an_ambiguous_path_matches_nothing(pattern, path):
    assert not matches(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("a.js", "starts with '/'"),
        ("", "starts with '/'"),
        ("/" + "a" * 600, "at most 512"),
        ("/a**", "stands alone"),
        ("/**/**", "follows"),
        ("/{a", "unbalanced"),
        ("/a}", "unbalanced"),
        ("/{a{b,c},d}", "unbalanced"),
        ("/{foo}", "none of"),
        ("/{hash}", "none of"),
        ("/{hash:0+}", "none of"),
        ("/{hash:200+}", "at most 128"),
        ("/a?b", "cannot stand"),
        ("/a b", "cannot stand"),
        ("/[a-z]", "cannot stand"),
        ("/ä", "cannot stand"),
        ("/a//b", "ambiguous"),
        ("/a/../b", "ambiguous"),
        ("/a%2fb", "ambiguous"),
        ("/a%b", "ambiguous"),
        ("/a;b", "cannot stand"),
        ("/*{a,b}*", "literal text only"),
        ("/**a", "stands alone"),
        ("/*{hash:8+}*", "literal text only"),
    ],
)
def test_a_bad_pattern_is_explained(pattern, complaint):
    with pytest.raises(ValueError, match=complaint.replace("*", r"\*")):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/**/a/**/b/**/c", b"/" + b"a/b/" * 2000 + b"d"),
        ("/*a*a*a*a*a*b", b"/" + b"a" * 8000),
        ("/**/*.{hash:8+}.{js,css}", b"/" + b".aaaaaaa1" * 900),
        ("/**/*.{hash:8+}.{js,css}", b"/a" * 4000),
        ("/*{semver}.js", b"/" + b"1.1.1-a.1.1.1-" * 600),
        ("/*{hash:8+}{semver}{hash:8+}", b"/" + b"1a.1.1.1a" * 900),
    ],
)
def test_a_long_path_cannot_make_matching_explode(pattern, path):
    # Without the atomic groups the first two take hours: the suite's own patience is the assertion.
    assert not matches(pattern, path)


def test_patterns_compare_by_what_was_written():
    assert compile_pattern("/a") == compile_pattern("/a")
    assert compile_pattern("/a") != compile_pattern("/b")
