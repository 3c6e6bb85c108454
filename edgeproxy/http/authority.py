"""Host and :authority as a value (RFC 9110 section 7.2, RFC 3986 section 3.2).

Strict, because a host that two parsers read differently is stored under the wrong name: no
userinfo, no percent-encoding, no blanks. Decides nothing about who serves a host.
"""

import re
from ipaddress import AddressValueError, IPv6Address

# Only single characters are repeated possessively: Python before 3.11.5 forgets to go back where a
# possessive repetition of a group fails on its way, and would take a dot for part of the name.
_AUTHORITY = re.compile(
    rb"(?:(?P<name>[0-9A-Za-z_\-]++(?:\.[0-9A-Za-z_\-]++)*)\.?|\[(?P<v6>[0-9A-Fa-f:.]{2,45})\])"
    rb"(?::(?P<port>[0-9]*+))?"
)
_LABEL_MAX = 63
_NAME_MAX = 253
_PORT_DIGITS_MAX = 5
_PORT_MAX = 65535


def split_authority(value: bytes) -> tuple[str, int | None] | None:
    """Return host and port, or None if the authority is not acceptable.

    The host is lower-case and without its trailing dot; an IPv6 literal comes compressed and
    without brackets. The port is None where none is written.
    """
    match = _AUTHORITY.fullmatch(value)
    if match is None:
        return None
    host = _host(match)
    digits: bytes = match["port"] or b""
    if host is None or len(digits) > _PORT_DIGITS_MAX:
        return None
    if not digits:
        return host, None
    port = int(digits)
    return (host, port) if 1 <= port <= _PORT_MAX else None


def _host(match: re.Match[bytes]) -> str | None:
    if (literal := match["v6"]) is not None:
        try:
            return IPv6Address(literal.decode()).compressed
        except AddressValueError:
            return None
    name: bytes = match["name"]
    if len(name) > _NAME_MAX or max(map(len, name.split(b"."))) > _LABEL_MAX:
        return None
    return name.lower().decode()
