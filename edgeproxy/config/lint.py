"""What is wrong between the keys of a configuration: references, duplicates, rules out of reach.

Each check is a generator of findings over a valid `Config`; the caller knows lines. No file is
opened here (`files`), and nothing here is a matter of taste (`advice`).
"""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from edgeproxy.config.coverage import is_covered
from edgeproxy.config.document import nearest
from edgeproxy.config.locate import Loc
from edgeproxy.config.policies import KINDS, WITHOUT_EFFECT_ON_PASS, kind_of
from edgeproxy.config.schema import Config, Host, Origin, PolicyOptions
from edgeproxy.config.values import Address
from edgeproxy.edge.patterns import PathPattern
from edgeproxy.tls.parameters import is_supported


class Finding(NamedTuple):
    """A fault of the key at `loc`, and the valid name that may have been meant."""

    loc: Loc
    message: str
    near: str = ""


Names = Mapping[str, list[str]]
"""The names declared in `origin`, `policy` and `cors`, those with faulty content among them."""


def findings(config: Config, names: Names) -> Iterator[Finding]:
    """Yield everything that contradicts itself."""
    yield from _listeners(config)
    yield from _groups(config)
    yield from _policies(config)
    for name, origin in config.origin.items():
        yield from _origin(name, origin, config)
    yield from _duplicate_hosts(config)
    for index, host in enumerate(config.host):
        yield from _references(index, host, names)
        yield from _rules(index, host, config, names)


def _listeners(config: Config) -> Iterator[Finding]:
    seen: set[Address] = set()
    for key in ("https", "http_redirect", "metrics"):
        for address in getattr(config.listen, key) or ():
            if address.port and address in seen:
                yield Finding(("listen", key), f"{address} is listened on twice")
            seen.add(address)


def _groups(config: Config) -> Iterator[Finding]:
    for index, group in enumerate(config.tls.groups):
        if not is_supported(group):
            yield Finding(("tls", "groups", index), f"this OpenSSL does not know {group}")


def _policies(config: Config) -> Iterator[Finding]:
    for name, policy in config.policy.items():
        loc = ("policy", name)
        if name in KINDS and policy.kind not in (None, name):
            yield Finding((*loc, "kind"), f"{name!r} is built in and of its own kind")
        kind = kind_of(name, config)
        if kind is None:
            yield Finding(loc, f"needs kind = one of {', '.join(KINDS)}", nearest(name, KINDS))
        yield from _without_effect(loc, policy, kind)


def _without_effect(loc: Loc, options: PolicyOptions, kind: str | None) -> Iterator[Finding]:
    if kind == "pass":
        for key in WITHOUT_EFFECT_ON_PASS:
            if getattr(options, key) is not None:
                yield Finding((*loc, key), "has no effect: a policy of kind pass stores nothing")


def _origin(name: str, origin: Origin, config: Config) -> Iterator[Finding]:
    for url in origin.urls:
        loc = ("origin", name, "urls")
        if url.startswith("http:"):
            if not origin.allow_http:
                yield Finding(loc, f"{url} is not HTTPS; allow_http = true accepts that")
            if origin.tls.ca_file or origin.tls.sni:
                yield Finding(("origin", name, "tls"), f"has no effect: {url} is not HTTPS")
        if address := _own_address(url, config):
            yield Finding(loc, f"{url} leads back to our own {address}: a loop")


def _own_address(url: str, config: Config) -> Address | None:
    """Return the listen address that the URL leads to, as far as can be told without DNS."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    is_ours = any(host in (site.name, *site.aliases) for site in config.host)
    for address in (*config.listen.https, *(config.listen.http_redirect or ())):
        if address.port == port and (is_ours or _reaches(host, address.host)):
            return address
    return None


def _reaches(host: str, listening: str) -> bool:
    ours = ip_address(listening)
    try:
        theirs = ip_address(host)
    except ValueError:
        return host == "localhost" and (ours.is_loopback or ours.is_unspecified)
    return theirs == ours or (ours.is_unspecified and theirs.is_loopback)


def _duplicate_hosts(config: Config) -> Iterator[Finding]:
    owners: dict[str, str] = {}
    for index, host in enumerate(config.host):
        places = [("name", host.name), *(("aliases", alias) for alias in host.aliases)]
        for key, name in places:
            if name in owners:
                yield Finding(("host", index, key), f"{name} already belongs to {owners[name]}")
            owners.setdefault(name, host.name)


def _references(index: int, host: Host, names: Names) -> Iterator[Finding]:
    for key in ("origin", "cors"):
        wanted = getattr(host, key)
        if wanted is not None and wanted not in names[key]:
            yield Finding(
                ("host", index, key),
                f"there is no [{key}.{wanted}]",
                nearest(wanted, names[key]),
            )


def _rules(index: int, host: Host, config: Config, names: Names) -> Iterator[Finding]:
    earlier: list[PathPattern] = []
    ids: set[str] = set()
    for number, rule in enumerate(host.rule):
        loc = ("host", index, "rule", number)
        if rule.id in ids:
            yield Finding((*loc, "id"), f"{rule.id!r} is the id of an earlier rule of {host.name}")
        ids.add(rule.id)
        known = [*KINDS, *names["policy"]]
        if rule.policy not in known:
            yield Finding(
                (*loc, "policy"), f"there is no [policy.{rule.policy}]", nearest(rule.policy, known)
            )
        yield from _without_effect((*loc, "override"), rule.override, kind_of(rule.policy, config))
        yield from _reach(loc, rule.path, earlier)
        earlier += rule.path


def _reach(
    loc: Loc, patterns: tuple[PathPattern, ...], earlier: list[PathPattern]
) -> Iterator[Finding]:
    """Report a rule, or one of its patterns, that never gets a path."""
    hidden = [pattern.source for pattern in patterns if is_covered(earlier, pattern)]
    why = "is never reached: earlier rules match all its paths"
    if len(hidden) == len(patterns):
        yield Finding((*loc, "path"), f"the rule {why}")
        return
    for source in hidden:
        yield Finding((*loc, "path"), f"{source!r} {why}")
