import pytest

from edgeproxy.http.authority import split_authority


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"example.com", ("example.com", None)),
        (b"EXAMPLE.Com.", ("example.com", None)),
        (b"example.com:443", ("example.com", 443)),
        (b"example.com:", ("example.com", None)),
        (b"EXAMPLE.com.:443", ("example.com", 443)),
        (b"localhost.:", ("localhost", None)),
        (b"example.com:00443", ("example.com", 443)),
        (b"localhost:65535", ("localhost", 65535)),
        (b"127.0.0.1:8443", ("127.0.0.1", 8443)),
        (b"[::1]:8443", ("::1", 8443)),
        (b"[2001:DB8:0:0::1]", ("2001:db8::1", None)),
        (b"a_b-c.xn--bcher-kva.example", ("a_b-c.xn--bcher-kva.example", None)),
    ],
)
def test_authorities(value, expected):
    assert split_authority(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b".",
        b":443",
        b"a..b",
        b".a",
        b"a..",
        b"a..:443",
        b"user@example.com",
        b"example.com:0",
        b"example.com:65536",
        b"example.com:99999",
        b"example.com:000443",
        b"example.com:+80",
        b"example.com:8_0",
        b"example.com:80:80",
        b"example.com/",
        b"example.com\n",
        b" example.com",
        b"exa mple.com",
        b"example%2ecom",
        b"ex\xc3\xa4mple.com",
        "\u212aelvin.example".encode(),
        b"a,b",
        b"[::1",
        b"::1",
        b"[:::1]",
        b"[fe80::1%25eth0]",
        b"[1.2.3.4]",
        b"a" * 64 + b".com",
        b".".join([b"a" * 60] * 5),
    ],
)
def test_what_is_refused(value):
    assert split_authority(value) is None
