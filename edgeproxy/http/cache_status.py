"""The edge's own Cache-Status member (RFC 9211 section 2).

Serialises; does not decide what happened. The list grows from the origin outward: a member is
appended behind those that upstream caches sent.
"""


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
    raise NotImplementedError
