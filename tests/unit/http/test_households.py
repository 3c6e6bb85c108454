"""Whom an address stands for."""

import pytest

from edgeproxy.http.households import household


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::2", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("no: address", "no: address"),
        ("", ""),
    ],
)
def test_households(client: str, expected: str):
    assert household(client) == expected
