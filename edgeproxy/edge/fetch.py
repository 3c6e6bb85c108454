"""What is asked of the next hop, and with which of the client's fields.

Builds requests; sends none and reads no response. Two kinds: a *question* is the cache's own, made
so that its answer may serve everybody; a *passed* request is one client's, answered to that client
alone. RFC 9110 section 7.6, RFC 9111 sections 3.5 and 4.1; hostile input 1, 6, 11, 12 and 21.

Invariants: whatever selects a stored response is what the next hop was sent, never what a client
said beyond it; fields that make an origin believe in another host, path or method go nowhere.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from edgeproxy.edge.admission import max_forwards, times_here
from edgeproxy.edge.lookup import Route
from edgeproxy.http.hop_by_hop import end_to_end
from edgeproxy.http.messages import Field, Interim, Request, first
from edgeproxy.http.trailers import accepts_trailers
from edgeproxy.http.upstream import OutboundRequest

CONDITIONAL = frozenset(
    {b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range"}
)

_ABOUT_A_PART = CONDITIONAL | {b"range"}

# What is about the client's own message or connection, and says nothing of what it asks for:
# dropped from all questions (RFC 9218 section 4: a cache fetches for many; RFC 9110 section 7.6.2:
# read for OPTIONS and TRACE alone).
_OF_ONE_MESSAGE = frozenset({b"max-forwards", b"priority"})

_NEVER = frozenset(
    {
        b"x-host",
        b"x-original-url",
        b"x-original-host",
        b"x-rewrite-url",
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        # For us, who asked for none: a secret that is no origin's (RFC 9110 section 11.7.2).
        b"proxy-authorization",
    }
)
_NEVER_PREFIX = b"x-forwarded-"
# Read or written by the next hop's client whatever a rule lists: RFC 8586 forbids to drop it.
_ALWAYS = frozenset({b"cdn-loop"})
# What makes an answer one client's: dropped from the questions of caching rules. Which codings
# are asked for is the rule's to say; CORS is computed at delivery, without Origin.
_PERSONAL = frozenset({b"cookie", b"accept-encoding", b"origin", b"authorization", b"cdn-loop"})


def question(request: Request, route: Route, *, cdn_id: bytes = b"") -> Request:
    """Return the request that the cache decides on, selects by and sends.

    It is a GET of the whole, without preconditions, for the forwarded target, in any coding that
    the rule negotiates; under a caching rule it holds nothing personal and only what the rule
    forwards. It is asked in the site's name: the authority as this client wrote it (a port,
    capitals, an alias) is no part of the key, so the next hop must not hear it in Forwarded either.
    Of the client's CDN-Loop a caching rule leaves only `cdn_id`, our own name: every loop that
    leads through here is cut here, and no client's word reaches what is shared (RFC 8586).
    """
    dropped = _ABOUT_A_PART | _OF_ONE_MESSAGE
    if route.is_managed:
        dropped |= _PERSONAL
    elif route.site.cors is not None:
        dropped |= {b"origin"}
    rule = route.rule
    if rule.codings:
        dropped |= {b"accept-encoding"}
    fields = [line for line in _forwardable(request, rule.forward_fields) if line[0] not in dropped]
    if route.is_managed:
        fields += [(b"cdn-loop", cdn_id)] * times_here(request, cdn_id)
    if rule.codings:
        fields.append((b"accept-encoding", b", ".join(rule.codings)))
    return Request(
        b"GET",
        route.target,
        fields,
        authority=route.site.name.encode("ascii"),
        connection=request.connection,
        scheme=request.scheme,
        protocol=request.protocol,
        received_at=request.received_at,
        started=request.started,
    )


def outbound(
    asked: Request, validators: Iterable[Field] = (), *, interim: Interim | None = None
) -> OutboundRequest:
    """Return a question for the wire, conditional where there is something to validate."""
    return _to_wire(asked, asked.target, [*asked.fields, *validators], interim)


def passed(request: Request, route: Route) -> OutboundRequest:
    """Return the client's own request for the wire: method, preconditions and content included.

    A caching rule's list of fields is about what is shared; here nothing is. Several ranges are
    never forwarded: an origin might answer with many times the object.
    """
    allowed = "all" if route.is_managed else route.rule.forward_fields
    fields = _forwardable(request, allowed)
    if has_several_ranges(fields):
        fields = [line for line in fields if line[0] not in {b"range", b"if-range"}]
    hops = max_forwards(request)
    if hops is not None:
        fields = [line for line in fields if line[0] != b"max-forwards"]
        fields.append((b"max-forwards", b"%d" % max(hops - 1, 0)))
    return replace(
        _to_wire(request, route.target, fields, request.interim),
        sends_trailers=allowed == "all",
        takes_trailers=accepts_trailers(request.fields),
    )


def _to_wire(
    request: Request, target: bytes, fields: list[Field], interim: Interim | None
) -> OutboundRequest:
    return OutboundRequest(
        method=request.method,
        target=target,
        fields=fields,
        body=request.body,
        content_length=request.content_length,
        client=request.connection.client,
        scheme=request.connection.scheme,
        protocol=request.protocol,
        authority=request.authority,
        interim=interim,
    )


def _forwardable(request: Request, allowed: Literal["all"] | frozenset[bytes]) -> list[Field]:
    """Return what may go on; Connection-listed fields are gone before Vary selects.

    Early-Data goes on whatever is listed where, and says what its only value is (RFC 8470 section
    5.1): we offer no early data, but who ends TLS in front of us may.
    """
    fields = [
        line
        for line in end_to_end(request.fields)
        if line[0] not in _NEVER
        and not line[0].startswith(_NEVER_PREFIX)
        and (allowed == "all" or line[0] in allowed or line[0] in _ALWAYS)
    ]
    if first(request.fields, b"early-data") is None:
        return fields
    return [*(line for line in fields if line[0] != b"early-data"), (b"early-data", b"1")]


def has_several_ranges(fields: list[Field]) -> bool:
    """Tell whether more than one range is asked for (RFC 9110 section 14.2)."""
    ranges = [value for name, value in fields if name == b"range"]
    return len(ranges) > 1 or b"," in (first(fields, b"range") or b"")


def never_asks(route: Route, names: Iterable[bytes]) -> bool:
    """Tell whether none of these fields is ever part of a question of this route."""
    if not route.is_managed:
        return False
    allowed = route.rule.forward_fields
    return all(
        name in _PERSONAL
        or name in _ABOUT_A_PART
        or (allowed != "all" and name not in allowed and name not in _ALWAYS)
        for name in names
    )
