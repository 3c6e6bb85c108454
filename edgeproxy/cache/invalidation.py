"""What an unsafe request makes invalid (RFC 9111 section 4.4).

Names targets; forgetting them is the store's matter. Never names another origin's: a response may
only speak for the authority that the request was sent to.
"""

import re
from collections.abc import Iterable
from urllib.parse import urljoin, urlsplit

from edgeproxy.http.authority import split_authority
from edgeproxy.http.messages import Field, Request
from edgeproxy.http.targets import is_origin_form

_SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE"})
_REFERENCES = frozenset({b"location", b"content-location"})
# urllib drops control bytes and blanks silently; here they make the reference void.
_VISIBLE = re.compile(rb"[\x21-\x7e]+")
_DEFAULT_PORTS = {"https": 443, "http": 80}


def targets_to_invalidate(request: Request, status: int, fields: Iterable[Field]) -> list[bytes]:
    """Return the targets, on the request's own site, whose stored responses must be forgotten.

    Those are the request's own and those of Location and Content-Location, once an unsafe method,
    or one that nobody knows, was not answered with an error.
    """
    if request.method in _SAFE or not 200 <= status <= 399:
        return []
    targets = [request.target]
    base = (request.scheme + b"://" + request.authority + request.target).decode("latin-1")
    for name, value in fields:
        if name not in _REFERENCES or not _VISIBLE.fullmatch(value):
            continue
        target = _same_origin_target(base, value.decode())
        if target is not None and target not in targets:
            targets.append(target)
    return targets


def _same_origin_target(base: str, reference: str) -> bytes | None:
    try:
        resolved = urlsplit(urljoin(base, reference))
        own = urlsplit(base)
    except ValueError:
        return None
    origin = _origin(own.scheme, own.netloc)
    if origin is None or _origin(resolved.scheme, resolved.netloc) != origin:
        return None
    query = f"?{resolved.query}" if resolved.query else ""
    target = f"{resolved.path or '/'}{query}".encode()
    return target if is_origin_form(target) else None


def _origin(scheme: str, netloc: str) -> tuple[str, str, int] | None:
    default = _DEFAULT_PORTS.get(scheme)
    authority = split_authority(netloc.encode())
    if default is None or authority is None:
        return None
    host, port = authority
    return scheme, host, port or default
