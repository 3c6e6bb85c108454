import pytest

from edgeproxy.http.targets import is_origin_form


@pytest.mark.parametrize("target", [b"/", b"/a?b=c&d", b"/%00", b"//x", b"/a\\b", b"/?", b"/a;x"])
def test_origin_form(target):
    assert is_origin_form(target)


@pytest.mark.parametrize(
    "target",
    [b"", b"*", b"a", b"https://x/", b"/a b", b"/a#b", b"/\x00", b"/a\n", b"/\x7f", b"/\xc3\xa4"],
)
def test_what_is_not(target):
    assert not is_origin_form(target)
