"""The four forms of a request target (RFC 9112 section 3.2).

Yields path and query untouched, byte for byte, and the authority that counts. Decides nothing
about whether that authority is served here, nor about what a method may ask.
"""

from collections.abc import Sequence

from edgeproxy.errors import DownstreamError
from edgeproxy.wire.h1.grammar import ABSOLUTE_FORM, AUTHORITY_FORM, HOST


def resolve(
    method: bytes, target: bytes, hosts: Sequence[bytes], *, scheme: bytes, version: bytes
) -> tuple[bytes, bytes]:
    """Return (origin-form target or `*`, authority); the authority is b"" only in HTTP/1.0.

    The target of CONNECT is the authority-form, whose port is not optional (section 3.2.3).

    Raises:
        DownstreamError: 400; 421 for the scheme of another port.
    """
    host = _host(hosts, version)
    if method == b"CONNECT":
        if not AUTHORITY_FORM.fullmatch(target):
            raise DownstreamError(400, "target", close=True)
        return target, host
    if target[0] == 0x2F:
        if b"#" in target:
            raise DownstreamError(400, "target", close=True)
        return target, host
    if target == b"*" and method == b"OPTIONS":
        return target, host
    return _absolute(method, target, scheme)


def _host(hosts: Sequence[bytes], version: bytes) -> bytes:
    if not hosts and version == b"1.0":
        return b""
    if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
        raise DownstreamError(400, "host", close=True)
    return hosts[0]


def _absolute(method: bytes, target: bytes, scheme: bytes) -> tuple[bytes, bytes]:
    """Split absolute-form; its authority replaces Host (section 3.2.2), valid as that was."""
    match = ABSOLUTE_FORM.fullmatch(target)
    if match is None or not HOST.fullmatch(match[2]):
        raise DownstreamError(400, "target", close=True)
    if match[1].lower() != scheme:
        raise DownstreamError(421, "scheme", close=True)
    rest: bytes = match[3] or b""
    if not rest and method == b"OPTIONS":
        return b"*", match[2]
    return rest if rest.startswith(b"/") else b"/" + rest, match[2]
