import pytest

from edgeproxy.cache.invalidation import targets_to_invalidate
from tests.support.caching import get, lines


def forget(method="POST", status=200, *, target="/a/b?c", authority="site.example", **fields):
    request = get(target, method=method, authority=authority)
    return targets_to_invalidate(request, status, lines(**fields))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "WHATEVER"])
@pytest.mark.parametrize("status", [200, 201, 204, 303, 399])
def test_unsafe_and_unknown_methods_invalidate_their_target(method, status):
    assert forget(method, status) == [b"/a/b?c"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
def test_safe_methods_do_not(method):
    assert forget(method, location="/x") == []


@pytest.mark.parametrize("status", [100, 400, 404, 500, 503, 600])
def test_failures_do_not(status):
    assert forget(status=status, location="/x") == []


@pytest.mark.parametrize("name", ["location", "content_location"])
@pytest.mark.parametrize(
    ("value", "target"),
    [
        ("/x?y", b"/x?y"),
        ("x", b"/a/x"),
        ("../x", b"/x"),
        ("?z", b"/a/b?z"),
        ("/x#fragment", b"/x"),
        ("https://site.example/x", b"/x"),
        ("https://SITE.example:443/x", b"/x"),
        ("//site.example/x", b"/x"),
        ("https://site.example", b"/"),
    ],
)
def test_same_origin_references(name, value, target):
    assert forget(**{name: value}) == [b"/a/b?c", target]


@pytest.mark.parametrize(
    "value",
    [
        "https://other.example/x",
        "http://site.example/x",
        "https://site.example:444/x",
        "//other.example/x",
        "https://user@site.example/x",
        "https://[::1/x",
        "https://site.example:99999/x",
        "mailto:x",
        "",
        "/x y",
        "/x\ty",
        "/\xe4",
        "/a/b?c",
    ],
)
def test_other_references_invalidate_nothing(value):
    assert forget(location=value) == [b"/a/b?c"]


def test_both_references_count_once():
    assert forget(location="/x", content_location="/y") == [b"/a/b?c", b"/x", b"/y"]
    assert forget(location=["/x", "/x"]) == [b"/a/b?c", b"/x"]


def test_a_port_in_the_authority_belongs_to_the_origin():
    assert forget(authority="site.example:8443", location="https://site.example:8443/x") == [
        b"/a/b?c",
        b"/x",
    ]
    assert forget(authority="site.example:8443", location="https://site.example/x") == [b"/a/b?c"]


def test_an_unusable_authority_speaks_for_nobody():
    assert forget(authority="a b", location="/x") == [b"/a/b?c"]
    assert forget(authority="[", location="/x") == [b"/a/b?c"]
