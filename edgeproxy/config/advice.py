"""What a configuration may say but should not: the cache-policy lint.

Findings here are warnings; they stop nothing. Each is a mistake that operators of caches are known
to make and that nobody notices until a release does not arrive or a private page does.
"""

from collections.abc import Iterator

from edgeproxy.config import alt_svc
from edgeproxy.config.lint import Finding
from edgeproxy.config.locate import Loc
from edgeproxy.config.policies import kind_of, resolve
from edgeproxy.config.schema import Config, Host, PolicyKind, PolicyOptions, Rule
from edgeproxy.edge.patterns import PathPattern
from edgeproxy.http.directives import parse_cache_control

# Without purge a changed file of a stable name stays wrong for this long at most.
_ENTRY_SECONDS_MAX = 3600


def findings(config: Config) -> Iterator[Finding]:
    """Yield warnings about what rules decide, and about what clients are told of HTTP/3."""
    yield from alt_svc.findings(config)
    for index, host in enumerate(config.host):
        yield from _cors(index, host, config)
        for number, rule in enumerate(host.rule):
            if kind_of(rule.policy, config) is None:
                continue
            kind, options = resolve(rule, config)
            loc = ("host", index, "rule", number)
            yield from _versioned(loc, kind, rule)
            yield from _lifetimes(loc, kind, options)
            yield from _extension_only(loc, kind, options, rule)


def _cors(index: int, host: Host, config: Config) -> Iterator[Finding]:
    cors = config.cors.get(host.cors or "")
    if cors is not None and cors.credentials and any("http://" in o for o in cors.origins):
        yield Finding(
            ("host", index, "cors"), "credentials for plain http origins are readable on the way"
        )


def _versioned(loc: Loc, kind: PolicyKind, rule: Rule) -> Iterator[Finding]:
    """Every path of a versioned rule should name its bytes."""
    if kind != "versioned":
        return
    for pattern in rule.path:
        if not _names_a_version(pattern):
            yield Finding(
                (*loc, "path"),
                f"{pattern.source!r} holds neither {{semver}} nor {{hash:...}} nor a digit: "
                "browsers would keep a changed file for a year",
            )


def _names_a_version(pattern: PathPattern) -> bool:
    return any(
        token.kind in ("semver", "hash") or any(c.isdigit() for text in token.texts for c in text)
        for segment in pattern.segments
        for token in segment or ()
    )


def _lifetimes(loc: Loc, kind: PolicyKind, options: PolicyOptions) -> Iterator[Finding]:
    if kind in ("entry", "manifest"):
        if isinstance(options.edge_ttl, int) and options.edge_ttl > _ENTRY_SECONDS_MAX:
            yield Finding(
                (*loc, "policy"), "edge_ttl is over an hour for paths whose content changes"
            )
        told = parse_cache_control([options.browser or b""])
        if told.has(b"immutable"):
            yield Finding(
                (*loc, "policy"), "browser says immutable for paths whose content changes"
            )


def _extension_only(
    loc: Loc, kind: PolicyKind, options: PolicyOptions, rule: Rule
) -> Iterator[Finding]:
    """An extension says nothing about who may see a page: `/account/x.css` has one too."""
    if kind == "versioned" or options.edge_ttl == "origin":
        return
    for pattern in rule.path:
        is_anywhere = pattern.segments[0] is None and pattern.source != "/**"
        if is_anywhere and not _names_a_version(pattern):
            yield Finding(
                (*loc, "path"),
                f"{pattern.source!r} gives a lifetime to a file's ending anywhere in the site, "
                "also where the origin answers with a private page; name a folder",
            )
