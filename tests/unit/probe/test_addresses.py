"""Tests for edgeproxy/probe/addresses.py."""

import pytest

from edgeproxy.probe.addresses import Address, parse_address, parse_name, resolve


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("a.example", "a.example", 443),
        ("A.Example.:8443", "a.example", 8443),
        ("127.0.0.1", "127.0.0.1", 443),
        ("127.0.0.1:8443", "127.0.0.1", 8443),
        ("::1", "::1", 443),
        ("[::1]", "::1", 443),
        ("[2001:DB8::0:1]:8443", "2001:db8::1", 8443),
    ],
)
def test_forms_of_an_address(text, host, port):
    assert parse_address(text) == Address(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":443",
        "a.example:",
        "a.example:0",
        "a.example:65536",
        "a.example:٤٤٣",
        "https://a.example",
        "a b",
        "[::1",
        "[a.example]:443",
        "[::1]443",
        "-a.example",
        "a..example",
    ],
)
def test_what_is_no_address(text):
    with pytest.raises(ValueError, match=r"is no (address|host name)"):
        parse_address(text)


def test_a_name_that_is_too_long():
    with pytest.raises(ValueError, match="is no host name"):
        parse_name(".".join(["a" * 63] * 4 + ["a"]))


def test_addresses_for_people():
    assert str(Address("a.example", 443)) == "a.example:443"
    assert str(Address("::1", 443)) == "[::1]:443"


async def test_an_address_is_itself():
    assert await resolve(Address("::1", 443)) == (Address("::1", 443),)


async def test_a_name_is_all_its_addresses_each_once():
    found = await resolve(Address("localhost", 443))
    assert Address("127.0.0.1", 443) in found
    assert len(set(found)) == len(found)


async def test_a_name_without_addresses():
    with pytest.raises(OSError, match=r".+"):
        await resolve(Address("nowhere.invalid", 443))
