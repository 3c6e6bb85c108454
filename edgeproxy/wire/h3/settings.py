"""SETTINGS of the peer, checked value by value (RFC 9114 section 7.2.4).

Nothing that a client can say there changes what we send: pushes are not made, tables not used.
"""

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.h3 import codes
from edgeproxy.wire.h3.frames import read_integer

# Identifiers of HTTP/2 without a counterpart (sections 7.2.4.1 and 11.2.2).
_OF_HTTP2 = frozenset({0x0, 0x2, 0x3, 0x4, 0x5})


def parse_settings(payload: bytes, count_max: int) -> dict[int, int]:
    """Return identifiers and values; unknown ones are kept for the caller.

    Raises `ConnectionFault` for what RFC 9114 calls an error, and for more than `count_max`.
    """
    settings: dict[int, int] = {}
    at = 0
    while at < len(payload):
        identifier, after = read_integer(payload, at)
        value, at = read_integer(payload, after) if after > 0 else (0, -1)
        if at < 0:
            raise ConnectionFault(codes.FRAME_ERROR, "SETTINGS of a partial setting")
        if identifier in _OF_HTTP2:
            raise ConnectionFault(codes.SETTINGS_ERROR, f"setting {identifier:#x} of HTTP/2")
        if identifier in settings:
            raise ConnectionFault(codes.SETTINGS_ERROR, f"setting {identifier:#x} twice")
        settings[identifier] = value
        if len(settings) > count_max:
            raise ConnectionFault(codes.EXCESSIVE_LOAD, "too many settings in a frame")
    return settings
