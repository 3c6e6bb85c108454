"""The edge's own Cache-Status member (RFC 9211 section 2).

Serialises; does not decide what happened. The list grows from the origin outward: a member is
appended behind those that upstream caches sent.
"""

from edgeproxy.http.structured import (
    serialise_integer,
    serialise_string,
    serialise_token,
    serialise_token_or_string,
)

FORWARD_REASONS = frozenset(
    {"bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"}
)
"""The words of RFC 9211 section 2.2, most specific one to be used."""


def member(
    identifier: str,
    *,
    hit: bool = False,
    fwd: str | None = None,
    fwd_status: int | None = None,
    ttl: int | None = None,
    stored: bool = False,
    collapsed: bool = False,
    key: str | None = None,
    detail: str | None = None,
) -> bytes:
    """Return one member, its parameters in the order of this signature.

    Exactly one of `hit` and `fwd` describes a request (RFC 9211 sections 2.1 and 2.2); `fwd` is one
    of the words of section 2.2. `ttl` is negative for what was stale.
    """
    if hit == (fwd is not None):
        raise ValueError("a request was either a hit or forwarded")
    parts = [serialise_token_or_string(identifier)]
    if hit:
        parts.append(b"hit")
    if fwd is not None:
        parts.append(b"fwd=" + serialise_token(fwd))
    if fwd_status is not None:
        parts.append(b"fwd-status=" + serialise_integer(fwd_status))
    if ttl is not None:
        parts.append(b"ttl=" + serialise_integer(ttl))
    if stored:
        parts.append(b"stored")
    if collapsed:
        parts.append(b"collapsed")
    if key is not None:
        parts.append(b"key=" + serialise_string(key))
    if detail is not None:
        parts.append(b"detail=" + serialise_token_or_string(detail))
    return b"; ".join(parts)
