"""The cache key (RFC 9111 section 2; section 4: the URI must match).

The key is exactly what the origin is asked for: scheme, configured site (never the raw Host) and
the target bytes as forwarded. Nothing that is not forwarded may enter it and nothing that is
forwarded in the target may be left out, or one client could choose what another one gets.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class QueryPolicy:
    """What of the query is forwarded: everything, nothing, or the parameters of these names."""

    mode: Literal["all", "ignore", "keep"] = "all"
    names: tuple[bytes, ...] = ()


def forwarded_target(target: bytes, policy: QueryPolicy) -> bytes:
    """Return the target to send to the origin; bytes are kept or left out, never rewritten.

    Parameters keep their order and their duplicates; `&` alone separates them. Names are compared
    as written, so a percent-encoded spelling of a kept name is another name.
    """
    if policy.mode == "all":
        return target
    path, question, query = target.partition(b"?")
    if policy.mode == "ignore" or not question:
        return path
    kept = [
        parameter for parameter in query.split(b"&") if parameter.partition(b"=")[0] in policy.names
    ]
    return b"%s?%s" % (path, b"&".join(kept)) if kept else path


def cache_key(site: bytes, scheme: bytes, target: bytes) -> bytes:
    """Return the key of a forwarded target."""
    return b"%s://%s%s" % (scheme, site, target)
