import pytest

from edgeproxy.config.coverage import covers, is_covered
from edgeproxy.edge.patterns import compile_pattern


def proven(earlier, later):
    return covers(compile_pattern(earlier), compile_pattern(later))


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("/a", "/a"),
        ("/**", "/a"),
        ("/**", "/"),
        ("/**", "/**"),
        ("/**", "/v{semver}/**"),
        ("/**", "/**/*.{hash:8+}.{js,css}"),
        ("/*", "/a"),
        ("/*", "/"),
        ("/a/**", "/a/b/c"),
        ("/a/**", "/a/"),
        ("/a/**", "/a/**/x"),
        ("/**/x", "/x"),
        ("/**/x", "/a/x"),
        ("/*.js", "/a.js"),
        ("/*.js", "/a-{semver}.js"),
        ("/*.{js,css}", "/a.css"),
        ("/*.{js,css}", "/*.{css,js}"),
        ("/a*", "/ab*c"),
        ("/{hash:8+}", "/{hash:12+}"),
        ("/{hash:8+}", "/{hash:9}"),
        ("/{hash:8+}", "/3f9c1a2b"),
        ("/v{semver}/x", "/v1.2.3/x"),
        ("/{a,b}{c,d}", "/{ac,bd}"),
    ],
)
def test_nothing_is_left(earlier, later):
    assert proven(earlier, later)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("/a", "/b"),
        ("/*", "/**"),
        ("/*", "/a/b"),
        ("/a/**", "/a"),
        ("/a/**", "/**"),
        ("/*.js", "/*"),
        ("/*.js", "/*.{js,css}"),
        ("/{hash:9+}", "/{hash:8+}"),
        ("/{hash:8}", "/{hash:8+}"),
        ("/{hash:8+}", "/*"),
        ("/v{semver}/**", "/v{hash:8+}/**"),
        ("/a*c", "/ab*"),
        ("/a/*/c", "/a/**/c"),
    ],
)
def test_something_is_left(earlier, later):
    assert not proven(earlier, later)


def test_several_rules_together_may_leave_nothing():
    earlier = [compile_pattern("/*.js"), compile_pattern("/*.css")]
    assert is_covered(earlier, compile_pattern("/a.{js,css}"))
    assert not is_covered(earlier, compile_pattern("/a.{js,css,map}"))
    assert not is_covered([], compile_pattern("/a"))


def test_too_many_spellings_prove_nothing_but_the_same():
    many = "/" + "{a,b}" * 8
    assert proven(many, many)
    assert proven("/**", many)
    assert not proven("/a*", many)
    assert is_covered([compile_pattern(many)], compile_pattern(many))
