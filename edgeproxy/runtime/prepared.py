"""What a configuration makes of a running point of presence: built whole before any of it is live.

Everything that can fail happens here, beside what serves: a reload that is refused has changed
nothing. What has not changed is taken over as the object that it is, so that memos and pools that
belong to it stay. Decides nothing about requests; swaps nothing itself.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from edgeproxy.clock import Clock
from edgeproxy.config import compile as slices
from edgeproxy.config.locate import Loc
from edgeproxy.config.schema import Config
from edgeproxy.edge.sites import Sites
from edgeproxy.errors import CertificateError, ConfigError, Problem
from edgeproxy.origin.client import Origin
from edgeproxy.origin.settings import OriginSettings
from edgeproxy.runtime.certificates import PreparedCertificates
from edgeproxy.tls.parameters import hardened_context

Locate = Callable[[Loc, str], Problem]

# Sockets, processes and folders are made once; the name is part of what is stored elsewhere.
_FIXED: Final = (("pop",), ("listen",), ("cache", "disk"))
# What clients are told is not about the sockets, and neither is what their tickets allow.
_FREE: Final[frozenset[Loc]] = frozenset(
    ("listen", key) for key in ("alt_svc", "alt_svc_max_age", "alt_svc_port", "early_data")
)


@dataclass(frozen=True, slots=True)
class KnownOrigin:
    """An origin, and a digest of the authorities that it trusts."""

    origin: Origin
    trust: bytes


@dataclass(frozen=True, slots=True)
class Served:
    """What a configuration makes, all but the certificates.

    `https_port` is the one that was bound, None before; `has_http3`: it is heard over UDP, too.
    """

    config: Config
    origins: Mapping[str, KnownOrigin]
    sites: Sites
    https_port: int | None = None
    has_http3: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """A configuration that can be applied without failing; `changed` names its tables that differ.

    `certificates` is None where somebody else keeps them.
    """

    served: Served
    changed: tuple[str, ...]
    certificates: PreparedCertificates | None = None


def without_line(loc: Loc, message: str) -> Problem:
    """Return the problem of a configuration whose text is not known."""
    return Problem("configuration", 0, ".".join(map(str, loc)), message)


def build(
    config: Config,
    *,
    clock: Clock,
    before: Served | None = None,
    https_port: int | None = None,
    has_http3: bool = False,
) -> Served:
    """Build origins and sites; `before` is what serves now. Blocks: it reads trust anchors.

    Raises:
        CertificateError: an origin's authorities cannot be used.
    """
    known_origins = {} if before is None else before.origins
    origins = {
        name: _origin(settings, config.pop.name, clock, known_origins.get(name))
        for name, settings in slices.origin_settings(config).items()
    }
    return _served(config, origins, before, https_port, has_http3=has_http3)


def with_http3(before: Served) -> Served:
    """Return the same, but that responses call clients to HTTP/3; reads nothing, cannot fail."""
    return _served(before.config, before.origins, before, before.https_port, has_http3=True)


def _served(
    config: Config,
    origins: Mapping[str, KnownOrigin],
    before: Served | None,
    https_port: int | None,
    *,
    has_http3: bool,
) -> Served:
    made = slices.compile_sites(
        config,
        {name: each.origin for name, each in origins.items()},
        https_port=https_port,
        has_http3=has_http3,
    )
    known = {} if before is None else {site.name: site for site in before.sites.all}
    # An equal site stays the object it is: views of what is stored are of its rules.
    sites = Sites(known[s.name] if known.get(s.name) == s else s for s in made.all)
    return Served(config, origins, sites, https_port, has_http3)


def prepare(
    config: Config, before: Served, locate: Locate = without_line, *, clock: Clock
) -> Prepared:
    """Build what a new configuration makes beside what serves now. Blocks.

    Raises:
        ConfigError: it cannot be used, or changes what cannot change while it runs.
    """
    found = [
        locate(loc, "cannot change while the edge runs: start it anew")
        for loc in unchangeable(before.config, config)
    ]
    if found:
        raise ConfigError(found)
    try:
        hardened_context(slices.tls_parameters(config))
        served = build(
            config,
            clock=clock,
            before=before,
            https_port=before.https_port,
            has_http3=before.has_http3,
        )
    except CertificateError as error:
        raise ConfigError([locate(_blamed(config, str(error)), str(error))]) from None
    return Prepared(served, _changed(before.config, config))


def unchangeable(old: Config, new: Config) -> list[Loc]:
    """Return the keys that differ and must not."""
    found: list[Loc] = []
    for loc in _FIXED:
        differing = _differing(_at(old, loc), _at(new, loc), loc)
        found += [each for each in differing if each not in _FREE]
    if bool(old.tls.ticket_lifetime) != bool(new.tls.ticket_lifetime):
        found.append(("tls", "ticket_lifetime"))
    return found


def _differing(old: object, new: object, loc: Loc) -> list[Loc]:
    if old == new:
        return []
    if not isinstance(old, BaseModel) or not isinstance(new, BaseModel):
        return [loc]
    return [(*loc, key) for key in type(old).model_fields if getattr(old, key) != getattr(new, key)]


def _at(config: Config, loc: Loc) -> object:
    value: object = config
    for key in loc:
        value = getattr(value, str(key), None)
    return value


def _changed(old: Config, new: Config) -> tuple[str, ...]:
    return tuple(key for key in type(old).model_fields if getattr(old, key) != getattr(new, key))


def _origin(
    settings: OriginSettings, identifier: str, clock: Clock, before: KnownOrigin | None
) -> KnownOrigin:
    trust = _trust(settings)
    if before is not None and before.origin.settings == settings and before.trust == trust:
        return before
    return KnownOrigin(Origin(settings, identifier=identifier, clock=clock), trust)


def _trust(settings: OriginSettings) -> bytes:
    if settings.ca_file is None:
        return b""
    try:
        return hashlib.sha256(settings.ca_file.read_bytes()).digest()
    except OSError:
        return b""  # who loads it says why


def _blamed(config: Config, message: str) -> Loc:
    for name, origin in config.origin.items():
        if origin.tls.ca_file is not None and message.startswith(f"{origin.tls.ca_file}: "):
            return ("origin", name, "tls", "ca_file")
    return ("tls", "groups")
