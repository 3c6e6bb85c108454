"""Tests for edgeproxy/origin/settings.py."""

import dataclasses

import pytest

from edgeproxy.origin.settings import OriginSettings


def settings(url="https://assets.internal:8443", **chosen):
    return OriginSettings(name="assets", url=url, **chosen)


def test_host_and_sni_default_to_the_url():
    made = settings("https://Assets.Internal:8443/")
    assert (made.host, made.sni) == ("assets.internal:8443", "assets.internal")
    assert (made.address, made.port, made.is_tls) == ("assets.internal", 8443, True)


def test_host_is_canonical_and_sni_follows_it():
    made = settings("https://10.0.0.7", host="Assets.Example:8443")
    assert (made.host, made.sni, made.address) == (
        "assets.example:8443",
        "assets.example",
        "10.0.0.7",
    )
    assert settings(host="a.example", sni="B.example.").sni == "b.example"


@pytest.mark.parametrize(
    ("url", "address", "port", "is_tls"),
    [
        ("http://a", "a", 80, False),
        ("https://a", "a", 443, True),
        ("https://[2001:DB8::1]:444", "2001:db8::1", 444, True),
    ],
)
def test_urls_that_can_be_dialled(url, address, port, is_tls):
    made = settings(url)
    assert (made.address, made.port, made.is_tls) == (address, port, is_tls)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a",
        "a:443",
        "https://a/path",
        "https://a?q",
        "https://a/?",
        "https://a#f",
        "https://user@a",
        "https://",
        "https://a:0",
        "https://a:99999",
        "https://a:+1",
        "https://a b",
        "https://[::1",
        "https://[1.2.3.4.5]",
    ],
)
def test_urls_that_cannot(url):
    with pytest.raises(ValueError, match=r".+"):
        settings(url)


@pytest.mark.parametrize("host", ["a b", "a/b", "a\r\nx: y", "user@a", "é"])
def test_a_host_that_is_no_name_is_refused(host):
    with pytest.raises(ValueError, match="host"):
        settings(host=host)


@pytest.mark.parametrize(
    "field", [each.name for each in dataclasses.fields(OriginSettings) if each.type in (int, float)]
)
def test_no_limit_may_be_negative(field):
    with pytest.raises(ValueError, match=field):
        settings(**{field: -1})


@pytest.mark.parametrize("field", ["connect_timeout_seconds", "connections_max"])
def test_a_limit_of_zero_would_be_no_limit(field):
    with pytest.raises(ValueError, match="positive"):
        settings(**{field: 0})


def test_nothing_may_be_kept_alive_or_repeated():
    made = settings(retries=0, keepalive_seconds=0, dns_ttl_seconds=0)
    assert made.retries == 0
