import pytest

from edgeproxy.cache.key import QueryPolicy
from edgeproxy.cache.policy import CachePolicy
from edgeproxy.edge.patterns import compile_pattern
from edgeproxy.edge.sites import (
    AMBIGUOUS_RULE,
    TRANSPARENT_RULE,
    CorsPolicy,
    Rule,
    Site,
    Sites,
)


def rule(name, *patterns, kind="entry"):
    return Rule(
        id=name,
        kind=kind,
        patterns=tuple(map(compile_pattern, patterns)),
        cache=CachePolicy(),
        query=QueryPolicy(),
    )


def site(*rules, name="www.example", aliases=()):
    return Site(name=name, hosts=(name, *aliases), origin=object(), rules=rules)


def test_the_first_rule_that_matches_decides():
    subject = site(
        rule("versioned", "/v{semver}/**", "/**/*.{hash:8+}.js"),
        rule("one", "/a", "/a/b"),
        rule("rest", "/**"),
    )
    decided = [
        subject.rule_for(path).id
        for path in (b"/v1.0.0/x", b"/x.3f9c1a2b.js", b"/a", b"/a/b", b"/c")
    ]
    assert decided == ["versioned", "versioned", "one", "one", "rest"]


def test_a_longer_pattern_behind_a_matching_prefix_is_found():
    subject = site(rule("short", "/a"), rule("long", "/ab"))
    assert subject.rule_for(b"/ab").id == "long"


def test_what_no_rule_matches_is_transparent():
    assert site(rule("one", "/a")).rule_for(b"/b") is TRANSPARENT_RULE


@pytest.mark.parametrize("path", [b"/a", b"/a%2fb"])
def test_without_rules_everything_is_transparent(path):
    assert site().rule_for(path) is TRANSPARENT_RULE


def test_an_ambiguous_path_is_never_stored_on_a_site_with_rules():
    decided = site(rule("all", "/**")).rule_for(b"/account%2f..%2fx.js")
    assert decided is AMBIGUOUS_RULE
    assert not decided.cache.may_store


def test_a_site_is_found_by_each_of_its_hosts():
    subject = site(aliases=("w.example",))
    sites = Sites([subject])
    assert sites.resolve("www.example") is subject
    assert sites.resolve("w.example") is subject
    assert sites.resolve("other.example") is None


def test_the_default_site_answers_for_unknown_hosts():
    subject = site()
    assert Sites([subject], default="www.example").resolve("other.example") is subject


def test_a_default_must_exist_and_a_host_has_one_site():
    with pytest.raises(ValueError, match="does not exist"):
        Sites([site()], default="nobody.example")
    with pytest.raises(ValueError, match="two sites"):
        Sites([site(), site()])


CORS = CorsPolicy(
    origins=frozenset({b"https://shop.example"}), subdomains=((b"https://", b".brand.example"),)
)


@pytest.mark.parametrize(
    "origin", [b"https://shop.example", b"https://a.brand.example", b"https://a.b.brand.example"]
)
def test_listed_origins_may_read(origin):
    assert CORS.allows(origin)


@pytest.mark.parametrize(
    "origin",
    [
        b"null",
        b"",
        b"http://shop.example",
        b"https://shop.example:444",
        b"https://shop.example.evil.example",
        b"https://brand.example",
        b"https://.brand.example",
        b"https://evil-brand.example",
        b"https://evil.example/.brand.example",
        b"https://u@a.brand.example",
        b"https://A.brand.example",
        b"http://a.brand.example",
    ],
)
def test_other_origins_may_not(origin):
    assert not CORS.allows(origin)


def test_an_open_policy_lets_everybody_read():
    assert CorsPolicy(is_open=True).allows(b"null")
