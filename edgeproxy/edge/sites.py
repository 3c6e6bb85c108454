"""What the operator decided about each site, ready for the data path.

Frozen values that configuration compiles into; the data path only reads them. No decision about
one response is made here (that is `cache/`), no origin is called, and nothing knows where the
values came from.

Invariants: the first rule that matches decides; a site without rules is a transparent RFC 9111
shared cache; a path that two programs may read differently (`edge/ambiguity.py`) is not stored on
a site that has rules, because none of them can be trusted to be about it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from edgeproxy.cache.key import QueryPolicy
from edgeproxy.cache.policy import TRANSPARENT, CachePolicy
from edgeproxy.edge.ambiguity import is_ambiguous
from edgeproxy.edge.patterns import PathPattern
from edgeproxy.http.messages import Fields
from edgeproxy.http.upstream import Upstream

RuleKind = Literal["versioned", "entry", "manifest", "pass", "transparent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule's decisions; `id` shows up in metrics, logs and Cache-Status.

    `browser_cache_control` replaces what clients are told, None passes the origin's on;
    `forward_fields` are the request fields that reach the origin, by lower-case name, beside those
    that the edge makes itself; `set_fields` and `remove_fields` apply to responses after the
    site's own; `generates_validators` adds ETag and Last-Modified that the origin left out;
    `codings` are the content codings that the edge negotiates, makes and asks the origin for, in
    the order of preference, none where it leaves coding to origin and client.
    """

    id: str
    kind: RuleKind
    patterns: tuple[PathPattern, ...]
    cache: CachePolicy
    query: QueryPolicy
    browser_cache_control: bytes | None = None
    forward_fields: Literal["all"] | frozenset[bytes] = "all"
    set_fields: Fields = ()
    remove_fields: frozenset[bytes] = frozenset()
    generates_validators: bool = False
    codings: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsPolicy:
    """Which origins of pages may read responses (Fetch standard, section 3.2).

    `origins` are exact serialised origins; `subdomains` pairs of prefix and suffix,
    `(b"https://", b".brand.example")`, for any one or more labels between them; `is_open` allows
    all. The other values are the finished field values, b"" for none.
    """

    origins: frozenset[bytes] = frozenset()
    subdomains: tuple[tuple[bytes, bytes], ...] = ()
    is_open: bool = False
    methods: bytes = b"GET, HEAD"
    headers: bytes = b""
    expose: bytes = b""
    max_age_seconds: int = 7200
    allows_credentials: bool = False

    def allows(self, origin: bytes) -> bool:
        """Tell whether that Origin value, as received, may read responses."""
        return (
            self.is_open
            or origin in self.origins
            or any(_is_subdomain(origin, *pair) for pair in self.subdomains)
        )


_LABELS = re.compile(rb"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")


def _is_subdomain(origin: bytes, prefix: bytes, suffix: bytes) -> bool:
    """Compare against the whole label: `https://evil-brand.example` is no subdomain."""
    if not (origin.startswith(prefix) and origin.endswith(suffix)):
        return False
    return _LABELS.fullmatch(origin, len(prefix), len(origin) - len(suffix)) is not None


_KEEP_QUERY = QueryPolicy()

TRANSPARENT_RULE = Rule(
    id="", kind="transparent", patterns=(), cache=TRANSPARENT, query=_KEEP_QUERY
)
"""What decides where no rule matches, unless the site says otherwise."""

AMBIGUOUS_RULE = Rule(
    id="ambiguous-path",
    kind="pass",
    patterns=(),
    cache=CachePolicy(may_store=False),
    query=_KEEP_QUERY,
)
"""What decides on an ambiguous path of a site that has rules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One configured site: the hosts it answers to and what happens to their requests.

    `name` is the first part of every cache key, so that aliases share stored responses. `hosts`
    are all names, `name` among them, lower-case, no port. `hsts` and `alt_svc` are
    finished field values.
    `set_fields` and `remove_fields` apply to every response. `fallback` decides where no rule does.
    """

    name: str
    hosts: tuple[str, ...]
    origin: Upstream
    rules: tuple[Rule, ...] = ()
    fallback: Rule = TRANSPARENT_RULE
    cors: CorsPolicy | None = None
    hsts: bytes | None = None
    alt_svc: bytes | None = None
    set_fields: Fields = ()
    remove_fields: frozenset[bytes] = frozenset()
    _combined: re.Pattern[bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # One alternation for all rules: the first that reaches the end wins, `lastindex` says it.
        groups = (b"(" + b"|".join(p.regex for p in rule.patterns) + b")" for rule in self.rules)
        combined = re.compile(b"|".join(groups) or rb"(?!)", re.DOTALL)
        object.__setattr__(self, "_combined", combined)

    def rule_for(self, path: bytes) -> Rule:
        """Return the rule that decides on a raw path, given without its query."""
        if not self.rules:
            return self.fallback
        if is_ambiguous(path):
            return AMBIGUOUS_RULE
        match = self._combined.fullmatch(path)
        if match is None or match.lastindex is None:
            return self.fallback
        return self.rules[match.lastindex - 1]


class Sites:
    """Every site of the PoP, by host.

    `default` names the site for hosts that nobody configured; without it they get none.
    """

    def __init__(self, sites: Iterable[Site], default: str | None = None) -> None:
        self.all = tuple(sites)
        self._by_host: dict[str, Site] = {}
        for site in self.all:
            for host in site.hosts:
                if host in self._by_host:
                    raise ValueError(f"host {host!r} belongs to two sites")
                self._by_host[host] = site
        names = {site.name: site for site in self.all}
        if default is not None and default not in names:
            raise ValueError(f"the default site {default!r} does not exist")
        self._default = None if default is None else names[default]

    def resolve(self, host: str) -> Site | None:
        """Return the site of a lower-case host name without port."""
        return self._by_host.get(host, self._default)
