import pytest

from edgeproxy.edge.ambiguity import is_ambiguous


@pytest.mark.parametrize(
    "path",
    [
        b"/account%2f..%2fstatic/x.js",
        b"/static/..%2Faccount",
        b"/a%5cb",
        b"/a\\b",
        b"/a%00.js",
        b"/a%0a.css",
        b"/a%0D.css",
        b"/a%1f.css",
        b"/a%7F.css",
        b"/account;.css",
        b"/account;x=1/y.css",
        b"/account%3b.css",
        b"/account%3f.css",
        b"/account%23.css",
        b"/account%252f.css",
        b"/%2e%2e/x",
        b"/x/%2E/y",
        b"//x",
        b"/a//b",
        b"/robots.txt/..",
        b"/a/./b",
        b"/..",
        b"/.",
        b"/a%",
        b"/a%4",
        b"/a%zz",
        b"/%c0%af",  # an overlong slash
        b"/%e0%80%af",
        b"/%ff",
        b"/%ed%a0%80",  # a surrogate
    ],
)
def test_a_path_with_two_readings_is_ambiguous(path):
    assert is_ambiguous(path)


@pytest.mark.parametrize(
    "path",
    [
        b"/",
        b"/a",
        b"/a/",
        b"/.well-known/x",
        b"/..a/b..",
        b"/a...b/c",
        b"/a%20b",
        b"/%c3%a4.js",
        b"/%E2%82%AC",
        b"/@scope/pkg+1.0~2/x!$&'()*,:=.js",
    ],
)
def test_a_path_with_one_reading_is_not(path):
    assert not is_ambiguous(path)
