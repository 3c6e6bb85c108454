"""Tests for edgeproxy/probe/get/url.py."""

import pytest

from edgeproxy.probe.get.url import parse_url


@pytest.mark.parametrize(
    ("text", "authority", "target", "sni"),
    [
        ("https://a.test/x", "a.test", "/x", "a.test"),
        ("a.test", "a.test", "/", "a.test"),
        ("https://A.test:8443/x?q=1", "a.test:8443", "/x?q=1", "a.test"),
        ("https://a.test:443/", "a.test", "/", "a.test"),
        ("https://a.test?q", "a.test", "/?q", "a.test"),
        ("https://127.0.0.1/", "127.0.0.1", "/", None),
        ("https://[::1]/", "[::1]", "/", None),
        ("https://[::1]:8443/", "[::1]:8443", "/", None),
        ("https://a.test/ä b%20c#part", "a.test", "/%C3%A4%20b%20c", "a.test"),
    ],
)
def test_what_a_request_needs_of_a_url(text, authority, target, sni):
    url = parse_url(text)
    assert (url.authority, url.target, url.sni) == (authority, target, sni)
    assert str(url) == f"https://{authority}{target}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http://a.test/", "only https"),
        ("https:///x", "names no host"),
        ("https://me:secret@a.test/", "user and password"),
        ("https://a.test:0/", "port is between"),
        ("https://a b/", "no host name"),
    ],
)
def test_what_is_no_url_is_told(text, why):
    with pytest.raises(ValueError, match=why):
        parse_url(text)
