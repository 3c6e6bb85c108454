"""From what a request names to what is stored under it: site, rule, forwarded target, key.

Must not look at any request field: the key is made of scheme, configured site and target alone
(hostile input 1, 2 and 7), and the scheme is the connection's, not the client's word. A host that
is no site of ours, or that the certificate shown does not cover, is 421 (RFC 9110 section 7.4).

Everything is remembered: per connection which site an authority means, per site which route a
target takes. Memos are bounded and hold nothing but answers, so losing one costs microseconds.
Those of sites that were replaced are retired: they lead nowhere, and the next request looks anew.
"""

from collections.abc import Iterable

from edgeproxy.cache.key import cache_key, forwarded_target
from edgeproxy.edge.settings import EdgeSettings
from edgeproxy.edge.sites import Rule, Site, Sites
from edgeproxy.edge.synthetic import Refusal
from edgeproxy.http.authority import split_authority
from edgeproxy.http.messages import Request
from edgeproxy.http.targets import is_origin_form

MANAGED_KINDS = frozenset({"versioned", "entry", "manifest"})


class Route:
    """Where one target of one site leads.

    `is_managed` tells that a caching rule decides and not RFC 9111 alone: then nothing personal of
    a client reaches what is shared.
    """

    __slots__ = ("is_managed", "key", "rule", "scheme", "site", "target")

    def __init__(self, site: Site, scheme: bytes, rule: Rule, target: bytes) -> None:
        self.site = site
        self.scheme = scheme
        self.rule = rule
        self.target = target
        self.key = cache_key(site.name.encode("ascii"), scheme, target)
        self.is_managed = rule.kind in MANAGED_KINDS


class SiteRoutes:
    """The routes of one site under one scheme, until the site is replaced."""

    __slots__ = ("_settings", "is_retired", "routes", "scheme", "site")

    def __init__(self, site: Site, scheme: bytes, settings: EdgeSettings) -> None:
        self.site = site
        self.scheme = scheme
        self.routes: dict[bytes, Route] = {}
        self.is_retired = False
        self._settings = settings

    def retire(self) -> None:
        """Lead nowhere any more, so that who remembers this object finds nothing by it."""
        self.is_retired = True
        self.routes.clear()

    def route(self, target: bytes) -> Route | None:
        """Return the route of a target as received; None: not in origin-form, or retired."""
        if (known := self.routes.get(target)) is not None:
            return known
        if self.is_retired or not is_origin_form(target):
            return None
        rule = self.site.rule_for(target.partition(b"?")[0])
        route = Route(self.site, self.scheme, rule, forwarded_target(target, rule.query))
        if len(target) <= self._settings.route_target_bytes_max:
            if len(self.routes) >= self._settings.routes_max:
                # Starting over is O(1) amortised, and what is hot is back within microseconds.
                self.routes.clear()
            self.routes[target] = route
        return route

    def keys(self, targets: Iterable[bytes]) -> set[bytes]:
        """Return the keys that these targets lead to."""
        routes = (self.route(target) for target in targets)
        return {route.key for route in routes if route is not None}


class Lookup:
    """Finds sites by authority."""

    def __init__(self, sites: Sites, settings: EdgeSettings) -> None:
        self._sites = sites
        self._settings = settings
        self._site_routes: dict[tuple[str, bytes], SiteRoutes] = {}

    def adopt(self, sites: Sites) -> None:
        """Find these sites from now on, whatever connections remember.

        A site that is the same object keeps its routes; what names no longer lead to is retired
        all the same, since a name may lead elsewhere now.
        """
        is_moved = _leading(sites) != _leading(self._sites)
        kept = {id(site) for site in sites.all}
        for place, routes in list(self._site_routes.items()):
            if is_moved or id(routes.site) not in kept:
                routes.retire()
                del self._site_routes[place]
        self._sites = sites

    def site_routes(self, request: Request) -> SiteRoutes | Refusal:
        """Return the routes of the site that the request's authority names."""
        connection = request.connection
        known = connection.sites.get(request.authority)
        if isinstance(known, SiteRoutes) and not known.is_retired:
            return known
        found = self._resolve(request)
        if known is not None and not isinstance(found, SiteRoutes):
            del connection.sites[request.authority]
        if isinstance(found, SiteRoutes):
            if len(connection.sites) >= self._settings.authorities_max:
                connection.sites.clear()
            connection.sites[request.authority] = found
        return found

    def _resolve(self, request: Request) -> SiteRoutes | Refusal:
        split = split_authority(request.authority)
        if split is None:
            return Refusal(400, "host")
        host, _port = split
        site = self._sites.resolve(host)
        if site is None:
            return Refusal(421, "unknown-host")
        if not request.connection.covers(host):
            return Refusal(421, "host-not-on-certificate")
        place = (site.name, request.connection.scheme)
        routes = self._site_routes.get(place)
        if routes is None:
            routes = SiteRoutes(site, request.connection.scheme, self._settings)
            self._site_routes[place] = routes
        return routes


def _leading(sites: Sites) -> dict[str, str]:
    """Return which site's name each host leads to."""
    return {host: site.name for site in sites.all for host in site.hosts}
