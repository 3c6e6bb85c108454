"""The fields of a response as clients see them, computed at delivery in a fixed, written order.

1. the response's end-to-end fields, without those that only we can state (`_OURS`) and, where the
   site has a CORS list, without the origin's own Access-Control-*;
2. the rule's Cache-Control for browsers, with Expires and Pragma gone, and only on a 200 that may
   be shared: an error or a private answer never gets a year in a browser;
3. the site's `remove`, the site's `set`, the rule's `remove`, the rule's `set`;
4. Strict-Transport-Security and Alt-Svc on https, `Vary: Origin` and `Vary: Accept-Encoding`.

Must not read a stored response's age or the time: what changes between two deliveries (Age,
Cache-Status, Access-Control-Allow-Origin) is in sections of its own. RFC 9110 section 6.6.1, RFC
6797 section 7, RFC 7838 section 3, Fetch standard section 3.2.
"""

from collections.abc import Iterable

from edgeproxy.edge.lookup import Route
from edgeproxy.edge.sites import CorsPolicy
from edgeproxy.http.fields import list_members
from edgeproxy.http.messages import Field, FieldSection

# Age and Cache-Status are live, the length belongs to the framing, the rest is about the
# connection to us and not to the origin.
_OURS = frozenset(
    {
        b"age",
        b"alt-svc",
        b"cache-status",
        b"content-length",
        b"strict-transport-security",
    }
)
_CORS_PREFIX = b"access-control-"


def compose(
    route: Route,
    status: int,
    fields: Iterable[Field],
    *,
    may_be_shared: bool,
    varies_by_coding: bool = False,
) -> list[Field]:
    """Return the static fields of a response, in the coding that it is sent in."""
    site, rule = route.site, route.rule
    composed = [
        line
        for line in fields
        if line[0] not in _OURS and not (site.cors is not None and line[0].startswith(_CORS_PREFIX))
    ]
    if rule.browser_cache_control is not None and may_be_shared and status == 200:
        _remove(composed, frozenset({b"cache-control", b"expires", b"pragma"}))
        composed.append((b"cache-control", rule.browser_cache_control))
    for removed, put in (
        (site.remove_fields, site.set_fields),
        (rule.remove_fields, rule.set_fields),
    ):
        _remove(composed, removed | {name for name, _ in put})
        composed += put
    if route.scheme == b"https":
        if site.hsts is not None:
            composed.append((b"strict-transport-security", site.hsts))
        if site.alt_svc is not None:
            composed.append((b"alt-svc", site.alt_svc))
    # Vary stands on every response that another request might get otherwise: a cache behind us
    # would else hand it on to a page of another origin, or to a client of another coding.
    if varies_by_coding:
        _vary_by(composed, b"Accept-Encoding")
    if site.cors is not None:
        _vary_by(composed, b"Origin")
    return composed


def _remove(fields: list[Field], names: frozenset[bytes]) -> None:
    if names:
        fields[:] = [line for line in fields if line[0] not in names]


def _vary_by(fields: list[Field], name: bytes) -> None:
    nominated = list_members(value for present, value in fields if present == b"vary")
    if not any(member.lower() in {name.lower(), b"*"} for member in nominated):
        fields.append((b"vary", name))


class CorsSections:
    """The Access-Control fields per allowed origin, remembered so that their encodings are too."""

    def __init__(self, origins_max: int) -> None:
        self._origins_max = origins_max
        self._sections: dict[tuple[int, bytes], FieldSection] = {}

    def clear(self) -> None:
        """Forget everything, since policies are replaced and their places may be reused."""
        self._sections.clear()

    def section(self, cors: CorsPolicy | None, origin: bytes | None) -> FieldSection | None:
        """Return the section for a request with that Origin; None where nothing is allowed."""
        if cors is None or origin is None:
            return None
        place = (id(cors), origin)
        known = self._sections.get(place)
        if known is not None:
            return known
        if not cors.allows(origin):
            return None
        if len(self._sections) >= self._origins_max:
            self._sections.clear()
        section = self._sections[place] = FieldSection(_allowing(cors, origin))
        return section


def _allowing(cors: CorsPolicy, origin: bytes) -> list[Field]:
    fields = [(b"access-control-allow-origin", origin)]
    if cors.allows_credentials:
        fields.append((b"access-control-allow-credentials", b"true"))
    if cors.expose:
        fields.append((b"access-control-expose-headers", cors.expose))
    return fields


def preflight_fields(cors: CorsPolicy, origin: bytes) -> list[Field]:
    """Return the fields that answer a CORS preflight; without any permission if not allowed."""
    vary = (
        b"vary",
        b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    )
    if not cors.allows(origin):
        return [vary]
    fields = [vary, (b"access-control-allow-origin", origin)]
    if cors.allows_credentials:
        fields.append((b"access-control-allow-credentials", b"true"))
    fields.append((b"access-control-allow-methods", cors.methods))
    if cors.headers:
        fields.append((b"access-control-allow-headers", cors.headers))
    fields.append((b"access-control-max-age", b"%d" % cors.max_age_seconds))
    return fields
