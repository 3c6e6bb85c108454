"""SETTINGS of the peer, checked value by value (RFC 9113 section 6.5.2, RFC 9218 section 2.1)."""

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.h2 import codes
from edgeproxy.wire.h2.frames import (
    FRAME_BYTES_MAX,
    SETTINGS_ENABLE_PUSH,
    SETTINGS_INITIAL_WINDOW_SIZE,
    SETTINGS_MAX_FRAME_SIZE,
    SETTINGS_NO_RFC7540_PRIORITIES,
    WINDOW_MAX,
)

_FRAME_SIZE_LIMIT = 2**24 - 1
_BOOLEANS = (SETTINGS_ENABLE_PUSH, SETTINGS_NO_RFC7540_PRIORITIES)


def parse_settings(payload: bytes, count_max: int) -> list[tuple[int, int]]:
    """Return identifier and value pairs in order; unknown identifiers are kept for the caller.

    Raises `ConnectionFault` for a payload or a value that RFC 9113 calls an error, and for more
    than `count_max` settings in one frame (CVE-2019-9515 and its kin).
    """
    if len(payload) % 6:
        raise ConnectionFault(codes.FRAME_SIZE_ERROR, "SETTINGS of a partial setting")
    if len(payload) // 6 > count_max:
        raise ConnectionFault(codes.ENHANCE_YOUR_CALM, "too many settings in a frame")
    pairs = [
        (
            int.from_bytes(payload[at : at + 2], "big"),
            int.from_bytes(payload[at + 2 : at + 6], "big"),
        )
        for at in range(0, len(payload), 6)
    ]
    for identifier, value in pairs:
        _check(identifier, value)
    return pairs


def _check(identifier: int, value: int) -> None:
    if identifier in _BOOLEANS and value > 1:
        raise ConnectionFault(codes.PROTOCOL_ERROR, f"setting {identifier:#x} is neither 0 nor 1")
    if identifier == SETTINGS_INITIAL_WINDOW_SIZE and value > WINDOW_MAX:
        raise ConnectionFault(codes.FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE over 2^31-1")
    if identifier == SETTINGS_MAX_FRAME_SIZE and not FRAME_BYTES_MAX <= value <= _FRAME_SIZE_LIMIT:
        raise ConnectionFault(codes.PROTOCOL_ERROR, "SETTINGS_MAX_FRAME_SIZE out of range")
