import pytest

from edgeproxy.cache.key import QueryPolicy, cache_key, forwarded_target

KEEP = QueryPolicy("keep", (b"locale", b"v"))


@pytest.mark.parametrize("target", [b"/a", b"/a?", b"/a?b=1&a=2&&b=1;c", b"/%2e?x?y"])
def test_the_whole_query_is_kept_byte_by_byte(target):
    assert forwarded_target(target, QueryPolicy()) == target


@pytest.mark.parametrize(
    ("target", "forwarded"),
    [(b"/a", b"/a"), (b"/a?", b"/a"), (b"/a?x=1", b"/a"), (b"/a?x?y", b"/a")],
)
def test_the_query_is_ignored(target, forwarded):
    assert forwarded_target(target, QueryPolicy("ignore")) == forwarded


@pytest.mark.parametrize(
    ("target", "forwarded"),
    [
        (b"/a", b"/a"),
        (b"/a?", b"/a"),
        (b"/a?utm=1", b"/a"),
        (b"/a?utm=1&locale=de&x&v=2&locale=en", b"/a?locale=de&v=2&locale=en"),
        (b"/a?locale", b"/a?locale"),
        (b"/a?locale=a=b", b"/a?locale=a=b"),
        # Another spelling or separator makes another name.
        (b"/a?%6cocale=de", b"/a"),
        (b"/a?x;locale=de", b"/a"),
        (b"/a?LOCALE=de", b"/a"),
    ],
)
def test_listed_parameters_are_kept_in_order(target, forwarded):
    assert forwarded_target(target, KEEP) == forwarded


def test_the_key_is_scheme_site_and_target():
    assert cache_key(b"widgets", b"https", b"/a?b") == b"https://widgets/a?b"
    keys = {
        cache_key(site, scheme, target)
        for site in (b"a", b"b")
        for scheme in (b"http", b"https")
        for target in (b"/", b"/?", b"//", b"/b")
    }
    assert len(keys) == 16
