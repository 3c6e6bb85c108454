"""HTTP/2 frames as an attacker writes them: no checks, and as few octets as there can be.

Shares nothing with the server under attack (RFC 9113 section 4.1, RFC 7541).
"""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION, PRIORITY_UPDATE = 6, 7, 8, 9, 0x10
END_STREAM, END_HEADERS = 1, 4
INITIAL_WINDOW_SIZE = 4
CODES = {
    0: "NO_ERROR",
    1: "PROTOCOL_ERROR",
    3: "FLOW_CONTROL_ERROR",
    6: "FRAME_SIZE_ERROR",
    9: "COMPRESSION_ERROR",
    11: "ENHANCE_YOUR_CALM",
}
_GOAWAY_HEAD = b"\x07\x00\x00\x00\x00\x00"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return one frame."""
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big")
    return head + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    """Return a SETTINGS frame."""
    payload = b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in pairs)
    return frame(SETTINGS, 0, 0, payload)


def window_update(stream: int, increment: int) -> bytes:
    """Return a WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, 0, stream, increment.to_bytes(4, "big"))


def string(text: bytes) -> bytes:
    """Return a string literal without Huffman coding; up to 16,000 octets."""
    if len(text) < 127:
        return bytes((len(text),)) + text
    rest = len(text) - 127
    octets = bytearray((127,))
    while rest > 127:
        octets.append(rest & 127 | 128)
        rest >>= 7
    octets.append(rest)
    return bytes(octets) + text


def literal(name: bytes, value: bytes) -> bytes:
    """Return a literal field without indexing."""
    return b"\x00" + string(name) + string(value)


def request(path: bytes, *, method: bytes = b"\x82", authority: bytes = b"localhost") -> bytes:
    """Return a field block of literals, which may be sent as often as one likes."""
    return method + b"\x87" + b"\x01" + string(authority) + b"\x04" + string(path)


def headers(stream: int, block: bytes, *, end: bool = True) -> bytes:
    """Return a whole HEADERS frame."""
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block)


def goaway_code(tail: bytes) -> str:
    """Return the code of the last GOAWAY among the last octets of a connection, or ""."""
    at = tail.rfind(_GOAWAY_HEAD)
    if at < 0:
        return ""
    code = int.from_bytes(tail[at + 10 : at + 14], "big")
    return CODES.get(code, str(code))
