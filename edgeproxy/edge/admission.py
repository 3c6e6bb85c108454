"""Whether a request may be served at all, before anything is looked up or asked.

Decides by method, target and a few fields; touches neither cache nor origin. A refusal is a value
with a status and a word for the counters. RFC 9110 sections 9.1, 9.3.1, 10.1.1 and 7.6.2, RFC 8586
section 2; hostile input 5, 6, 7, 18 and 20.
"""

from edgeproxy.edge.lookup import Route
from edgeproxy.edge.synthetic import Refusal
from edgeproxy.http import proxy_status
from edgeproxy.http.fields import list_members, parse_digits
from edgeproxy.http.messages import Request, first
from edgeproxy.http.targets import is_origin_form

KNOWN_METHODS = frozenset({b"GET", b"HEAD", b"OPTIONS", b"POST", b"PUT", b"PATCH", b"DELETE"})
# CONNECT would make us a tunnel, TRACE an echo of what proxies added; PURGE belongs to the
# operator's own interface and must not be tried out from outside.
_REFUSED_METHODS = frozenset({b"CONNECT", b"TRACE", b"TRACK", b"PURGE"})

ALLOW = (b"allow", b"GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE")


def admit(request: Request, *, cdn_id: bytes) -> Refusal | None:
    """Return why the request is refused whatever its site says, None if it is not."""
    method, target = request.method, request.target
    if method in _REFUSED_METHODS:
        return Refusal(405, "method", (ALLOW,))
    if not is_origin_form(target) and not (method == b"OPTIONS" and target == b"*"):
        return Refusal(400, "target")
    if request.body is not None and method in {b"GET", b"HEAD"}:
        # Some origins read it and some do not: whoever keys on the target alone gets poisoned.
        return Refusal(400, "content-on-get")
    if any(value.lower() != b"100-continue" for name, value in request.fields if name == b"expect"):
        return Refusal(417, "expectation")
    if times_here(request, cdn_id) >= 2:
        looped = proxy_status.member(cdn_id.decode("ascii"), error="proxy_loop_detected")
        return Refusal(508, "loop", ((b"proxy-status", looped),))
    return None


def admit_to(route: Route, request: Request) -> Refusal | None:
    """Return why the route's rule refuses the request, None if it does not.

    Without a rule every method is passed on: the cache is transparent.
    """
    if route.rule.kind != "transparent" and request.method not in KNOWN_METHODS:
        return Refusal(501, "unknown-method")
    return None


def max_forwards(request: Request) -> int | None:
    """Return Max-Forwards of an OPTIONS request, None where it is absent, invalid or not read."""
    if request.method != b"OPTIONS":
        return None
    value = first(request.fields, b"max-forwards")
    return None if value is None else parse_digits(value, maximum=2**31)


def times_here(request: Request, cdn_id: bytes) -> int:
    """Count how often CDN-Loop says that the request came by: once is a shield, twice a loop."""
    members = list_members(value for name, value in request.fields if name == b"cdn-loop")
    return sum(member.partition(b";")[0].rstrip(b" \t").lower() == cdn_id for member in members)
