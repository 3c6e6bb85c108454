"""Whom an address stands for, where clients are to have equal shares.

An IPv6 client owns a /64 at least, and could come from as many addresses as it likes (RFC 6177);
an IPv4 address is taken as it is. Nothing else tells clients apart: what they say may be made up.
"""

from ipaddress import IPv6Address, ip_network

_CUSTOMER_PREFIX = 64


def household(client: str) -> str:
    """Return the network that a client address belongs to, as text; what is no address as it is."""
    if ":" not in client:
        return client
    try:
        address = IPv6Address(client.partition("%")[0])
    except ValueError:
        return client
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, _CUSTOMER_PREFIX), strict=False))
